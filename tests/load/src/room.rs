//! A room of many sockets: what is told, what is left out, and what it costs the server.

use crate::{
    caller::Caller,
    cli::{Common, Target},
    client::{Connection, Login, Tls},
    cpu::CpuTime,
    histogram::Histogram,
    idle::source,
    memory,
    pairs::{fresh_resource, in_parallel},
    report::{milliseconds as ms, say},
    uplink::{self, STAMP_LENGTH, read_stamp},
    wire::{CHAT, Frame},
};
use anyhow::{Context, bail, ensure};
use futures_util::{StreamExt, stream};
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

/// Without a message for so long, nothing more comes.
const PATIENCE: Duration = Duration::from_secs(60);
/// The last message of a run has this number.
const LAST: u64 = 9_999_999_999;
/// Of ten messages; and in the burst.
const STEADY: [Level; 10] = {
    use Level::{High, Low, Normal};
    [High, Normal, Low, Normal, Low, Normal, Low, Normal, High, Low]
};

/// A room, half of whose messages matter less.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Room {
    /// Connections, each of another person in the room.
    #[arg(long, default_value_t = 10_000)]
    sockets: usize,
    /// Messages per second.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// For so many seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Messages sent at once after that: more than can be told.
    #[arg(long, default_value_t = 1000)]
    burst: usize,
    /// The server's processes, whose memory and processor time are told.
    #[arg(long, value_delimiter = ',')]
    server_pids: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    High,
    Normal,
    Low,
}

impl Level {
    const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    fn of(text: &str) -> Option<Self> {
        let word = text.get(STAMP_LENGTH..)?;
        Self::ALL.into_iter().find(|level| word == level.name())
    }
}

#[derive(Debug, Default)]
struct Figures {
    latency: Histogram,
    /// By level.
    steady: [u64; 3],
    burst: [u64; 3],
}

impl Figures {
    fn merge(&mut self, other: &Self) {
        self.latency.merge(&other.latency);
        for level in 0..3 {
            self.steady[level] += other.steady[level];
            self.burst[level] += other.burst[level];
        }
    }
}

pub(crate) async fn run(target: &Target, common: Common, args: &Room) -> anyhow::Result<Vec<String>> {
    ensure!(args.sockets > 1, "somebody must listen");
    let settings = json!({ "rate_factor": 0, "room_size_limit": args.sockets + 1, "room_history": 0 });
    let caller = Caller::new(target, settings).await?;
    caller.register(args.sockets).await?;
    let room = json!({ "name": "R", "description": "", "owner": "u0", "maxusers": args.sockets + 1 });
    let made = caller.call(Method::POST, "/chatrooms", Some(&room)).await?;
    let room = made["data"]["id"].as_str().context("a room without an id")?.to_owned();

    let begun = Instant::now();
    let connections = log_in(target, &caller, args.sockets).await?;
    let logins = begun.elapsed();
    let begun = Instant::now();
    let joins =
        connections.into_iter().enumerate().map(|(n, connection)| join(connection, &caller, n, &room));
    let mut connections = in_parallel(joins).await?;
    let joined = begun.elapsed();
    // It reads nothing until the end.
    let stalled = connections.pop();
    let listeners_count = connections.len() as u64;
    let origin = Instant::now();
    let steady = u64::from(args.rate * args.seconds);
    let mut listeners = JoinSet::new();
    for connection in connections {
        listeners.spawn(listen(connection, origin, steady));
    }
    sleep(Duration::from_secs(2)).await;

    let mut problems = Vec::new();
    let memory = |pids: &[u32]| pids.iter().map(|pid| memory::resident(*pid)).sum::<anyhow::Result<u64>>();
    let before = memory(&args.server_pids)?;
    let cpu = CpuTime::of(&args.server_pids)?;
    let begin = Instant::now();
    let (mut most, mut late) = (before, Duration::ZERO);
    let mut sends = JoinSet::new();
    let sender = Sender { caller: std::sync::Arc::new(caller), room, origin };
    for number in 0..steady {
        let due = begin + Duration::from_secs(1) / args.rate * u32::try_from(number)?;
        sleep_until(due).await;
        late = late.max(due.elapsed());
        sends.spawn(sender.clone().send(number + 1, STEADY[number as usize % 10]));
        while let Some(sent) = sends.try_join_next() {
            sent??;
        }
        if number % u64::from(args.rate) == 0 {
            most = most.max(memory(&args.server_pids)?);
        }
    }
    while let Some(sent) = sends.join_next().await {
        sent??;
    }
    let used = cpu.since(&args.server_pids, begin.elapsed())?;
    let after = memory(&args.server_pids)?;

    let burst = (0..args.burst).map(|n| sender.clone().send(steady + 1 + n as u64, STEADY[n % 10]));
    let mut sent = stream::iter(burst).buffer_unordered(crate::caller::PARALLEL);
    while let Some(sent) = sent.next().await {
        sent?;
    }
    drop(sent);
    sleep(Duration::from_secs(1)).await;
    sender.clone().send(LAST, Level::High).await?;
    let mut figures = Figures::default();
    while let Some(listened) = listeners.join_next().await {
        figures.merge(&listened.context("a listener broke down")??);
    }
    drop(stalled);

    let count_of = |total: u64, level: Level| {
        (0..total).filter(|number| STEADY[*number as usize % 10] == level).count() as u64
    };
    let share = |told: u64, sent: u64| 100.0 * told as f64 / (sent * listeners_count).max(1) as f64;
    let shares = |told: &[u64; 3], total: u64| {
        Level::ALL.map(|level| share(told[level as usize], count_of(total, level)))
    };
    let (steady_shares, burst_shares) =
        (shares(&figures.steady, steady), shares(&figures.burst, args.burst as u64));
    for (what, shares) in [("steady", steady_shares), ("burst", burst_shares)] {
        if shares[Level::High as usize] < 100.0 {
            problems
                .push(format!("{what}: {:.3} % of high priority were told", shares[Level::High as usize]));
        }
        if shares[Level::Low as usize] > shares[Level::Normal as usize] {
            problems.push(format!("{what}: normal was left out before low"));
        }
    }
    let latency = &figures.latency;
    let three =
        format!("{} / {} / {}", ms(latency.quantile(0.5)), ms(latency.quantile(0.99)), ms(latency.max()));
    let percent = |shares: [f64; 3]| shares.map(|share| format!("{share:.1}")).join(" / ");
    let mb = |bytes: u64| format!("{:.1}", bytes as f64 / 1e6);
    let cells = [
        format!("{:.1} s", logins.as_secs_f64()),
        format!("{:.1} s", joined.as_secs_f64()),
        three,
        percent(steady_shares),
        percent(burst_shares),
        format!("{} → {} (most {})", mb(before), mb(after), mb(most)),
        used.iter().map(|share| format!("{:.0} %", 100.0 * share)).collect::<Vec<_>>().join(", "),
    ];
    let title = format!("{} sockets, {}/s for {} s", args.sockets, args.rate, args.seconds);
    if common.markdown {
        if common.head {
            say(
                "| room | logins | joins | send→delivery ms: p50 / p99 / max | told %: high / normal / low | in the burst | server MB | processor |\n|---|---:|---:|---|---|---|---|---|",
            );
        }
        say(&format!("| {title} | {} |", cells.join(" | ")));
    } else {
        say(&format!(
            "{title}: logins {}, joins {}, delivery {} ms, told {} %, in the burst of {} {} %, memory {} MB, processor {}",
            cells[0], cells[1], cells[2], cells[3], args.burst, cells[4], cells[5], cells[6]
        ));
    }
    if late > Duration::from_millis(20) {
        say(&format!("the tool was up to {} ms late", ms(late)));
    }
    Ok(problems)
}

#[derive(Clone)]
struct Sender {
    caller: std::sync::Arc<Caller>,
    room: String,
    origin: Instant,
}

impl Sender {
    async fn send(self, number: u64, level: Level) -> anyhow::Result<()> {
        let micros = self.origin.elapsed().as_micros();
        let text = format!("{number:010} {micros:012} {}", level.name());
        let message = json!({ "from": "admin", "to": [self.room], "type": "txt", "body": { "msg": text },
            "chatroom_msg_level": level.name() });
        let answer: Value = self.caller.call(Method::POST, "/messages/chatrooms", Some(&message)).await?;
        ensure!(answer["data"][&self.room].is_string(), "a send was refused: {answer}");
        Ok(())
    }
}

async fn log_in(target: &Target, caller: &Caller, sockets: usize) -> anyhow::Result<Vec<Connection>> {
    let logins = (0..sockets).map(|n| async move {
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
        Connection::open(&login).await.map(|(connection, _)| connection)
    });
    in_parallel(logins).await
}

async fn join(
    mut connection: Connection,
    caller: &Caller,
    n: usize,
    room: &str,
) -> anyhow::Result<Connection> {
    connection.feed(uplink::join_room(&caller.app.app_key, &format!("u{n}"), room)).await?;
    connection.flush().await?;
    loop {
        let bytes = timeout(PATIENCE, connection.next()).await.context("a join without an answer")??;
        if let Frame::Answer { refusal, .. } = Frame::read(&bytes)? {
            match refusal {
                None => return Ok(connection),
                Some(refusal) => bail!("a join was refused: {}", refusal.reason),
            }
        }
    }
}

/// Counts what comes until the last message; numbers must rise.
async fn listen(mut connection: Connection, origin: Instant, steady: u64) -> anyhow::Result<Figures> {
    let (mut figures, mut last) = (Figures::default(), 0);
    while last < LAST {
        let Ok(bytes) = timeout(PATIENCE, connection.next()).await else { break };
        let (bytes, now) = (bytes?, Instant::now());
        let Frame::Delivery(delivery) = Frame::read(&bytes)? else { continue };
        delivery.each(|item| {
            let Some((number, due)) = read_stamp(item.text).filter(|_| item.namespace == CHAT) else {
                return;
            };
            let Some(level) = Level::of(item.text) else { return };
            last = last.max(number);
            if number <= steady {
                figures.steady[level as usize] += 1;
                figures.latency.record(now.saturating_duration_since(origin + due));
            } else if number < LAST {
                figures.burst[level as usize] += 1;
            }
        })?;
        // As every client: pings are answered with the next flush.
        connection.flush().await?;
    }
    Ok(figures)
}
