//! Logs that move: under a writer, with crashes at every step, and with a shard away.
#![allow(clippy::unwrap_used, clippy::panic)] // test code

mod flaky;

use flaky::{Flaky, Line};
use futures_util::future::join_all;
use meridian_conformance::store::log::{LogWriter, log_id, message, pair};
use meridian_memory::MemoryStore;
use meridian_ports::{EntryRange, ErrorKind, Store};
use meridian_sharded::{Shard, ShardedConfig, ShardedStore};
use meridian_types::{Epoch, LogId, Lsn, Seq};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

const NAMES: [&str; 3] = ["a", "b", "c"];
const LOG: u16 = 5;

type Memories = [Arc<MemoryStore>; 3];

fn memories() -> Memories {
    std::array::from_fn(|_| Arc::new(MemoryStore::new()))
}

/// A layer of its own over the same shards, as another process has it; the log of most tests begins on `a`.
fn layer(memories: &Memories, lines: &[Line; 3]) -> ShardedStore {
    let shards = NAMES.iter().zip(memories).zip(lines);
    let shards = shards.map(|((name, memory), line)| Shard {
        name: (*name).to_owned(),
        store: Arc::new(Flaky::new(memory.clone(), line.clone())),
    });
    let mut config = ShardedConfig::new(shards.collect());
    config.placement = HashMap::from([(log_id(LOG), "a".to_owned())]);
    ShardedStore::open(config).unwrap()
}

fn whole() -> [Line; 3] {
    std::array::from_fn(|_| Line::whole())
}

/// Entries of the log's one conversation, from the start.
async fn read(store: &dyn Store) -> Vec<u64> {
    let entries = store.entries(log_id(LOG), &pair("alice", "bob"), EntryRange::after(Seq(0), 100_000)).await;
    entries.unwrap().iter().map(|entry| entry.seq.0).collect()
}

/// The chain of the log is whole, and `logs` lists it once, where it is.
async fn assert_sound(store: &dyn Store, entries: u64) {
    assert_eq!(read(store).await, (1..=entries).collect::<Vec<_>>());
    let heads = store.logs(None, 100).await.unwrap();
    let heads: Vec<_> = heads.iter().filter(|head| head.log == log_id(LOG)).collect();
    assert_eq!(heads.len(), 1, "{heads:?}");
    let operations = store.operations(log_id(LOG), Lsn(0), 100_000).await.unwrap();
    let (mut lsn, mut chain) = (Lsn(0), meridian_types::Hash::default());
    for logged in &operations {
        assert!(logged.follows(lsn, &chain), "the chain breaks at {}", logged.lsn);
        (lsn, chain) = (logged.lsn, logged.chain);
    }
    assert_eq!((heads[0].lsn, heads[0].chain), (lsn, chain));
}

async fn fill(store: &dyn Store, entries: u64) {
    let mut writer = LogWriter::claim(store, LOG).await;
    for seq in 1..=entries {
        writer.append(vec![message(&pair("alice", "bob"), seq)]).await;
    }
}

#[tokio::test]
async fn a_log_moves_and_comes_back_and_is_the_same() {
    let memories = memories();
    let store = layer(&memories, &whole());
    fill(&store, 600).await;
    for (from, to, operations) in [("a", "b", 601), ("b", "c", 602), ("c", "a", 603), ("a", "b", 604)] {
        let moved = store.move_log(log_id(LOG), to).await.unwrap();
        assert_eq!((moved.from.as_str(), moved.to.as_str(), moved.operations), (from, to, operations));
        assert_sound(&store, 600).await;
        assert_sound(&layer(&memories, &whole()), 600).await;
    }
    let again = store.move_log(log_id(LOG), "b").await.unwrap();
    assert_eq!((again.from.as_str(), again.to.as_str()), ("b", "b"));
    let unknown = store.move_log(log_id(LOG), "z").await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Invalid);
    assert_eq!(store.move_log(log_id(99), "b").await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_writer_that_knows_the_old_place_cannot_append_there() {
    let memories = memories();
    let (core, operator) = (layer(&memories, &whole()), layer(&memories, &whole()));
    fill(&core, 3).await;
    let mut writer = LogWriter::claim(&core, LOG).await;
    operator.move_log(log_id(LOG), "b").await.unwrap();
    let refused = writer.try_append(vec![message(&pair("alice", "bob"), 4)]).await.unwrap_err();
    assert_eq!((refused.kind(), refused.surely_not_done()), (ErrorKind::Fenced, true));
    let mut writer = LogWriter::claim(&core, LOG).await;
    writer.append(vec![message(&pair("alice", "bob"), 4)]).await;
    assert_sound(&core, 4).await;
    assert_sound(&operator, 4).await;
    // Even a claim at the old store itself does not bring the log back.
    memories[0].claim(log_id(LOG), Epoch(1), None).await.unwrap();
    assert_sound(&layer(&memories, &whole()), 4).await;
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_a_busy_log_moves() {
    let memories = memories();
    let core = Arc::new(layer(&memories, &whole()));
    let operator = layer(&memories, &whole());
    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writing = tokio::spawn({
        let (core, stop, acknowledged) = (core.clone(), stop.clone(), acknowledged.clone());
        async move {
            let mut writer = LogWriter::claim(&*core, LOG).await;
            while !stop.load(Ordering::SeqCst) {
                let seq = acknowledged.load(Ordering::SeqCst) + 1;
                match writer.try_append(vec![message(&pair("alice", "bob"), seq)]).await {
                    Ok(()) => drop(acknowledged.fetch_add(1, Ordering::SeqCst)),
                    Err(error) if error.kind() == ErrorKind::Fenced => {
                        writer = LogWriter::claim(&*core, LOG).await;
                    }
                    Err(error) => panic!("{error}"),
                }
                tokio::task::yield_now().await;
            }
        }
    });
    let after = |count: u64| {
        let acknowledged = acknowledged.clone();
        async move {
            while acknowledged.load(Ordering::SeqCst) < count {
                tokio::task::yield_now().await;
            }
        }
    };
    after(100).await;
    for to in ["b", "c"] {
        operator.move_log(log_id(LOG), to).await.unwrap();
        after(acknowledged.load(Ordering::SeqCst) + 50).await;
    }
    stop.store(true, Ordering::SeqCst);
    writing.await.unwrap();
    let count = acknowledged.load(Ordering::SeqCst);
    assert_sound(&*core, count).await;
    assert_sound(&layer(&memories, &whole()), count).await;
}

/// The mover dies before its `n`-th write, for every `n`: the log is whole at one place, can be written, and the move can be
/// run again.
#[tokio::test]
async fn a_move_that_breaks_off_anywhere_leaves_one_whole_log() {
    let cases = (0..30).map(|writes| async move {
        let memories = memories();
        fill(&layer(&memories, &whole()), 300).await;
        let line = Line::dies_after(writes);
        let lines = [line.clone(), line.clone(), line];
        let finished = layer(&memories, &lines).move_log(log_id(LOG), "b").await.is_ok();

        let store = layer(&memories, &whole());
        assert_sound(&store, 300).await;
        let mut writer = LogWriter::claim(&store, LOG).await;
        writer.append(vec![message(&pair("alice", "bob"), 301)]).await;
        assert_sound(&store, 301).await;
        store.move_log(log_id(LOG), "b").await.unwrap();
        assert_sound(&store, 301).await;
        assert_sound(&layer(&memories, &whole()), 301).await;
        finished
    });
    let finished = join_all(cases).await;
    assert!(!finished[0] && finished[29], "{finished:?}");
}

#[tokio::test]
async fn a_shard_that_is_away_takes_no_other_logs_with_it() {
    let (memories, lines) = (memories(), whole());
    let store = layer(&memories, &lines);
    let mut writers = BTreeMap::<LogId, LogWriter<'_>>::new();
    for index in 0..30 {
        let mut writer = LogWriter::claim(&store, index).await;
        writer.append(vec![message(&pair("alice", "bob"), 1)]).await;
        writers.insert(writer.log(), writer);
    }
    let on_b: Vec<_> = memories[1].logs(None, 100).await.unwrap().iter().map(|head| head.log).collect();
    assert!(on_b.len() > 2 && on_b.len() < 28, "{on_b:?}");
    lines[1].cut(true);
    let fresh = layer(&memories, &lines);
    for (log, writer) in &mut writers {
        let outcome = writer.try_append(vec![message(&pair("alice", "bob"), 2)]).await;
        let read = fresh.entries(*log, &pair("alice", "bob"), EntryRange::after(Seq(0), 9)).await;
        if on_b.contains(log) {
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Unavailable);
            assert_eq!(read.unwrap_err().kind(), ErrorKind::Unavailable);
        } else {
            outcome.unwrap();
            assert_eq!(read.unwrap().len(), 2);
        }
    }
    // It could be on the shard that is away.
    let new = store.claim(log_id(200), Epoch(1), None).await.unwrap_err();
    assert_eq!(new.kind(), ErrorKind::Unavailable);
    lines[1].cut(false);
    for log in on_b {
        let writer = writers.get_mut(&log).unwrap();
        writer.append(vec![message(&pair("alice", "bob"), 2)]).await;
    }
    store.claim(log_id(200), Epoch(1), None).await.unwrap();
}

/// A moved log does not need the shard that it left.
#[tokio::test]
async fn the_old_place_may_go_away_after_a_move() {
    let (memories, lines) = (memories(), whole());
    fill(&layer(&memories, &lines), 5).await;
    layer(&memories, &lines).move_log(log_id(LOG), "b").await.unwrap();
    lines[0].cut(true);
    assert_eq!(read(&layer(&memories, &lines)).await, [1, 2, 3, 4, 5]);
}

/// Shards are added without moving what is there.
#[tokio::test]
async fn a_log_stays_where_it_is_when_the_shards_become_more() {
    let memories = memories();
    let shard = |n: usize| Shard { name: NAMES[n].to_owned(), store: memories[n].clone() };
    let few = ShardedStore::open(ShardedConfig::new(vec![shard(0)])).unwrap();
    for index in 0..20 {
        LogWriter::claim(&few, index).await.append(vec![message(&pair("alice", "bob"), 1)]).await;
    }
    let more = ShardedStore::open(ShardedConfig::new(vec![shard(2), shard(0), shard(1)])).unwrap();
    for index in 0..20 {
        let mut writer = LogWriter::claim(&more, index).await;
        assert_eq!(writer.head.lsn, Lsn(1));
        writer.append(vec![message(&pair("alice", "bob"), 2)]).await;
    }
    for index in 100..120 {
        LogWriter::claim(&more, index).await;
    }
    let count = |store: Arc<MemoryStore>| async move { store.logs(None, 100).await.unwrap().len() };
    let counts = [count(memories[0].clone()).await, count(memories[1].clone()).await];
    assert!(counts[0] < 40 && counts[1] > 0, "new logs are spread: {counts:?}");
}

#[test]
fn what_cannot_be_is_refused() {
    let memory = || Arc::new(MemoryStore::new());
    let open = |names: &[&str]| {
        let shards = names.iter().map(|name| Shard { name: (*name).to_owned(), store: memory() }).collect();
        ShardedStore::open(ShardedConfig::new(shards)).map(drop).map_err(|error| error.to_string())
    };
    assert!(open(&[]).unwrap_err().contains("1 to 64"));
    assert!(open(&["A"]).unwrap_err().contains("\"A\" is no name"));
    assert!(open(&["a", "a"]).unwrap_err().contains("\"a\" is there twice"));
    let mut config = ShardedConfig::new(vec![Shard { name: "a".into(), store: memory() }]);
    config.placement = HashMap::from([(log_id(1), "z".to_owned())]);
    let unknown = ShardedStore::open(config).unwrap_err().to_string();
    assert_eq!(unknown, "placement: 7.O1.1: there is no shard \"z\"");
}
