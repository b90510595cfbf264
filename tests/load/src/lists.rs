//! Long lists: an app with many users and a user with many contacts, read page by page over REST.

use crate::{
    cli::{Common, Target},
    histogram::Histogram,
    report::{milliseconds as ms, say},
    rest::{AppAccess, Rest},
};
use anyhow::{Context, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Calls that are under way while the lists are made.
const PARALLEL: usize = 64;
const USERS_PAGE: usize = 100;
const CONTACTS_PAGE: usize = 50;
/// Times that the whole contact list is asked for.
const WHOLE: usize = 20;
const OWNER: &str = "u0";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Lists {
    /// Users of the app.
    #[arg(long, default_value_t = 100_000)]
    users: usize,
    /// Contacts of one of them.
    #[arg(long, default_value_t = 10_000)]
    contacts: usize,
    /// Pages of users that are read, at most.
    #[arg(long, default_value_t = 2_000)]
    pages: usize,
    /// Fail when the 99th percentile of a page is greater, in milliseconds.
    #[arg(long)]
    max_p99_ms: Option<u64>,
}

struct Caller {
    rest: Rest,
    base: String,
    token: String,
}

impl Caller {
    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        self.rest.call(method, &format!("{}{path}", self.base), Some(&self.token), body).await
    }
}

pub(crate) async fn run(target: &Target, common: Common, args: &Lists) -> anyhow::Result<Vec<String>> {
    ensure!(args.contacts < args.users, "there must be more users than contacts");
    let rest = Rest::new(target.listen);
    let app: AppAccess = rest
        .make_app_with(target.admin, json!({ "max_contacts": args.contacts + 1, "rate_factor": 0 }))
        .await?;
    let token = rest.app_token(&app).await?;
    let (org, name) = app.app_key.split_once('#').context("app key without #")?;
    let caller = Caller { rest, base: format!("http://{}/{org}/{name}", target.listen), token };

    let registered = timed(register(&caller, args.users)).await?;
    let befriended = timed(befriend(&caller, args.contacts)).await?;
    let (users, seen) =
        walk(&caller, "/users?", USERS_PAGE, args.pages, |page| page["entities"].as_array()).await?;
    let path = format!("/user/{OWNER}/contacts?");
    let all = args.contacts.div_ceil(CONTACTS_PAGE) + 1;
    let (contacts, listed) =
        walk(&caller, &path, CONTACTS_PAGE, all, |page| page["data"]["contacts"].as_array()).await?;
    let mut whole = Histogram::default();
    for _ in 0..WHOLE {
        let begun = Instant::now();
        let list = caller.call(Method::GET, &format!("/users/{OWNER}/contacts/users"), None).await?;
        whole.record(begun.elapsed());
        ensure!(list["count"] == args.contacts, "the list of contacts has {}", list["count"]);
    }

    let expected = args.users.min(args.pages * USERS_PAGE);
    let mut problems = Vec::new();
    if seen != expected || listed != args.contacts {
        problems.push(format!(
            "{seen} of {expected} users and {listed} of {} contacts were listed",
            args.contacts
        ));
    }
    let rows = [
        (format!("{seen} of {} users, {USERS_PAGE} a page", args.users), &users),
        (format!("{} contacts, {CONTACTS_PAGE} a page", args.contacts), &contacts),
        (format!("{} contacts at once", args.contacts), &whole),
    ];
    if common.markdown && common.head {
        say("| list | ms: p50 / p99 / max |\n|---|---|");
    }
    for (title, times) in &rows {
        let cells =
            format!("{} / {} / {}", ms(times.quantile(0.5)), ms(times.quantile(0.99)), ms(times.max()));
        match common.markdown {
            true => say(&format!("| {title} | {cells} |")),
            false => say(&format!("{title}: {cells} ms (p50 / p99 / max)")),
        }
    }
    let made = (registered.as_secs_f64(), befriended.as_secs_f64());
    say(&format!("\nusers made in {:.1} s, contacts in {:.1} s", made.0, made.1));
    for (title, times) in &rows[..2] {
        if args.max_p99_ms.is_some_and(|limit| times.quantile(0.99) > Duration::from_millis(limit)) {
            problems.push(format!("{title}: a p99 of {} ms", ms(times.quantile(0.99))));
        }
    }
    Ok(problems)
}

async fn timed(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    work.await?;
    Ok(begun.elapsed())
}

async fn register(caller: &Caller, users: usize) -> anyhow::Result<()> {
    // Not in batches: those need passwords, and each is worth 20 ms of a processor.
    let calls = (0..users).map(|n| async move {
        let user = json!({ "username": format!("u{n}") });
        caller.call(Method::POST, "/users", Some(&user)).await.map(drop)
    });
    stream::iter(calls).buffer_unordered(PARALLEL).try_collect().await
}

async fn befriend(caller: &Caller, contacts: usize) -> anyhow::Result<()> {
    let calls = (1..=contacts).map(|n| async move {
        let path = format!("/users/{OWNER}/contacts/users/u{n}");
        caller.call(Method::POST, &path, None).await.map(drop)
    });
    stream::iter(calls).buffer_unordered(PARALLEL).try_collect().await
}

/// Reads a list page by page. Gives the time of each, and how many items there were.
async fn walk(
    caller: &Caller,
    path: &str,
    limit: usize,
    pages: usize,
    items: impl Fn(&Value) -> Option<&Vec<Value>>,
) -> anyhow::Result<(Histogram, usize)> {
    let (mut times, mut count, mut cursor) = (Histogram::default(), 0, String::new());
    for _ in 0..pages {
        let begun = Instant::now();
        let page = caller.call(Method::GET, &format!("{path}limit={limit}&cursor={cursor}"), None).await?;
        times.record(begun.elapsed());
        count += items(&page).context("a page without items")?.len();
        match page["cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    Ok((times, count))
}
