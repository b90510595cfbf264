//! Closed loop: every pair keeps a fixed number of messages on the way. Shows how many the server can make durable.

use crate::{
    cli::{Common, Run, Target},
    pairs::{self, Outcome, Pair},
    receiver::{Received, Receiver},
    report::{self, Span},
    sender::{Sender, Sent},
};
use anyhow::Context;
use std::time::Duration;
use tokio::{
    sync::oneshot,
    task::{JoinHandle, JoinSet},
};

/// Pairs of people; each sender keeps a number of messages on the way.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Throughput {
    #[command(flatten)]
    run: Run,
    /// Messages of one sender that wait for their acknowledgement.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    window: u16,
    /// Fail below so many acknowledged messages per second.
    #[arg(long)]
    min_rate: Option<f64>,
}

pub(crate) async fn run(target: &Target, common: Common, args: &Throughput) -> anyhow::Result<Vec<String>> {
    let pairs = pairs::open(target, args.run.pairs, args.run.body).await?;
    let span = Span::starting_now(
        Duration::from_secs(args.run.warmup),
        Duration::from_secs(args.run.seconds.max(1)),
    );
    let window = usize::from(args.window);
    let outcome = drive(pairs, span, |sender| tokio::spawn(sender.closed_loop(window))).await?;

    let title = format!("{} pairs, window {window}, {} B texts", args.run.pairs, args.run.body);
    report::say(&report::messages(&title, &span, &outcome, common));
    let mut problems = outcome.problems();
    let rate = outcome.acknowledged as f64 / span.seconds();
    if let Some(wanted) = args.min_rate.filter(|wanted| rate < *wanted) {
        problems.push(format!("{rate:.0} acknowledged per second, wanted {wanted}"));
    }
    Ok(problems)
}

/// Runs all pairs to their end; `start` sets a sender going.
pub(crate) async fn drive(
    pairs: Vec<Pair>,
    span: Span,
    mut start: impl FnMut(Sender) -> JoinHandle<Sent>,
) -> anyhow::Result<Outcome> {
    let mut running = JoinSet::new();
    for pair in pairs {
        let (tell_last, last) = oneshot::channel();
        let receiving = tokio::spawn(Receiver::new(pair.receiver, pair.sender_name, span).run(last));
        let sending = start(Sender::new(pair.sender, pair.texts, span));
        running.spawn(finish(sending, receiving, tell_last));
    }
    let mut outcome = Outcome::default();
    while let Some(pair) = running.join_next().await {
        let (sent, received) = pair.context("a pair broke down")??;
        outcome.add(&sent, &received);
    }
    Ok(outcome)
}

async fn finish(
    sending: JoinHandle<Sent>,
    receiving: JoinHandle<Received>,
    tell_last: oneshot::Sender<u64>,
) -> anyhow::Result<(Sent, Received)> {
    let sent = sending.await.context("a sender broke down")?;
    let last = sent.acknowledged.iter().map(|item| item.number).max().unwrap_or(0);
    // A receiver that has ended already has its error to tell.
    let _ = tell_last.send(last);
    let received = receiving.await.context("a receiver broke down")?;
    Ok((sent, received))
}
