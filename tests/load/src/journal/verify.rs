//! `verify`: every receiver of a journal logs in on a new device and reads everything; it must be what was
//! acknowledged, once and in order.

use super::file;
use crate::{
    check::{Numbered, Verdict},
    cli::Target,
    client::{Connection, Login},
    pairs::{fresh_resource, in_parallel, tokens},
    report::{grouped, say},
    rest::Rest,
    uplink::{pull, read_stamp},
    wire::{CHAT, Frame},
};
use anyhow::Context;
use bytes::Bytes;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};
use tokio::time::timeout;

/// How long one answer to a pull may take.
const PULL_DEADLINE: Duration = Duration::from_secs(30);

/// Checks a journal against the server. Changes nothing there: it can be repeated.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Verify {
    /// What `journal` wrote.
    #[arg(long)]
    file: PathBuf,
}

pub(crate) async fn verify(target: &Target, args: &Verify) -> anyhow::Result<Vec<String>> {
    let (app, pairs) = file::read(&args.file)?;
    let rest = Rest::new(target.listen);
    let mut receivers: Vec<String> = pairs.keys().map(|(_, receiver)| receiver.clone()).collect();
    receivers.sort();
    receivers.dedup();
    let tokens = tokens(&rest, &app, &receivers).await?;
    let logins = receivers.iter().zip(tokens).map(|(user, token)| Login {
        tls: crate::client::Tls::default(),
        listen: target.listen,
        app_key: app.app_key.clone(),
        user: user.clone(),
        token,
        resource: fresh_resource(),
        source: None,
    });
    let read = in_parallel(logins.map(read_everything)).await?;
    let read: BTreeMap<String, BySender> = receivers.into_iter().zip(read).collect();

    let (mut sum, mut problems) = (Verdict::default(), Vec::new());
    for ((sender, receiver), acknowledged) in &pairs {
        let delivered = read.get(receiver).and_then(|by_sender| by_sender.get(sender));
        let verdict = Verdict::of(acknowledged, delivered.map_or(&[], Vec::as_slice));
        let told = verdict.problems();
        if !told.is_empty() {
            problems.push(format!("{sender} to {receiver}: {}", told.join(", ")));
        }
        sum.merge(&verdict);
    }
    say(&format!(
        "{} acknowledged messages of {} pairs: {}\n  stored and not acknowledged  {}",
        grouped(sum.acknowledged),
        pairs.len(),
        if problems.is_empty() { "all there, once and in order" } else { "NOT sound" },
        grouped(sum.unacknowledged)
    ));
    if sum.acknowledged == 0 {
        problems.push("the journal holds no acknowledged message".into());
    }
    Ok(problems)
}

type BySender = BTreeMap<String, Vec<Numbered>>;

/// Pulls every queue to its end. Nothing is acknowledged, so the person's position stays and another run starts where
/// this one did.
async fn read_everything(login: Login) -> anyhow::Result<BySender> {
    let (mut connection, queues) = Connection::open(&login).await?;
    let mut messages = BySender::new();
    for queue in queues {
        while !pull_once(&mut connection, &queue, &mut messages)
            .await
            .with_context(|| format!("reading as {}", login.user))?
        {}
    }
    Ok(messages)
}

/// Gives whether the queue is drained.
async fn pull_once(
    connection: &mut Connection,
    queue: &Bytes,
    messages: &mut BySender,
) -> anyhow::Result<bool> {
    connection.feed(pull(queue, None)).await?;
    connection.flush().await?;
    let answer = timeout(PULL_DEADLINE, connection.next()).await.context("a pull was not answered")??;
    let Frame::Delivery(delivery) = Frame::read(&answer)? else { anyhow::bail!("a pull was not answered") };
    delivery.each(|item| {
        if let Some((number, _)) = read_stamp(item.text).filter(|_| item.namespace == CHAT) {
            let message = Numbered { number, server_id: item.id };
            messages.entry(item.from.to_owned()).or_default().push(message);
        }
    })?;
    Ok(delivery.is_last)
}
