//! Open loop: messages are due by a schedule that does not wait for the server. Shows what people would feel.

use crate::{
    cli::{Common, Run, Target},
    pairs, report,
    report::Span,
    throughput::drive,
};
use anyhow::Context;
use std::{
    sync::mpsc::{RecvTimeoutError, channel},
    time::Duration,
};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::Instant,
};

/// Due messages that may wait for their sender's turn; more means that the tool itself has fallen behind.
const BACKLOG: usize = 1024;

/// Messages at a fixed rate, spread evenly over the pairs.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Open {
    #[command(flatten)]
    run: Run,
    /// Messages per second, of all senders together.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Fail when the p99 of send→ack is above so many milliseconds.
    #[arg(long)]
    max_p99_ms: Option<f64>,
}

pub(crate) async fn run(target: &Target, common: Common, args: &Open) -> anyhow::Result<Vec<String>> {
    let pairs = pairs::open(target, args.run.pairs, args.run.body).await?;
    let span = Span::starting_now(
        Duration::from_secs(args.run.warmup),
        Duration::from_secs(args.run.seconds.max(1)),
    );
    // Dropped when this run ends early, which stops the pacer.
    let (_running, stop) = channel::<()>();
    let pacer = Pacer { span, interval: Duration::from_secs(1) / args.rate };
    let (tell, told): (Vec<_>, Vec<_>) = pairs.iter().map(|_| mpsc::channel(BACKLOG)).unzip();
    let pace = tokio::task::spawn_blocking(move || pacer.run(&tell, &stop));
    let mut told = told.into_iter();
    let outcome = drive(pairs, span, |sender| {
        // One for each pair was made above.
        let due = told.next().unwrap_or_else(|| mpsc::channel(1).1);
        tokio::spawn(sender.open_loop(due))
    })
    .await?;
    let dropped = pace.await.context("the pacer broke down")?;
    anyhow::ensure!(dropped == 0, "the tool fell behind its schedule by {dropped} messages");

    let title = format!("{}/s open loop, {} pairs, {} B texts", args.rate, args.run.pairs, args.run.body);
    report::say(&report::messages(&title, &span, &outcome, common));
    let mut problems = outcome.problems();
    let p99 = outcome.ack_latency.quantile(0.99).as_secs_f64() * 1000.0;
    if let Some(wanted) = args.max_p99_ms.filter(|wanted| p99 > *wanted) {
        problems.push(format!("p99 of send→ack is {p99:.2} ms, wanted at most {wanted} ms"));
    }
    Ok(problems)
}

/// Tells senders when a message is due. A thread of its own: the runtime's timer has steps of a millisecond, which
/// would be most of what is measured.
#[derive(Clone, Copy, Debug)]
struct Pacer {
    span: Span,
    interval: Duration,
}

impl Pacer {
    /// Gives the number of messages that could not be handed over.
    fn run(self, senders: &[mpsc::Sender<Instant>], stop: &std::sync::mpsc::Receiver<()>) -> u64 {
        let mut dropped = 0;
        for (turn, number) in (0..senders.len()).cycle().zip(0u32..) {
            let due = self.span.origin + self.interval * number;
            if due >= self.span.until {
                break;
            }
            let pause = due.saturating_duration_since(Instant::now());
            if stop.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                break;
            }
            // A sender whose connection broke has told so itself.
            if let Err(TrySendError::Full(_)) = senders[turn].try_send(due) {
                dropped += 1;
            }
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pacer(milliseconds: u64) -> Pacer {
        let span = Span::starting_now(Duration::ZERO, Duration::from_millis(milliseconds));
        Pacer { span, interval: Duration::from_millis(1) }
    }

    #[tokio::test]
    async fn the_schedule_is_kept_and_shared_evenly() {
        let pacer = pacer(20);
        let ((first, mut one), (second, mut two)) = (mpsc::channel(64), mpsc::channel(64));
        let (_running, stop) = channel();
        let run = tokio::task::spawn_blocking(move || pacer.run(&[first, second], &stop));
        assert_eq!(run.await.unwrap(), 0);
        for turn in 0..10 {
            let at = |milliseconds| Some(pacer.span.origin + Duration::from_millis(milliseconds));
            assert_eq!(one.recv().await, at(2 * turn));
            assert_eq!(two.recv().await, at(2 * turn + 1));
        }
        assert_eq!((one.recv().await, two.recv().await), (None, None));
    }

    #[tokio::test]
    async fn a_backlog_is_counted_not_kept() {
        let pacer = pacer(5);
        let (full, _kept) = mpsc::channel(2);
        let (_running, stop) = channel();
        let run = tokio::task::spawn_blocking(move || pacer.run(&[full], &stop));
        assert_eq!(run.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn it_stops_with_its_run() {
        let pacer = pacer(3_600_000);
        let (due, _taker) = mpsc::channel(2);
        let (running, stop) = channel();
        drop(running);
        let run = tokio::task::spawn_blocking(move || pacer.run(&[due], &stop));
        assert_eq!(run.await.unwrap(), 0);
    }
}
