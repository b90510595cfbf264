//! Measures durable message appends: `append [folder] [seconds] [appenders] [logs] [conversations per appender]`.
//!
//! Each log has a writer as the chat logic has: it takes what its appenders send (one operation with one entry of 300
//! bytes and an idempotency key each), makes one step of it, and acknowledges after the commit.
#![allow(clippy::print_stdout)] // a tool

use bytes::Bytes;
use meridian_ports::Store;
use meridian_sqlite::{SqliteConfig, SqliteStore};
use meridian_types::{
    Audience, ConversationKey, Effect, Entry, EntryKind, Epoch, Fence, Hash, Hlc, IdempotencyKey, LogClass,
    LogHead, LogId, LoggedOperation, MessageId, Millis, Operation, RegionId, Seq, Step, TenantId, UserName,
};
use std::{
    collections::HashMap,
    error::Error,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};

const BODY_BYTES: usize = 300;

/// A message to append, and whom to tell when it is durable.
type Send = (u64, oneshot::Sender<()>);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse::<u64>());
    let (seconds, appenders, logs, conversations) = (number(10)?, number(100)?, number(16)?, number(1)?);

    let path = folder.join(format!("append-{}.db", std::process::id()));
    let store = Arc::new(SqliteStore::open(SqliteConfig::new(&path)).await?);
    let mut writers = Vec::new();
    let mut queues = Vec::new();
    for index in 0..u16::try_from(logs)? {
        let (queue, sends) = mpsc::channel(1024);
        queues.push(queue);
        writers.push(tokio::spawn(write_log(store.clone(), index, conversations, sends)));
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    let senders: Vec<_> = (0..appenders)
        .map(|appender| tokio::spawn(send(queues[(appender % logs) as usize].clone(), appender, end)))
        .collect();
    drop(queues);
    let mut waits = Vec::new();
    for sender in senders {
        waits.extend(sender.await?);
    }
    let mut steps = 0;
    for writer in writers {
        steps += writer.await?.map_err(|error| format!("writer: {error}"))?;
    }
    waits.sort_unstable();
    let (count, at) = (waits.len(), |share: f64| waits[((waits.len() - 1) as f64 * share) as usize]);
    println!(
        "{}: {appenders} appenders of {conversations} conversations, {logs} logs: {:.0} message operations/s ({count} in {steps} steps), \
         latency p50 {:?} p99 {:?}",
        store.describe(),
        count as f64 / seconds as f64,
        at(0.5),
        at(0.99)
    );
    store.close().await;
    for end in ["", ".lock"] {
        let mut file = path.clone().into_os_string();
        file.push(end);
        std::fs::remove_file(file)?;
    }
    Ok(())
}

/// Sends one message after the other until `end`; gives how long each took to be durable.
async fn send(queue: mpsc::Sender<Send>, appender: u64, end: Instant) -> Vec<Duration> {
    let mut waits = Vec::new();
    for id in 1.. {
        let started = Instant::now();
        let (durable, wait) = oneshot::channel();
        let sent = queue.send((appender << 32 | id, durable)).await.is_ok();
        if !sent || wait.await.is_err() || started > end {
            break;
        }
        waits.push(started.elapsed());
    }
    waits
}

/// The writer of one log: everything that waits becomes one step.
async fn write_log(
    store: Arc<SqliteStore>,
    index: u16,
    conversations: u64,
    mut sends: mpsc::Receiver<Send>,
) -> Result<u64, meridian_ports::Error> {
    let log = LogId::new(TenantId(1), LogClass::Owned, RegionId(0), index);
    let mut head = store.claim(log, Epoch(1), None).await?;
    let mut seqs = HashMap::new();
    let mut waiting = Vec::new();
    let mut steps = 0;
    while sends.recv_many(&mut waiting, 256).await > 0 {
        let fence = Fence { epoch: head.epoch, writer: head.writer, head: head.lsn };
        let mut operations = Vec::with_capacity(waiting.len());
        for (id, _) in &waiting {
            let logged = LoggedOperation::after(&head, message(&head, &mut seqs, conversations, *id));
            head = head.advanced_by(&logged);
            operations.push(logged);
        }
        store.append(Step { log, fence, operations }).await?;
        steps += 1;
        for (_, durable) in waiting.drain(..) {
            // A sender whose time is over has gone.
            let _ = durable.send(());
        }
    }
    Ok(steps)
}

fn message(head: &LogHead, seqs: &mut HashMap<(u64, u64), Seq>, conversations: u64, id: u64) -> Operation {
    let (appender, friend) = (id >> 32, id % conversations);
    let people = (format!("alice{appender}"), format!("bob{friend}"));
    let parse = |name: &str| UserName::parse(name).expect("a good name");
    let (alice, bob) = (parse(&people.0), parse(&people.1));
    let seq = seqs.entry((appender, friend)).or_insert(Seq(0));
    *seq = seq.next();
    let body = Bytes::from(vec![id as u8; BODY_BYTES]);
    let body_hash = Hash::of(&body);
    let entry = Entry {
        conversation: ConversationKey::pair(&alice, &bob),
        seq: *seq,
        message_id: MessageId(head.lsn.0 + 1),
        at: Millis(1_795_000_000_000),
        kind: EntryKind::Message,
        sender: alice,
        sender_device: None,
        audience: Audience::Everyone,
        target: None,
        idempotency: Some(IdempotencyKey { stream: id >> 32, id: id & 0xffff_ffff }),
        ext: Bytes::new(),
        body: Some(body),
    };
    let at = Hlc(head.hlc.0 + 1);
    Operation { name: "message".into(), at, effects: vec![Effect::Append { entry, body_hash }] }
}
