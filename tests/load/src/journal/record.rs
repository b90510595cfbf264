//! `journal`: sends without pause and writes every acknowledgement down, until the server goes away.

use super::file::{JournalFile, Line};
use crate::{
    check::Numbered,
    cli::{Target, text_length},
    errors::Errors,
    pairs::log_in,
    report::{Span, grouped, say},
    rest::Rest,
    sender::{Answer, Sender, Sent},
    uplink::Texts,
};
use anyhow::Context;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::task::JoinSet;

/// Sends until the server goes away. An existing file is continued, with the same app and new people.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Journal {
    /// Where acknowledged messages are written down, one line each.
    #[arg(long)]
    file: PathBuf,
    /// Pairs of a sender and a receiver; receivers are not connected.
    #[arg(long, default_value_t = 20)]
    pairs: usize,
    /// Messages of one sender that wait for their acknowledgement.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    window: u16,
    /// Stop after so many seconds even if the server is there.
    #[arg(long, default_value_t = 3600)]
    seconds: u64,
    /// Length of a text in bytes.
    #[arg(long, default_value_t = 100, value_parser = text_length)]
    body: usize,
}

pub(crate) async fn run(target: &Target, args: &Journal) -> anyhow::Result<Vec<String>> {
    let (mut file, app) = JournalFile::append(&args.file)
        .with_context(|| format!("cannot use the journal {}", args.file.display()))?;
    let rest = Rest::new(target.listen);
    let app = match app {
        Some(app) => app,
        None => {
            let app = rest.make_app(target.admin).await.context("cannot make an app")?;
            file.write_app(&app)?;
            app
        }
    };
    let run = format!("{:08x}", rand::random::<u32>());
    let names = |prefix: &str| (0..args.pairs).map(|n| format!("{prefix}{n}-{run}")).collect::<Vec<_>>();
    let (senders, receivers) = (names("alice"), names("bob"));
    // A message to somebody who does not exist would be lost by right.
    crate::pairs::tokens(&rest, &app, &receivers).await?;
    let connections = log_in(target, &rest, &app, &senders, |number| number).await?;

    let span = Span::starting_now(Duration::ZERO, Duration::from_secs(args.seconds));
    let (file, window) = (Arc::new(Mutex::new(file)), usize::from(args.window));
    let mut running = JoinSet::new();
    for ((alice, bob), connection) in senders.into_iter().zip(receivers).zip(connections) {
        let texts = Texts::new(&app.app_key, &alice, &bob, args.body);
        let file = file.clone();
        let sender = Sender::new(connection, texts, span);
        running.spawn(async move {
            sender.until_gone(window, |answer| note(&file, (&alice, &bob), &answer)).await
        });
    }
    say(&format!("sending for {} pairs", args.pairs));
    let (mut acknowledged, mut refused, mut ended) = (0, Errors::default(), Errors::default());
    while let Some(sent) = running.join_next().await {
        let sent: Sent = sent.context("a sender broke down")?;
        acknowledged += sent.acknowledged.len() as u64;
        refused.merge(&sent.refused);
        ended.merge(&sent.unanswered);
    }
    say(&format!("{} acknowledged\n  refused     {refused}\n  unanswered  {ended}", grouped(acknowledged)));
    Ok(if acknowledged == 0 { vec!["nothing was acknowledged".into()] } else { Vec::new() })
}

fn note(file: &Mutex<JournalFile>, (alice, bob): (&str, &str), answer: &Answer) -> anyhow::Result<()> {
    let Ok(server_id) = answer.outcome else { return Ok(()) };
    let message = Numbered { number: answer.number, server_id };
    let line = Line { sender: alice, receiver: bob, client_id: answer.client_id, message };
    file.lock().unwrap_or_else(PoisonError::into_inner).write(&line)
}
