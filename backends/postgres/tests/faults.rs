//! What is PostgreSQL's own: a server that stops and comes back, several stores on one database, several addresses.
#![allow(clippy::unwrap_used)] // helpers of tests

use futures_util::future;
use meridian_conformance::{
    block_on,
    store::{
        history,
        log::{LogWriter, log_id, message, pair},
    },
};
use meridian_ports::{Directory, EntryRange, ErrorKind, NodeId, NodeInfo, Store};
use meridian_postgres::{OpenError, PgConfig, PgDirectory, PgStore};
use meridian_services::{Postgres, free_port};
use meridian_types::{Epoch, Incarnation, LogHead, Seq};
use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// One server for what needs no server of its own, a schema for each case.
static SERVER: LazyLock<Postgres> = LazyLock::new(Postgres::start);
static SCHEMAS: AtomicU64 = AtomicU64::new(0);

fn fresh_url() -> String {
    format!("{}?schema=case_{}", SERVER.url("postgres"), SCHEMAS.fetch_add(1, Ordering::Relaxed))
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn open(url: &str) -> PgStore {
    PgStore::open(PgConfig::parse(url).unwrap()).await.unwrap()
}

/// Appends one message after another to a log, through failures, as a core does: after an outcome that is not known it
/// claims the log again and looks. Gives the number of acknowledged messages.
async fn send(store: Arc<PgStore>, index: u16, stop: Arc<AtomicBool>, acknowledged: Arc<AtomicU64>) -> u64 {
    let chat = pair("a", "b");
    let mut head: Option<LogHead> = None;
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        let Some(known) = head else {
            if let Ok(claimed) = store.claim(log_id(index), Epoch(1), None).await {
                // What was not known to be done may be.
                assert!(
                    (sent..=sent + 1).contains(&claimed.lsn.0),
                    "acknowledged {sent}, stored {claimed:?}"
                );
                sent = claimed.lsn.0;
                head = Some(claimed);
            }
            tokio::task::yield_now().await;
            continue;
        };
        let writer = LogWriter { store: &*store, head: known };
        let (step, next) = writer.step(vec![vec![message(&chat, sent + 1)]]);
        match store.append(step).await {
            Ok(()) => {
                sent += 1;
                head = Some(next);
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) if error.surely_not_done() => assert!(error.is_retryable(), "{error}"),
            Err(_) => head = None,
        }
    }
    sent
}

#[test]
fn nothing_acknowledged_is_lost_when_the_server_crashes() {
    const LOGS: u16 = 6;
    let mut postgres = Postgres::durable();
    let url = postgres.url("postgres");
    block_on(async {
        let store = Arc::new(open(&url).await);
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let senders: Vec<_> = (0..LOGS)
            .map(|index| tokio::spawn(send(store.clone(), index, stop.clone(), acknowledged.clone())))
            .collect();
        for _ in 0..3 {
            let before = acknowledged.load(Ordering::Relaxed);
            until("messages flow", || acknowledged.load(Ordering::Relaxed) > before + 100).await;
            tokio::task::block_in_place(|| postgres.stop());
            let refused = store.logs(None, 9).await.unwrap_err();
            assert!(refused.is_retryable(), "{refused}");
            tokio::task::block_in_place(|| postgres.restart());
        }
        let before = acknowledged.load(Ordering::Relaxed);
        until("messages flow again", || acknowledged.load(Ordering::Relaxed) > before + 100).await;
        stop.store(true, Ordering::Relaxed);
        let sent: Vec<u64> = future::join_all(senders).await.into_iter().map(Result::unwrap).collect();
        for (index, sent) in (0..LOGS).zip(sent) {
            let (chat, all) = (pair("a", "b"), EntryRange::after(Seq(0), 1 << 20));
            let entries = store.entries(log_id(index), &chat, all).await.unwrap();
            let seqs: Vec<_> = entries.iter().map(|entry| entry.seq.0).collect();
            assert_eq!(seqs, (1..=sent).collect::<Vec<_>>(), "log {index}: each once, in order");
            assert_eq!(history::operations(&*store, log_id(index)).await.len() as u64, sent);
        }
        store.close().await;
    });
}

#[test]
fn a_second_store_fences_the_first() {
    let url = fresh_url();
    block_on(async {
        let (first, second) = (open(&url).await, open(&url).await);
        let chat = pair("a", "b");
        let mut old = LogWriter::claim(&first, 1).await;
        old.append(vec![message(&chat, 1)]).await;
        let mut new = LogWriter::claim(&second, 1).await;
        assert_eq!(new.head.writer, Incarnation(2));
        // With a place that is wrong as well: being fenced goes first.
        for seq in [2, 7] {
            let refused = old.try_append(vec![message(&chat, seq)]).await.unwrap_err();
            assert!(refused.kind() == ErrorKind::Fenced && refused.surely_not_done(), "{refused}");
        }
        new.append(vec![message(&chat, 2)]).await;
        // The first takes it back and must not trust what it knew of the conversation.
        let mut old = LogWriter::claim(&first, 1).await;
        let refused = old.try_append(vec![message(&chat, 2)]).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        old.append(vec![message(&chat, 3)]).await;
        assert_eq!(new.try_append(vec![message(&chat, 3)]).await.unwrap_err().kind(), ErrorKind::Fenced);
        assert_eq!(history::read(&first).await, history::read(&second).await);
    });
}

#[test]
fn of_two_stores_with_one_claim_each_head_is_taken_once() {
    let url = fresh_url();
    block_on(async {
        let (first, second) = (open(&url).await, open(&url).await);
        let chat = pair("a", "b");
        let mut head = LogWriter::claim(&first, 1).await.head;
        for seq in 1..=200 {
            let step = |store| LogWriter { store, head }.step(vec![vec![message(&chat, seq)]]);
            let ((a, next), (b, _)) = (step(&first), step(&second));
            let (a, b) = future::join(first.append(a), second.append(b)).await;
            let refused = match (a, b) {
                (Ok(()), Err(error)) | (Err(error), Ok(())) => error,
                other => unreachable!("{other:?}"),
            };
            assert_eq!(refused.kind(), ErrorKind::Fenced);
            head = next;
        }
        assert_eq!(history::operations(&first, log_id(1)).await.len(), 200);
    });
}

/// A core that is stopped, or whose machine is, must not keep what others wait for: no statement leaves a transaction open.
#[test]
fn nobody_waits_for_a_core_that_is_stopped() {
    let url = fresh_url();
    let config = PgConfig::parse(&url).unwrap();
    block_on(async {
        let (store, directory) = (Arc::new(open(&url).await), PgDirectory::open(config).await.unwrap());
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let sender = tokio::spawn(send(store, 1, stop.clone(), sent.clone()));
        let announced = Arc::new(AtomicU64::new(0));
        let announcer = tokio::spawn({
            let (stop, announced) = (stop.clone(), announced.clone());
            async move {
                let node = NodeInfo { id: NodeId(1), address: "127.0.0.1:1".into(), writes: true };
                while !stop.load(Ordering::Relaxed) {
                    directory.announce(&node, Duration::from_secs(5)).await.unwrap();
                    announced.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let open_ones = "SELECT query FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'";
        for look in 0..50 {
            let so_far = || sent.load(Ordering::Relaxed).min(announced.load(Ordering::Relaxed));
            until("both work", || so_far() > look).await;
            let seen = tokio::task::block_in_place(|| SERVER.sql("postgres", open_ones));
            assert_eq!(seen.trim(), "");
        }
        stop.store(true, Ordering::Relaxed);
        announcer.await.unwrap();
        sender.await.unwrap();
    });
}

#[test]
fn of_several_addresses_the_one_that_takes_writes_is_used() {
    let (mut one, two) = (Postgres::start(), Postgres::start());
    // What a standby says of itself, and nobody at all.
    two.sql("postgres", "ALTER SYSTEM SET default_transaction_read_only = on");
    two.sql("postgres", "SELECT pg_reload_conf()");
    let hosts = [two.port(), free_port(), one.port()].map(|port| format!("127.0.0.1:{port}")).join(",");
    block_on(async {
        let store = open(&format!("postgres://postgres@{hosts}/postgres")).await;
        assert!(store.describe().starts_with("postgres 15."), "{}", store.describe());
        LogWriter::claim(&store, 1).await.append(vec![message(&pair("a", "b"), 1)]).await;

        // The roles change: here with two databases that know nothing of each other, so only the way is shown.
        tokio::task::block_in_place(|| {
            two.sql("postgres", "ALTER SYSTEM RESET default_transaction_read_only");
            two.sql("postgres", "SELECT pg_reload_conf()");
        });
        let start = Instant::now();
        loop {
            // The server reads its configuration a moment later.
            match PgStore::open(PgConfig::parse(&two.url("postgres")).unwrap()).await {
                Ok(store) => break store.close().await,
                Err(error) => assert!(start.elapsed() < PATIENCE, "{error:?}"),
            }
        }
        tokio::task::block_in_place(|| one.stop());
        let start = Instant::now();
        while let Err(error) = store.claim(log_id(2), Epoch(1), None).await {
            assert!(error.is_retryable(), "{error}");
            assert!(start.elapsed() < PATIENCE, "the new primary was not found: {error}");
        }
        assert_eq!(store.logs(None, 9).await.unwrap().len(), 1, "reads follow as well");
    });
}

#[test]
fn a_primary_that_becomes_a_standby_is_left() {
    let postgres = Postgres::start();
    let url = postgres.url("postgres");
    block_on(async {
        let store = open(&url).await;
        let mut writer = LogWriter::claim(&store, 1).await;
        let chat = pair("a", "b");
        writer.append(vec![message(&chat, 1)]).await;
        tokio::task::block_in_place(|| {
            postgres.sql("postgres", "ALTER SYSTEM SET default_transaction_read_only = on");
            postgres.sql("postgres", "SELECT pg_reload_conf()");
        });
        let start = Instant::now();
        let mut seq = 2;
        let refused = loop {
            // The server reads its configuration a moment later.
            match writer.try_append(vec![message(&chat, seq)]).await {
                Ok(()) => seq += 1,
                Err(refused) => break refused,
            }
            assert!(start.elapsed() < PATIENCE, "still taken");
        };
        assert!(refused.kind() == ErrorKind::Unavailable && refused.surely_not_done(), "{refused}");
        tokio::task::block_in_place(|| {
            postgres.sql("postgres", "ALTER SYSTEM RESET default_transaction_read_only");
            postgres.sql("postgres", "SELECT pg_reload_conf()");
        });
        while let Err(error) = writer.try_append(vec![message(&chat, seq)]).await {
            assert!(error.is_retryable() && error.surely_not_done(), "{error}");
            assert!(start.elapsed() < PATIENCE, "not taken again: {error}");
        }
    });
}

#[test]
fn many_cores_may_start_at_once_on_an_empty_database() {
    let url = fresh_url();
    block_on(async {
        let stores = future::join_all((0..6).map(|_| PgStore::open(PgConfig::parse(&url).unwrap()))).await;
        for store in stores {
            assert_eq!(store.unwrap().logs(None, 9).await.unwrap(), []);
        }
        let schema = url.rsplit('=').next().unwrap();
        SERVER.sql("postgres", &format!("INSERT INTO {schema}.meridian_schema VALUES (99)"));
        let refused = PgStore::open(PgConfig::parse(&url).unwrap()).await.unwrap_err();
        assert!(matches!(refused, OpenError::TooNew { found: 99, .. }), "{refused}");
    });
}
