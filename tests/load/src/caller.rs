//! An app of the run's own, called over REST by many callers at once.

use crate::{
    cli::Target,
    histogram::Histogram,
    rest::{AppAccess, Rest},
};
use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Calls that are under way while something is made.
pub(crate) const PARALLEL: usize = 64;

/// An app and its own token.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) rest: Rest,
    pub(crate) app: AppAccess,
    base: String,
    pub(crate) token: String,
}

impl Caller {
    pub(crate) async fn new(target: &Target, settings: Value) -> anyhow::Result<Self> {
        let rest = Rest::new(target.listen);
        let app = rest.make_app_with(target.admin, settings).await?;
        let token = rest.app_token(&app).await?;
        let (org, name) = app.app_key.split_once('#').context("app key without #")?;
        let base = format!("http://{}/{org}/{name}", target.listen);
        Ok(Self { rest, app, base, token })
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        self.rest.call(method, &format!("{}{path}", self.base), Some(&self.token), body).await
    }

    /// Registers `u0`, `u1`…
    pub(crate) async fn register(&self, users: usize) -> anyhow::Result<()> {
        // Not in batches: those need passwords, and each is worth 20 ms of a processor.
        let calls = (0..users).map(|n| async move {
            let user = json!({ "username": format!("u{n}") });
            self.call(Method::POST, "/users", Some(&user)).await.map(drop)
        });
        stream::iter(calls).buffer_unordered(PARALLEL).try_collect().await
    }

    /// Reads a list page by page. Gives the time of each, and how many items there were.
    pub(crate) async fn walk(
        &self,
        path: &str,
        limit: usize,
        pages: usize,
        items: impl Fn(&Value) -> Option<&Vec<Value>>,
    ) -> anyhow::Result<(Histogram, usize)> {
        let (mut times, mut count, mut cursor) = (Histogram::default(), 0, String::new());
        for _ in 0..pages {
            let begun = Instant::now();
            let page = self.call(Method::GET, &format!("{path}limit={limit}&cursor={cursor}"), None).await?;
            times.record(begun.elapsed());
            count += items(&page).context("a page without items")?.len();
            match page["cursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        Ok((times, count))
    }
}

pub(crate) async fn timed(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    work.await?;
    Ok(begun.elapsed())
}
