//! The kit, over three stores in memory.

use meridian_conformance::StoreFixture;
use meridian_memory::MemoryStore;
use meridian_sharded::{Shard, ShardedConfig, ShardedStore};
use std::sync::Arc;

async fn fixture() -> StoreFixture {
    let shard = |name: &str| Shard { name: name.to_owned(), store: Arc::new(MemoryStore::new()) };
    let config = ShardedConfig::new(["a", "b", "c"].map(shard).into());
    StoreFixture::new(ShardedStore::open(config).expect("three shards"))
}

meridian_conformance::store_suite!(fixture(), skip: [reopening_keeps_everything]);
