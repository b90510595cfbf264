//! Long lists: an app with many users and a user with many contacts, read page by page over REST.

use crate::{
    caller::{Caller, PARALLEL, timed},
    cli::{Common, Target},
    histogram::Histogram,
    report::{milliseconds as ms, say},
};
use anyhow::ensure;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::Method;
use serde_json::json;
use std::time::{Duration, Instant};

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

pub(crate) async fn run(target: &Target, common: Common, args: &Lists) -> anyhow::Result<Vec<String>> {
    ensure!(args.contacts < args.users, "there must be more users than contacts");
    let settings = json!({ "max_contacts": args.contacts + 1, "rate_factor": 0 });
    let caller = Caller::new(target, settings).await?;

    let registered = timed(caller.register(args.users)).await?;
    let befriended = timed(befriend(&caller, args.contacts)).await?;
    let (users, seen) =
        caller.walk("/users?", USERS_PAGE, args.pages, |page| page["entities"].as_array()).await?;
    let path = format!("/user/{OWNER}/contacts?");
    let all = args.contacts.div_ceil(CONTACTS_PAGE) + 1;
    let (contacts, listed) =
        caller.walk(&path, CONTACTS_PAGE, all, |page| page["data"]["contacts"].as_array()).await?;
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

async fn befriend(caller: &Caller, contacts: usize) -> anyhow::Result<()> {
    let calls = (1..=contacts).map(|n| async move {
        let path = format!("/users/{OWNER}/contacts/users/u{n}");
        caller.call(Method::POST, &path, None).await.map(drop)
    });
    stream::iter(calls).buffer_unordered(PARALLEL).try_collect().await
}
