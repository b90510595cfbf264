//! A small group and a large one: what a message, a page of members, coming and going cost in each.

use crate::{
    caller::{Caller, PARALLEL, timed},
    cli::{Common, Target},
    client::{Connection, Login, Tls},
    histogram::Histogram,
    idle::source,
    pairs::{fresh_resource, in_parallel},
    report::{milliseconds as ms, say},
    uplink::{STAMP_LENGTH, read_stamp},
    wire::{CHAT, Frame},
};
use anyhow::{Context, bail, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

/// Members of the group that the large one is compared with.
const SMALL: usize = 10;
/// Members that one call brings in.
const ADDED: usize = 60;
const PAGE: usize = 100;
/// Times that somebody comes and goes.
const VISITS: usize = 200;
/// For a message to reach everybody.
const PATIENCE: Duration = Duration::from_secs(60);

/// A group of 10 and a large one.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Group {
    /// Members of the large group.
    #[arg(long, default_value_t = 10_000)]
    members: usize,
    /// How many of them are connected.
    #[arg(long, default_value_t = 1000)]
    online: usize,
    /// Messages to each group.
    #[arg(long, default_value_t = 200)]
    messages: usize,
    /// Messages per second.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// Fail when the 99th percentile of a page of members is greater, in milliseconds.
    #[arg(long)]
    max_page_p99_ms: Option<u64>,
}

struct Figures {
    sent: Histogram,
    delivered: Histogram,
    deliveries: u64,
}

pub(crate) async fn run(target: &Target, common: Common, args: &Group) -> anyhow::Result<Vec<String>> {
    ensure!(args.members > SMALL && args.online <= args.members, "the large group must be large");
    let settings = json!({ "rate_factor": 0, "group_size_limit": args.members + 1 });
    let caller = Caller::new(target, settings).await?;
    // One more, who comes and goes.
    let registered = timed(caller.register(args.members + 1)).await?;
    if common.markdown && common.head {
        say(
            "| group | send ms: p50 / p99 / max | send→delivery ms: p50 / p99 / max | deliveries | come ms: p50 / p99 | go ms: p50 / p99 |\n|---|---|---|---:|---|---|",
        );
    }
    let mut problems = Vec::new();
    for (members, online) in [(SMALL, SMALL), (args.members, args.online)] {
        let group = make(&caller, members).await?;
        let figures = talk(target, &caller, &group, online, args).await?;
        let (come, go) = visit(&caller, &group, args.members).await?;
        let three = |times: &Histogram| {
            format!("{} / {} / {}", ms(times.quantile(0.5)), ms(times.quantile(0.99)), ms(times.max()))
        };
        let two = |times: &Histogram| format!("{} / {}", ms(times.quantile(0.5)), ms(times.quantile(0.99)));
        let title = format!("{members} members, {online} online, {}/s", args.rate);
        let cells = [
            three(&figures.sent),
            three(&figures.delivered),
            figures.deliveries.to_string(),
            two(&come),
            two(&go),
        ];
        match common.markdown {
            true => say(&format!("| {title} | {} |", cells.join(" | "))),
            false => say(&format!(
                "{title}: send {} ms, delivery {} ms, {} deliveries, come {} ms, go {} ms",
                cells[0], cells[1], cells[2], cells[3], cells[4]
            )),
        }
        let expected = (online * args.messages) as u64;
        if figures.deliveries != expected {
            problems.push(format!("{} of {expected} deliveries", figures.deliveries));
        }
        if members > SMALL {
            let path = format!("/chatgroups/{group}/users?");
            let pages = members.div_ceil(PAGE) + 1;
            let (times, seen) = caller.walk(&path, PAGE, pages, |page| page["data"].as_array()).await?;
            say(&format!("\n{seen} members, {PAGE} a page: {} ms (p50 / p99 / max)", three(&times)));
            if seen != members {
                problems.push(format!("{seen} of {members} members were listed"));
            }
            if args.max_page_p99_ms.is_some_and(|limit| times.quantile(0.99) > Duration::from_millis(limit)) {
                problems.push(format!("a p99 of {} ms for a page of members", ms(times.quantile(0.99))));
            }
        }
    }
    say(&format!("users made in {:.1} s", registered.as_secs_f64()));
    Ok(problems)
}

/// A group of `u0` with so many members.
async fn make(caller: &Caller, members: usize) -> anyhow::Result<String> {
    let group = json!({ "groupname": "G", "description": "", "public": true, "owner": "u0", "maxusers": members + 1 });
    let made = caller.call(Method::POST, "/chatgroups", Some(&group)).await?;
    let id = made["data"]["groupid"].as_str().context("a group without an id")?.to_owned();
    let path = format!("/chatgroups/{id}/users");
    let others: Vec<String> = (1..members).map(|n| format!("u{n}")).collect();
    let calls = others.chunks(ADDED).map(|names| {
        let (path, names) = (path.clone(), json!({ "usernames": names }));
        async move { caller.call(Method::POST, &path, Some(&names)).await.map(drop) }
    });
    let begun = Instant::now();
    stream::iter(calls).buffer_unordered(PARALLEL).try_collect::<()>().await?;
    say(&format!("{members} members brought in in {:.1} s", begun.elapsed().as_secs_f64()));
    Ok(id)
}

/// Sends to the group while so many members listen.
async fn talk(
    target: &Target,
    caller: &Caller,
    group: &str,
    online: usize,
    args: &Group,
) -> anyhow::Result<Figures> {
    let logins = (0..online).map(|n| async move {
        let user = format!("u{n}");
        let token = caller.rest.user_token(&caller.app, &caller.token, &user).await?;
        let listen = target.core(n);
        let login = Login {
            listen,
            tls: Tls::default(),
            app_key: caller.app.app_key.clone(),
            user,
            token,
            resource: fresh_resource(),
            source: source(listen.ip(), n),
        };
        Connection::open(&login).await
    });
    let connections = in_parallel(logins).await?;
    let origin = Instant::now();
    let mut listeners = JoinSet::new();
    for (connection, owed) in connections {
        listeners.spawn(listen(connection, owed, origin, args.messages));
    }
    // What they were owed is out of the way.
    tokio::time::sleep(Duration::from_secs(2)).await;

    let mut sent = Histogram::default();
    let begin = Instant::now();
    for number in 0..args.messages {
        sleep_until(begin + Duration::from_secs(1) / args.rate * u32::try_from(number)?).await;
        let now = Instant::now();
        let text = format!("{:010} {:012} ", number + 1, now.duration_since(origin).as_micros());
        debug_assert_eq!(text.len(), STAMP_LENGTH);
        let message = json!({ "from": "admin", "to": [group], "type": "txt", "body": { "msg": text } });
        let answer: Value = caller.call(Method::POST, "/messages/chatgroups", Some(&message)).await?;
        ensure!(answer["data"][group].is_string(), "a send was refused: {answer}");
        sent.record(now.elapsed());
    }
    let mut figures = Figures { sent, delivered: Histogram::default(), deliveries: 0 };
    while let Some(listened) = listeners.join_next().await {
        let (latency, count) = listened.context("a listener broke down")??;
        figures.delivered.merge(&latency);
        figures.deliveries += count;
    }
    Ok(figures)
}

/// Takes everything as the SDK does until so many messages have come, or too long after the last.
async fn listen(
    mut connection: Connection,
    owed: Vec<bytes::Bytes>,
    origin: Instant,
    messages: usize,
) -> anyhow::Result<(Histogram, u64)> {
    let (mut latency, mut count, mut last) = (Histogram::default(), 0, 0);
    for queue in owed {
        connection.feed(crate::uplink::pull(&queue, None)).await?;
    }
    connection.flush().await?;
    while last < messages as u64 {
        let bytes = match timeout(PATIENCE, connection.next()).await {
            Ok(bytes) => bytes?,
            Err(_) => break,
        };
        let (frame, now) = (Frame::read(&bytes)?, Instant::now());
        let mut wrong = None;
        if let Frame::Delivery(delivery) = &frame {
            delivery.each(|item| {
                if let Some((number, due)) = read_stamp(item.text).filter(|_| item.namespace == CHAT) {
                    if number != last + 1 {
                        wrong = Some(format!("message {number} after {last}"));
                    }
                    last = number;
                    count += 1;
                    latency.record(now.saturating_duration_since(origin + due));
                }
            })?;
        }
        if let Some(wrong) = wrong {
            bail!(wrong);
        }
        connection.follow_up(&frame).await?;
        connection.flush().await?;
    }
    Ok((latency, count))
}

/// Somebody comes and goes again and again.
async fn visit(caller: &Caller, group: &str, number: usize) -> anyhow::Result<(Histogram, Histogram)> {
    let (mut come, mut go) = (Histogram::default(), Histogram::default());
    let path = format!("/chatgroups/{group}/users/u{number}");
    for _ in 0..VISITS {
        for (method, times) in [(Method::POST, &mut come), (Method::DELETE, &mut go)] {
            let begun = Instant::now();
            caller.call(method, &path, None).await?;
            times.record(begun.elapsed());
        }
    }
    Ok((come, go))
}
