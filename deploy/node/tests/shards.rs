//! A sharded store over two real PostgreSQL servers, of which one goes away and comes back.
#![allow(clippy::unwrap_used, clippy::panic)] // test code

use meridian_conformance::store::log::{LogWriter, log_id, message, pair};
use meridian_ports::{EntryRange, Store};
use meridian_postgres::{PgConfig, PgStore};
use meridian_services::Postgres;
use meridian_sharded::{Shard, ShardedConfig, ShardedStore};
use meridian_types::{Lsn, Seq};
use std::{collections::HashMap, sync::Arc, time::Duration};

const LOGS: u16 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_servers_away_leaves_the_other_s_logs() {
    // The second one syncs: it is killed, and must not forget.
    let (one, mut two) = (Postgres::start(), Postgres::durable());
    let mut shards = Vec::new();
    for (name, server) in [("one", &one), ("two", &two)] {
        let store = PgStore::open(PgConfig::parse(&server.url("postgres")).unwrap()).await.unwrap();
        shards.push(Shard { name: name.into(), store: Arc::new(store) });
    }
    let mut config = ShardedConfig::new(shards);
    // Even logs on one, odd ones on two.
    let side = |index: u16| (log_id(index), ["one", "two"][usize::from(index % 2)].to_owned());
    config.placement = (0..LOGS).map(side).collect::<HashMap<_, _>>();
    let store = ShardedStore::open(config).unwrap();
    let chat = pair("alice", "bob");
    let mut writers = Vec::new();
    for index in 0..LOGS {
        let mut writer = LogWriter::claim(&store, index).await;
        writer.append(vec![message(&chat, 1)]).await;
        writers.push(writer);
    }

    two.stop();
    for seq in 2..=20 {
        for writer in writers.iter_mut().step_by(2) {
            writer.append(vec![message(&chat, seq)]).await;
        }
    }
    let refused = writers[1].try_append(vec![message(&chat, 2)]).await.unwrap_err();
    assert!(refused.is_retryable(), "{refused}");

    two.restart();
    // As a core does: claim again, compare heads, go on.
    for index in (1..LOGS).step_by(2) {
        let claimed = tokio::time::timeout(Duration::from_secs(60), async {
            loop {
                match store.claim(log_id(index), meridian_types::Epoch(1), None).await {
                    Ok(head) => return head,
                    Err(error) => assert!(error.is_retryable(), "{error}"),
                }
                // As a writer that backs off.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        let head = claimed.await.unwrap();
        assert!(head.lsn == Lsn(1) || index == 1, "{head:?}");
        let mut writer = LogWriter { store: &store, head };
        writer.append(vec![message(&chat, head.lsn.0 + 1)]).await;
    }
    for index in (0..LOGS).step_by(2) {
        let entries = store.entries(log_id(index), &chat, EntryRange::after(Seq(0), 100)).await.unwrap();
        assert_eq!(entries.len(), 20);
    }

    // A log moves between the servers, and is written there.
    let moved = store.move_log(log_id(0), "two").await.unwrap();
    assert_eq!((moved.from.as_str(), moved.to.as_str(), moved.operations), ("one", "two", 21));
    let mut writer = LogWriter::claim(&store, 0).await;
    writer.append(vec![message(&chat, 21)]).await;
    assert_eq!(store.entries(log_id(0), &chat, EntryRange::after(Seq(0), 100)).await.unwrap().len(), 21);
}
