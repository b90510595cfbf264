//! Emptying a running node: `meridian drain`, and what it asks the admin port for.

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use meridian_link::Sessions;
use std::{net::SocketAddr, time::Duration};
use tokio::time::{Instant, sleep, timeout};

const LOOK: Duration = Duration::from_millis(20);
const ANSWER_LIMIT: usize = 64 * 1024;

/// Waits until edges have moved their sessions, at most so long; gives how many are left.
pub(crate) async fn moved(sessions: &Sessions, patience: Duration) -> u64 {
    let until = Instant::now() + patience;
    while sessions.count() > 0 && Instant::now() < until {
        sleep(LOOK).await;
    }
    sessions.count()
}

/// Asks the node behind an admin port to drain, and waits until it has.
pub(crate) async fn ask(admin: SocketAddr, patience: Duration) -> anyhow::Result<bool> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<bytes::Bytes>>();
    let uri = format!("http://{admin}/drain?within_s={}", patience.as_secs());
    let request = http::Request::post(uri).body(Empty::new())?;
    let answer = timeout(patience + Duration::from_secs(5), client.request(request))
        .await
        .with_context(|| format!("{admin} did not answer in time"))?
        .with_context(|| format!("cannot reach the admin port {admin}"))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_LIMIT).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes();
    print(&body);
    match status {
        http::StatusCode::OK => Ok(true),
        http::StatusCode::CONFLICT => Ok(false),
        _ => bail!("{admin} answered {status}"),
    }
}

#[allow(clippy::print_stdout)] // the command's answer
fn print(body: &[u8]) {
    println!("{}", String::from_utf8_lossy(body));
}
