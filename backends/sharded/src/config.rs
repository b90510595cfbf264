//! What can be set.

use meridian_ports::Store;
use meridian_types::LogId;
use std::{collections::HashMap, sync::Arc};

/// One of the stores. Its name is part of where logs go: keep it when the server behind it changes.
#[derive(Clone, Debug)]
pub struct Shard {
    /// 1..=64 bytes of `a-z 0-9 - _`.
    pub name: String,
    pub store: Arc<dyn Store>,
}

/// How to open a [`ShardedStore`](crate::ShardedStore).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ShardedConfig {
    /// 1..=64 of them; the order does not matter.
    pub shards: Vec<Shard>,
    /// Logs that begin on another shard (by name) than the one their hash names. A log that exists does not move by this.
    pub placement: HashMap<LogId, String>,
}

impl ShardedConfig {
    #[must_use]
    pub fn new(shards: Vec<Shard>) -> Self {
        Self { shards, placement: HashMap::new() }
    }
}
