//! Feeds beside writers: nothing that was acknowledged is ever skipped, nothing half done is ever seen.

use super::{
    StoreFixture,
    log::{LogWriter, erase, log_id, message, object, pair},
};
use crate::Outcome;
use meridian_ports::{EntryRange, ObjectPage, Store};
use meridian_types::{Effect, Kind, LogHead, LogId, Lsn, Seq};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use tokio::{sync::Mutex, task::JoinSet};

pub async fn a_feed_pages_and_keeps_its_chain(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let mut writer = LogWriter::claim(store, 1).await;
    let start = writer.head;
    let chat = pair("a", "b");
    for seq in 1..=20 {
        writer.append(vec![message(&chat, seq)]).await;
    }
    for limit in [1, 3, 7, 20, 1000] {
        let mut head = start;
        loop {
            let page = store.operations(writer.log(), head.lsn, limit).await.unwrap();
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            for logged in &page {
                assert!(logged.follows(head.lsn, &head.chain), "{} does not follow {}", logged.lsn, head.lsn);
                head = head.advanced_by(logged);
            }
        }
        assert_eq!(head, writer.head, "limit {limit}");
    }
    assert_eq!(store.operations(writer.log(), Lsn(0), 0).await.unwrap(), []);
    assert_eq!(store.operations(writer.log(), Lsn(u64::MAX), 9).await.unwrap(), []);
    assert_eq!(store.operations(log_id(9), Lsn(0), 9).await.unwrap(), []);
    Outcome::Ran
}

/// 16 tasks write one log through a shared writer, and three readers follow it.
pub async fn a_feed_of_one_log_has_no_gaps(fixture: StoreFixture) -> Outcome {
    follow_while_written(fixture.store, 1, 16, 30).await;
    Outcome::Ran
}

/// As above for many logs at once, whose steps a backend may commit together.
pub async fn feeds_of_many_logs_have_no_gaps(fixture: StoreFixture) -> Outcome {
    follow_while_written(fixture.store, 12, 3, 25).await;
    Outcome::Ran
}

/// Each log: `writers` tasks, each `rounds` steps of one to three operations.
async fn follow_while_written(store: Arc<dyn Store>, logs: u16, writers: u64, rounds: u64) {
    let mut tasks = JoinSet::new();
    for index in 0..logs {
        let head = LogWriter::claim(&*store, index).await.head;
        let (shared, acknowledged) = (Arc::new(Mutex::new(head)), Arc::new(AtomicU64::new(0)));
        let total = writers * (0..rounds).map(|round| round % 3 + 1).sum::<u64>();
        for writer in 0..writers {
            tasks.spawn(write_rounds(store.clone(), shared.clone(), acknowledged.clone(), writer, rounds));
        }
        for limit in [2, 64, usize::MAX] {
            tasks.spawn(follow(store.clone(), head, acknowledged.clone(), total, limit));
        }
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
}

async fn write_rounds(
    store: Arc<dyn Store>,
    shared: Arc<Mutex<LogHead>>,
    acknowledged: Arc<AtomicU64>,
    writer: u64,
    rounds: u64,
) {
    // A conversation of this writer alone, so that its seq needs no sharing.
    let chat = pair("reader", &format!("writer{writer}"));
    let mut seq = 0;
    for round in 0..rounds {
        let operations = (0..=round % 3).map(|_| {
            seq += 1;
            vec![message(&chat, seq)]
        });
        let operations: Vec<_> = operations.collect();
        let mut head = shared.lock().await;
        let (step, next) = LogWriter { store: &*store, head: *head }.step(operations);
        store.append(step).await.unwrap();
        *head = next;
        acknowledged.fetch_max(next.lsn.0, Ordering::SeqCst);
    }
}

/// Follows a log by lsn up to `total` operations.
async fn follow(
    store: Arc<dyn Store>,
    mut head: LogHead,
    acknowledged: Arc<AtomicU64>,
    total: u64,
    limit: usize,
) {
    let mut seqs = std::collections::HashMap::new();
    while head.lsn.0 < total {
        let known = acknowledged.load(Ordering::SeqCst);
        let before = head.lsn;
        for mut logged in store.operations(head.log, head.lsn, limit).await.unwrap() {
            assert!(logged.follows(head.lsn, &head.chain), "{} came after {}", logged.lsn, head.lsn);
            head = head.advanced_by(&logged);
            for entry in logged.operation.appended_mut() {
                assert!(entry.body.is_some(), "a body is missing at {}", head.lsn);
                let last = seqs.insert(entry.conversation.clone(), entry.seq).unwrap_or_default();
                assert_eq!(entry.seq, last.next());
            }
        }
        let owed = known.min(before.0.saturating_add(limit as u64));
        assert!(head.lsn.0 >= owed, "a read after {before} ended at {}, {known} was acknowledged", head.lsn);
        tokio::task::yield_now().await;
    }
}

pub async fn reads_see_what_was_acknowledged(fixture: StoreFixture) -> Outcome {
    let mut tasks = JoinSet::new();
    for index in 0..6 {
        let store = fixture.store.clone();
        tasks.spawn(async move {
            let mut writer = LogWriter::claim(&*store, index).await;
            let chat = pair("a", "b");
            for round in 1..=25_u64 {
                let object = object("user", "a", round as i64, round);
                writer.append(vec![message(&chat, round), Effect::PutObject(object.clone())]).await;
                // From another task, as a request that was told of the append would.
                let (store, log, chat, lsn) = (store.clone(), writer.log(), chat.clone(), writer.head.lsn);
                let reading = tokio::spawn(async move { see(&*store, log, &chat, lsn, round).await });
                assert_eq!(reading.await.unwrap(), object);
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    Outcome::Ran
}

async fn see(
    store: &dyn Store,
    log: LogId,
    chat: &meridian_types::ConversationKey,
    lsn: Lsn,
    round: u64,
) -> meridian_types::Object {
    let last = store.entries(log, chat, EntryRange::before(Seq(u64::MAX), 1)).await.unwrap();
    assert_eq!(last.first().map(|entry| entry.seq), Some(Seq(round)));
    let heads = store.conversation_heads(&[(log, chat.clone())]).await.unwrap();
    assert_eq!(heads.first().map(|head| head.seq), Some(Seq(round)));
    let feed = store.operations(log, Lsn(lsn.0 - 1), 9).await.unwrap();
    assert_eq!(feed.first().map(|logged| logged.lsn), Some(lsn));
    store.object(log, &Kind::new("user"), "a").await.unwrap().unwrap()
}

/// Each step puts two objects at the same version, appends a message, and erases the one before.
pub async fn a_read_beside_an_append_sees_whole_steps(fixture: StoreFixture) -> Outcome {
    const STEPS: u64 = 60;
    let store = fixture.store;
    let head = LogWriter::claim(&*store, 1).await.head;
    let done = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    for _ in 0..2 {
        let (store, done) = (store.clone(), done.clone());
        readers.spawn(async move {
            while !done.load(Ordering::SeqCst) {
                assert_whole_steps(&*store).await;
                tokio::task::yield_now().await;
            }
        });
    }
    let mut writer = LogWriter { store: &*store, head };
    let chat = pair("a", "b");
    for version in 1..=STEPS {
        let put = |id| Effect::PutObject(object("user", id, 1, version));
        let (step, head) = writer.step(vec![
            vec![put("a"), message(&chat, version)],
            vec![erase(&chat, version - 1)],
            vec![put("b")],
        ]);
        store.append(step).await.unwrap();
        writer.head = head;
    }
    done.store(true, Ordering::SeqCst);
    while let Some(reader) = readers.join_next().await {
        reader.unwrap();
    }
    assert_whole_steps(&*store).await;
    Outcome::Ran
}

async fn assert_whole_steps(store: &dyn Store) {
    let pair_of = store.objects(&[log_id(1)], &Kind::new("user"), ObjectPage::new(None, 9)).await.unwrap();
    let versions: Vec<_> = pair_of.iter().map(|(_, object)| object.version).collect();
    assert!(versions.is_empty() || versions.len() == 2 && versions[0] == versions[1], "{versions:?}");

    let mut feed = store.operations(log_id(1), Lsn(0), usize::MAX).await.unwrap();
    assert_eq!(feed.len() % 3, 0, "a part of a step");
    let steps = feed.len() as u64 / 3;
    let bodies = feed
        .iter_mut()
        .flat_map(|logged| logged.operation.appended_mut())
        .filter(|entry| entry.body.is_some())
        .map(|entry| entry.seq.0);
    let expected: Vec<_> = (steps > 0).then_some(steps).into_iter().collect();
    assert_eq!(bodies.collect::<Vec<_>>(), expected, "of {steps} steps only the last has its body");
}
