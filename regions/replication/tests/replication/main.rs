//! Replication between real stores, and against stores that lie.
#![allow(clippy::unwrap_used)] // helpers of tests

mod stores;
mod tampering;

use meridian_conformance::store::{
    history,
    log::{LogWriter, log_id, message, object, pair},
};
use meridian_memory::MemoryStore;
use meridian_ports::{ErrorKind, Store};
use meridian_replication::{BATCH, Difference, ReplicationError, apply, compare, replay, verify};
use meridian_types::{Effect, Epoch, Incarnation, Kind, Lsn, Seq};
use stores::{fill, sqlite};

/// Replays `source` into `target` in two goes, with writes in between, and expects equal stores.
async fn replay_twice(source: &dyn Store, target: &dyn Store) {
    let mut writers = fill(source).await;
    let operations = verify(source).await.unwrap();
    assert_eq!(replay(source, target).await.unwrap(), operations);
    assert_eq!(compare(source, target, 10).await.unwrap(), []);
    assert_eq!(verify(target).await.unwrap(), operations);

    let chat = pair("late", "comer");
    for writer in &mut writers {
        writer.append(vec![message(&chat, 1)]).await;
    }
    let differences = compare(source, target, 100).await.unwrap();
    let (log, seq) = (writers[0].log(), Seq(1));
    assert!(differences.contains(&Difference::Entry { log, conversation: chat, seq }), "{differences:?}");
    assert_eq!(replay(source, target).await.unwrap(), writers.len() as u64, "only what is new");
    assert_eq!(replay(source, target).await.unwrap(), 0);
    assert_eq!(compare(source, target, 10).await.unwrap(), []);

    // Equal in every answer, but for the writers, which are each store's own.
    let (mut from, mut to) = (history::read(source).await, history::read(target).await);
    for log in from.logs.iter_mut().chain(&mut to.logs) {
        log.head.writer = Incarnation(0);
    }
    assert_eq!(from, to);
}

#[tokio::test]
async fn memory_into_sqlite() {
    let (target, _folder) = sqlite().await;
    replay_twice(&MemoryStore::new(), &target).await;
}

#[tokio::test]
async fn sqlite_into_memory() {
    let (source, _folder) = sqlite().await;
    replay_twice(&source, &MemoryStore::new()).await;
}

#[tokio::test]
async fn sqlite_into_sqlite() {
    let ((source, _a), (target, _b)) = (sqlite().await, sqlite().await);
    replay_twice(&source, &target).await;
}

#[tokio::test]
async fn logs_longer_than_a_batch_are_replayed_whole() {
    let (source, target) = (MemoryStore::new(), MemoryStore::new());
    let mut writer = LogWriter::claim(&source, 1).await;
    let count = 2 * BATCH + 1;
    for _ in 0..count {
        writer.append(Vec::new()).await;
    }
    assert_eq!(replay(&source, &target).await.unwrap(), count as u64);
    assert_eq!(compare(&source, &target, 10).await.unwrap(), []);
    assert_eq!(verify(&target).await.unwrap(), count as u64);
}

#[tokio::test]
async fn a_takeover_raises_the_epoch_at_the_target() {
    let (source, target) = (MemoryStore::new(), MemoryStore::new());
    let mut writer = LogWriter::claim(&source, 1).await;
    writer.append(Vec::new()).await;
    let mut head = target.claim(log_id(1), Epoch(1), None).await.unwrap();
    head = apply(&target, &head, source.operations(log_id(1), Lsn(0), 9).await.unwrap()).await.unwrap();

    writer.head = source.claim(log_id(1), Epoch(4), None).await.unwrap();
    writer.append(Vec::new()).await;
    let rest = source.operations(log_id(1), head.lsn, 9).await.unwrap();
    head = apply(&target, &head, rest).await.unwrap();
    assert_eq!(head.epoch, Epoch(4));
    assert_eq!(target.logs(None, 9).await.unwrap(), [head]);
    assert_eq!(compare(&source, &target, 9).await.unwrap(), []);
}

#[tokio::test]
async fn a_target_that_went_its_own_way_is_refused() {
    let (source, target) = (MemoryStore::new(), MemoryStore::new());
    let put = |id| vec![Effect::PutObject(object("user", id, 1, 1))];
    let mut writer = LogWriter::claim(&source, 1).await;
    writer.append(put("alice")).await;
    writer.append(put("bob")).await;
    let mut other = LogWriter::claim(&target, 1).await;
    other.append(put("mallory")).await;
    let refused = replay(&source, &target).await.unwrap_err();
    assert!(matches!(refused, ReplicationError::Diverged { target: Lsn(1), .. }), "{refused}");
    assert_eq!(refused.to_string(), "log 7.O1.1: the target at lsn 1 has other operations than the source");

    let differences = compare(&source, &target, 100).await.unwrap();
    let object = |id: &str| Difference::Object { log: log_id(1), kind: Kind::new("user"), id: id.into() };
    assert!(matches!(differences[0], Difference::Head { first: (Lsn(2), _), second: (Lsn(1), _), .. }));
    assert_eq!(differences[1..], ["alice", "bob", "mallory"].map(object));
    assert_eq!(compare(&source, &target, 2).await.unwrap(), differences[..2], "the list is bounded");

    let mut other = LogWriter { store: &target, head: target.logs(None, 1).await.unwrap()[0] };
    other.append(Vec::new()).await;
    other.append(Vec::new()).await;
    let refused = replay(&source, &target).await.unwrap_err();
    assert!(matches!(refused, ReplicationError::TargetAhead { .. }), "{refused}");
}

#[tokio::test]
async fn a_missing_log_is_a_difference_whichever_side_it_is() {
    let (a, b) = (MemoryStore::new(), MemoryStore::new());
    LogWriter::claim(&a, 1).await;
    LogWriter::claim(&b, 2).await;
    let expected = [
        Difference::MissingLog { log: log_id(1), first: false },
        Difference::MissingLog { log: log_id(2), first: true },
    ];
    assert_eq!(compare(&a, &b, 9).await.unwrap(), expected);
}

#[tokio::test]
async fn applying_to_a_log_that_another_claimed_is_fenced() {
    let (source, target) = (MemoryStore::new(), MemoryStore::new());
    LogWriter::claim(&source, 1).await.append(Vec::new()).await;
    let head = target.claim(log_id(1), Epoch(1), None).await.unwrap();
    target.claim(log_id(1), Epoch(1), None).await.unwrap();
    let refused = apply(&target, &head, source.operations(log_id(1), Lsn(0), 9).await.unwrap()).await;
    let Err(ReplicationError::Store { source, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(source.kind(), ErrorKind::Fenced);
}
