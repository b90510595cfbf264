//! Everybody comes back at once: clients lose a server that is killed, and reconnect as the SDK does.

use crate::{
    cli::{Common, Target},
    client::{Connection, Login, Tls},
    errors::Errors,
    histogram::Histogram,
    idle::{sign_of_life, source},
    pairs::{fresh_resource, tokens},
    report::{grouped, milliseconds, say},
    rest::Rest,
};
use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::{
    ops::RangeInclusive,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

/// Logins at the same time before the storm.
const LOGINS: usize = 64;
/// What the SDK allows for a connection and for a login.
const ATTEMPT_DEADLINE: Duration = Duration::from_secs(20);
/// Nobody is out for longer, or the run has failed.
const PATIENCE: Duration = Duration::from_secs(300);

/// Clients that lose their server and come back; somebody else kills and starts it once this says "online".
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Storm {
    #[arg(long, default_value_t = 5000)]
    connections: usize,
    /// Fail when the last is not back so many seconds after the first.
    #[arg(long)]
    max_seconds: Option<f64>,
}

#[derive(Debug, Default)]
struct Book {
    /// When clients were back.
    back: Vec<Instant>,
    failed: Errors,
    logins: Histogram,
}

type Shared = Arc<Mutex<Book>>;

pub(crate) async fn run(target: &Target, common: Common, args: &Storm) -> anyhow::Result<Vec<String>> {
    let rest = Rest::new(target.listen);
    let app = rest.make_app(target.admin).await.context("cannot make an app")?;
    let users: Vec<String> = (0..args.connections).map(|number| format!("storm{number}")).collect();
    let tokens = tokens(&rest, &app, &users).await?;
    let logins = users.into_iter().zip(tokens).enumerate().map(|(number, (user, token))| Login {
        listen: target.listen,
        tls: Tls::default(),
        app_key: app.app_key.clone(),
        user,
        token,
        resource: fresh_resource(),
        source: source(target.listen.ip(), number),
    });
    let first = |login: Login| async move { anyhow::Ok((Connection::open(&login).await?.0, login)) };
    let online: Vec<_> = stream::iter(logins.map(first)).buffer_unordered(LOGINS).try_collect().await?;
    say(&format!("{} clients are online", grouped(online.len() as u64)));

    let book = Shared::default();
    let mut clients = JoinSet::new();
    for (connection, login) in online {
        clients.spawn(survive(connection, login, book.clone()));
    }
    let mut problems = Vec::new();
    while let Some(client) = clients.join_next().await {
        if let Err(error) = client.context("a client broke down")? {
            problems.push(format!("{error:#}"));
        }
    }
    problems.sort();
    problems.dedup();
    let book = book.lock().unwrap_or_else(PoisonError::into_inner);
    let took = times(&book.back);
    say(&figures(args, common, &took, &book));
    let last = took.last().copied().unwrap_or_default();
    if let Some(wanted) = args.max_seconds.filter(|wanted| last.as_secs_f64() > *wanted) {
        problems
            .push(format!("the last was back after {:.1} s, wanted at most {wanted} s", last.as_secs_f64()));
    }
    Ok(problems)
}

/// After the first who was back, in order.
fn times(back: &[Instant]) -> Vec<Duration> {
    let Some(first) = back.iter().min() else { return Vec::new() };
    let mut times: Vec<_> = back.iter().map(|at| *at - *first).collect();
    times.sort();
    times
}

async fn survive(mut connection: Connection, login: Login, book: Shared) -> anyhow::Result<()> {
    while connection.next().await.is_ok() {}
    drop(connection);
    let lost = Instant::now();
    for attempt in 1.. {
        sleep(pause(attempt)).await;
        let begun = Instant::now();
        let opened = timeout(ATTEMPT_DEADLINE, Connection::open(&login)).await;
        match opened.context("no answer in time").and_then(|opened| opened) {
            Ok((connection, _)) => {
                {
                    let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
                    book.back.push(Instant::now());
                    book.logins.record(begun.elapsed());
                }
                return sign_of_life(connection).await;
            }
            Err(error) => {
                // The user's name is in it, and would make a thousand kinds of one.
                let cause = error.root_cause().to_string();
                book.lock().unwrap_or_else(PoisonError::into_inner).failed.add(&cause, 1);
            }
        }
        anyhow::ensure!(lost.elapsed() < PATIENCE, "somebody was not back after {PATIENCE:?}");
    }
    Ok(())
}

/// What the SDK waits before an attempt.
fn pause(attempt: u32) -> Duration {
    let seconds: RangeInclusive<f64> = match attempt {
        ..=5 => 1.0..=2.0,
        6..=19 => 3.0..=6.0,
        20.. => 5.0..=10.0,
    };
    Duration::from_secs_f64(rand::random_range(seconds))
}

/// The head of the table for rows of this workload.
const HEAD: &str = "\
| workload | half / 99 % / all are back after the first, s | logins/s | login ms: p50 / p99 / max | attempts that failed |
|---|---|---:|---|---|
";

fn figures(args: &Storm, common: Common, took: &[Duration], book: &Book) -> String {
    let after = |share: f64| {
        let index = (share * took.len() as f64).ceil() as usize;
        took.get(index.saturating_sub(1)).map_or(0.0, Duration::as_secs_f64)
    };
    let [half, most, all] = [0.5, 0.99, 1.0].map(after);
    let rate = grouped((took.len() as f64 / all.max(1e-9)).round() as u64);
    let [p50, p99] = [0.5, 0.99].map(|share| milliseconds(book.logins.quantile(share)));
    let max = milliseconds(book.logins.max());
    let count = grouped(args.connections as u64);
    let failed = if book.failed.total() == 0 { "none".to_owned() } else { book.failed.to_string() };
    if common.markdown {
        let head = if common.head { HEAD } else { "" };
        return format!(
            "{head}| {count} clients come back | {half:.1} / {most:.1} / {all:.1} | {rate} | {p50} / {p99} / {max} | {failed} |"
        );
    }
    format!(
        "{count} clients came back\n  after the first  half {half:.1} s, 99 % {most:.1} s, all {all:.1} s ({rate}/s)\n  \
         login            p50 {p50} ms, p99 {p99} ms, max {max} ms\n  failed attempts  {failed}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_as_many_cells_as_the_header() {
        let args = Storm { connections: 4, max_seconds: None };
        let now = Instant::now();
        let book = Book {
            back: [3, 1, 2, 5].map(|seconds| now + Duration::from_secs(seconds)).into(),
            ..Book::default()
        };
        let table =
            figures(&args, Common { markdown: true, head: true, threads: 1 }, &times(&book.back), &book);
        let cells: Vec<usize> = table.lines().map(|line| line.matches('|').count()).collect();
        assert_eq!(cells, [6; 3], "{table}");
        assert!(table.contains("| 1.0 / 4.0 / 4.0 | 1 |"), "{table}");
    }

    #[test]
    fn pauses_are_those_of_the_sdk() {
        for (attempt, most) in [(1, 2.0), (5, 2.0), (6, 6.0), (19, 6.0), (20, 10.0)] {
            let seconds = pause(attempt).as_secs_f64();
            assert!((most / 2.0..=most).contains(&seconds), "{attempt}: {seconds}");
        }
    }
}
