//! Many connections that say nothing: what each of them costs the server, and how long it takes to log all of them in.

use crate::{
    cli::{Common, Target},
    client::{Connection, Login, Tls},
    errors::Errors,
    histogram::Histogram,
    memory,
    pairs::{fresh_resource, tokens},
    report::{grouped, milliseconds, say},
    rest::Rest,
    uplink,
    wire::Frame,
};
use anyhow::Context;
use futures_util::{StreamExt, stream};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout},
};

/// Logins at the same time.
const LOGINS: usize = 64;
/// Local addresses that the connections are spread over, when the server is on this machine.
const SOURCES: usize = 16;
/// How long a connection may take to answer after the wait.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// Connections that log in and stay silent; every one must still answer at the end.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Idle {
    #[arg(long, default_value_t = 5000)]
    connections: usize,
    /// How long they stay silent, in seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// The server's process id.
    #[arg(long)]
    server_pid: u32,
    /// Where the connections go, when it is not where the REST calls go.
    #[arg(long)]
    sockets: Option<SocketAddr>,
    /// Connections are TLS, to a server with a certificate for `localhost` from this authority (a PEM file).
    #[arg(long)]
    tls_authority: Option<PathBuf>,
    /// Fail above so many kilobytes (of 1000 bytes) per connection.
    #[arg(long)]
    max_kb: Option<f64>,
}

/// The head of the table for rows of this workload.
const HEAD: &str = "\
| workload | kB per connection | server RSS before → after, MB | login of all | login ms: p50 / p99 / max |
|---|---:|---|---|---|
";

pub(crate) async fn run(target: &Target, common: Common, args: &Idle) -> anyhow::Result<Vec<String>> {
    let rest = Rest::new(target.listen);
    let app = rest.make_app(target.admin).await.context("cannot make an app")?;
    let users: Vec<String> = (0..args.connections).map(|number| format!("idle{number}")).collect();
    let tokens = tokens(&rest, &app, &users).await?;
    let listen = args.sockets.unwrap_or(target.listen);
    let tls = args.tls_authority.as_deref().map(Tls::of_authority).transpose()?.unwrap_or_default();
    let logins = users.into_iter().zip(tokens).enumerate().map(|(number, (user, token))| Login {
        listen,
        tls: tls.clone(),
        app_key: app.app_key.clone(),
        user,
        token,
        resource: fresh_resource(),
        source: source(listen.ip(), number),
    });

    let before = memory::resident(args.server_pid)?;
    let began = Instant::now();
    let mut latency = Histogram::default();
    let mut opened = stream::iter(logins.map(timed_login)).buffer_unordered(LOGINS);
    // Closed when the wait is over, which every connection notices.
    let over = Arc::new(Semaphore::new(0));
    let mut waiting = JoinSet::new();
    while let Some(login) = opened.next().await {
        let (connection, took) = login?;
        latency.record(took);
        waiting.spawn(stay(connection, over.clone()));
    }
    drop(opened);
    let took = began.elapsed();
    tokio::time::sleep(Duration::from_secs(args.seconds)).await;
    let after = memory::resident(args.server_pid)?;

    over.close();
    let mut errors = Errors::default();
    while let Some(stayed) = waiting.join_next().await {
        if let Err(error) = stayed.context("a connection broke down")? {
            errors.add(&format!("{error:#}"), 1);
        }
    }
    let each = after.saturating_sub(before) as f64 / args.connections.max(1) as f64 / 1000.0;
    say(&figures(args, common, each, (before, after), took, &latency));
    let mut problems = Vec::new();
    if errors.total() > 0 {
        problems.push(format!("connections that did not stay: {errors}"));
    }
    if let Some(wanted) = args.max_kb.filter(|wanted| each > *wanted) {
        problems.push(format!("{each:.1} kB per connection, wanted at most {wanted} kB"));
    }
    Ok(problems)
}

pub(crate) fn source(server: IpAddr, number: usize) -> Option<IpAddr> {
    let last = 2 + (number % SOURCES) as u8;
    (server.is_ipv4() && server.is_loopback()).then(|| Ipv4Addr::new(127, 0, 0, last).into())
}

async fn timed_login(login: Login) -> anyhow::Result<(Connection, Duration)> {
    let began = Instant::now();
    let (connection, _) = Connection::open(&login).await?;
    Ok((connection, began.elapsed()))
}

/// Answers pings until the wait is over, then asks for one sign of life.
async fn stay(mut connection: Connection, over: Arc<Semaphore>) -> anyhow::Result<()> {
    tokio::select! {
        // It never gives a permit; an error means that it was closed.
        _ = over.acquire() => {}
        frame = connection.next() => {
            frame?;
            anyhow::bail!("something was sent to a silent connection");
        }
    }
    sign_of_life(connection).await
}

/// Asks for what is owed, and gets an answer.
pub(crate) async fn sign_of_life(mut connection: Connection) -> anyhow::Result<()> {
    connection.feed(uplink::unread()).await?;
    connection.flush().await?;
    let answer = timeout(ANSWER_DEADLINE, connection.next()).await.context("no answer after the wait")??;
    match Frame::read(&answer)? {
        Frame::Unread { .. } => Ok(()),
        _ => anyhow::bail!("UNREAD was not answered"),
    }
}

fn figures(
    args: &Idle,
    common: Common,
    each: f64,
    (before, after): (u64, u64),
    took: Duration,
    latency: &Histogram,
) -> String {
    let megabytes = |bytes: u64| format!("{:.1}", bytes as f64 / 1e6);
    let (before, after) = (megabytes(before), megabytes(after));
    let count = grouped(args.connections as u64);
    let rate = grouped((args.connections as f64 / took.as_secs_f64().max(1e-9)).round() as u64);
    let took = format!("{:.1} s ({rate}/s)", took.as_secs_f64());
    let [p50, p99] = [0.5, 0.99].map(|share| milliseconds(latency.quantile(share)));
    let max = milliseconds(latency.max());
    if common.markdown {
        let head = if common.head { HEAD } else { "" };
        let tls = if args.tls_authority.is_some() { ", TLS" } else { "" };
        return format!(
            "{head}| {count} idle connections{tls} | {each:.1} | {before} → {after} | {took} | {p50} / {p99} / {max} |"
        );
    }
    format!(
        "{count} idle connections, {} s\n  per connection  {each:.1} kB\n  server RSS      {before} → {after} MB\n  \
         login of all    {took}\n  login           p50 {p50} ms, p99 {p99} ms, max {max} ms",
        args.seconds
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_connections_are_spread_over_addresses() {
        let server = IpAddr::from([127, 0, 0, 1]);
        let sources: std::collections::HashSet<_> =
            (0..100).filter_map(|number| source(server, number)).collect();
        assert_eq!(sources.len(), SOURCES);
        assert!(!sources.contains(&server));
        assert_eq!(source(IpAddr::from([192, 0, 2, 1]), 1), None);
    }

    #[test]
    fn a_row_has_as_many_cells_as_the_header() {
        let args = Idle {
            connections: 5000,
            seconds: 20,
            server_pid: 1,
            max_kb: None,
            sockets: None,
            tls_authority: None,
        };
        let mut latency = Histogram::default();
        latency.record(Duration::from_millis(3));
        let sizes = (20_000_000, 95_000_000);
        let common = Common { markdown: true, head: true, threads: 1 };
        let figures = |common| figures(&args, common, 15.0, sizes, Duration::from_secs(2), &latency);
        let table = figures(common);
        let cells: Vec<usize> = table.lines().map(|line| line.matches('|').count()).collect();
        assert_eq!(cells, [6; 3], "{table}");
        assert_eq!(
            figures(Common { head: false, ..common }),
            "| 5,000 idle connections | 15.0 | 20.0 → 95.0 | 2.0 s (2,500/s) | 3.00 / 3.00 / 3.00 |"
        );
    }
}
