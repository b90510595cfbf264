//! What is SQLite's own: the lock, read-only opening, a full disk, closing, a full queue.
#![allow(clippy::unwrap_used)] // helpers of tests

use bytes::Bytes;
use futures_util::future;
use meridian_conformance::store::{
    history,
    log::{LogWriter, append, entry, log_id, message, pair},
};
use meridian_ports::{EntryRange, ErrorKind, Store};
use meridian_sqlite::{OpenError, SqliteConfig, SqliteStore};
use meridian_types::{Entry, Epoch, Lsn, Seq};
use std::{fs, path::PathBuf, sync::Arc};
use tempfile::TempDir;

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn config(&self) -> SqliteConfig {
        SqliteConfig::new(self.path())
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    async fn open(&self) -> SqliteStore {
        SqliteStore::open(self.config()).await.unwrap()
    }
}

#[tokio::test]
async fn a_second_writer_is_refused_until_the_first_has_closed() {
    let place = Place::new();
    let first = place.open().await;
    let refused = SqliteStore::open(place.config()).await.unwrap_err();
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
    assert!(refused.to_string().contains("store.db is in use by another process"), "{refused}");
    first.claim(log_id(1), Epoch(1), None).await.unwrap();
    first.close().await;
    let second = place.open().await;
    assert_eq!(second.logs(None, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_read_only_store_reads_beside_the_writer_and_refuses_writes() {
    let place = Place::new();
    assert!(SqliteStore::open_read_only(place.config()).await.is_err(), "nothing there yet");
    let store = place.open().await;
    let mut writer = LogWriter::claim(&store, 1).await;
    let reader = SqliteStore::open_read_only(place.config()).await.unwrap();
    writer.append(vec![message(&pair("a", "b"), 1)]).await;
    assert_eq!(history::read(&reader).await, history::read(&store).await);
    let refused = reader.claim(log_id(1), Epoch(1), None).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    let (step, _) = writer.step(vec![Vec::new()]);
    assert_eq!(reader.append(step).await.unwrap_err().kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_full_store_refuses_surely_and_heals() {
    let place = Place::new();
    let store = SqliteStore::open(place.config()).await.unwrap();
    let mut writer = LogWriter::claim(&store, 1).await;
    let chat = pair("a", "b");
    writer.append(vec![message(&chat, 1)]).await;
    let before = history::read(&store).await;
    store.set_size_limit(Some(256 << 10)).await.unwrap();

    let large = |seq| append(Entry { body: Some(Bytes::from(vec![1; 1 << 20])), ..entry(&chat, seq) });
    for _ in 0..3 {
        let refused = writer.try_append(vec![large(2)]).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Full);
        assert!(refused.surely_not_done() && refused.is_retryable());
        assert_eq!(history::read(&store).await, before, "reads go on, nothing was written");
    }
    // What still fits is taken, and all is well when space is back.
    writer.append(vec![message(&chat, 2)]).await;
    store.set_size_limit(None).await.unwrap();
    writer.append(vec![large(3)]).await;
    store.close().await;
    let last = place.open().await.entries(log_id(1), &chat, EntryRange::before(Seq(9), 1)).await.unwrap();
    assert_eq!(last[0].seq, Seq(3));
}

#[tokio::test]
async fn closing_takes_what_waits_and_leaves_one_file() {
    let place = Place::new();
    let store = Arc::new(place.open().await);
    let mut heads = Vec::new();
    for index in 0..20 {
        heads.push(LogWriter::claim(&*store, index).await.head);
    }
    let steps =
        heads.iter().map(|head| LogWriter { store: &*store, head: *head }.step(vec![Vec::new(); 5]).0);
    let (answers, ()) =
        future::join(future::join_all(steps.map(|step| store.append(step))), store.close()).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert!(!place.folder.path().join("store.db-wal").exists(), "the last to close cuts the WAL");

    let (step, _) = LogWriter { store: &*store, head: heads[0] }.step(vec![Vec::new()]);
    let refused = store.append(step).await.unwrap_err();
    assert!(refused.kind() == ErrorKind::Unavailable && refused.surely_not_done(), "{refused}");
    assert_eq!(store.logs(None, 1).await.unwrap_err().kind(), ErrorKind::Unavailable);
    store.close().await;

    let heads = place.open().await.logs(None, 99).await.unwrap();
    assert!(heads.iter().all(|head| head.lsn == Lsn(5)), "{heads:?}");
}

#[tokio::test]
async fn a_dropped_append_is_still_taken() {
    let place = Place::new();
    let store = place.open().await;
    let writer = LogWriter::claim(&store, 1).await;
    let (step, head) = writer.step(vec![vec![message(&pair("a", "b"), 1)]]);
    // Polled once, which queues it, then dropped.
    assert!(future::poll_immediate(store.append(step)).await.is_none());
    // Claims queue behind it.
    assert_eq!(store.claim(log_id(1), Epoch(1), None).await.unwrap().lsn, head.lsn);
}

/// On one thread the writer runs only when this task waits, so all appends meet one full queue.
#[tokio::test(flavor = "current_thread")]
async fn a_full_queue_is_busy() {
    let place = Place::new();
    let mut config = place.config();
    config.queue = 4;
    let store = SqliteStore::open(config).await.unwrap();
    let mut heads = Vec::new();
    for index in 0..10 {
        heads.push(LogWriter::claim(&store, index).await.head);
    }
    let steps = heads.iter().map(|head| LogWriter { store: &store, head: *head }.step(vec![Vec::new()]).0);
    let answers = future::join_all(steps.map(|step| store.append(step))).await;
    let (taken, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((taken.len(), refused.len()), (4, 6));
    for refused in refused.into_iter().filter_map(Result::err) {
        assert!(refused.kind() == ErrorKind::Busy && refused.surely_not_done(), "{refused}");
    }
}

#[tokio::test]
async fn a_newer_or_foreign_file_is_refused_by_name() {
    let place = Place::new();
    place.open().await.close().await;
    let mut file = fs::read(place.path()).unwrap();
    file[60..64].copy_from_slice(&99_u32.to_be_bytes()); // user_version in the file header
    fs::write(place.path(), file).unwrap();
    let refused = SqliteStore::open(place.config()).await.unwrap_err();
    assert!(matches!(refused, OpenError::TooNew { found: 99, .. }), "{refused}");
    let refused = SqliteStore::open_read_only(place.config()).await.unwrap_err();
    assert!(matches!(refused, OpenError::TooNew { found: 99, .. }), "{refused}");

    fs::write(place.path(), vec![b'x'; 8192]).unwrap();
    let refused = SqliteStore::open(place.config()).await.unwrap_err();
    assert!(matches!(refused, OpenError::Database { .. }), "{refused}");
}

#[tokio::test]
async fn settings_out_of_range_are_refused_by_name() {
    let mut config = Place::new().config();
    config.read_connections = 0;
    let refused = SqliteStore::open(config).await.unwrap_err();
    assert_eq!(refused.to_string(), "read_connections must be in 1..=64");
}
