//! `store = "sharded:"`: the stores of the `[shards]` table as one, and moving a log between them.

use crate::{
    config::Config,
    open::open,
    registry::{Registry, RegistryError},
};
use anyhow::Context;
use meridian_ports::{OpenError, OpenRequest, Opened, Reach, Store};
use meridian_sharded::{Shard, ShardedConfig, ShardedStore, parse_log};
use meridian_types::LogId;
use std::sync::Arc;

/// Registers `sharded`, over the schemes that are known by now.
pub(crate) fn register(registry: &mut Registry, config: &Config) -> Result<(), RegistryError> {
    let (known, config) = (registry.clone(), config.clone());
    registry.store("sharded", move |request: OpenRequest| {
        let (known, config) = (known.clone(), config.clone());
        async move {
            let shards = Shards::open(&known, &config, request.read_only).await?;
            Ok::<_, OpenError>(shards.into_opened())
        }
    })
}

/// The opened shards.
struct Shards {
    store: Arc<ShardedStore>,
    opened: Vec<Opened<dyn Store>>,
}

impl Shards {
    async fn open(known: &Registry, config: &Config, read_only: bool) -> anyhow::Result<Self> {
        let mut opened = Vec::new();
        let store = Self::open_all(known, config, read_only, &mut opened).await;
        match store {
            Ok(store) => Ok(Self { store: Arc::new(store), opened }),
            Err(error) => {
                close(opened).await;
                Err(error)
            }
        }
    }

    async fn open_all(
        known: &Registry,
        config: &Config,
        read_only: bool,
        opened: &mut Vec<Opened<dyn Store>>,
    ) -> anyhow::Result<ShardedStore> {
        let mut shards = Vec::new();
        for (name, url) in &config.shards {
            let shard = open(&known.stores, url, config, read_only).await;
            let shard = shard.with_context(|| format!("shards.{name}"))?;
            shards.push(Shard { name: name.clone(), store: shard.backend.clone() });
            opened.push(shard);
        }
        let mut sharded = ShardedConfig::new(shards);
        for (log, shard) in &config.placement {
            let log = parse_log(log)
                .with_context(|| format!("placement: {log:?} is no log; one looks like 7.O0.3"))?;
            sharded.placement.insert(log, shard.clone());
        }
        Ok(ShardedStore::open(sharded)?)
    }

    fn into_opened(self) -> Opened<dyn Store> {
        let reach = self.opened.iter().map(|shard| shard.reach).min().unwrap_or(Reach::Process);
        let durable = self.opened.iter().all(|shard| shard.durable);
        let notes = format!("{} shards", self.opened.len());
        let opened = self.opened;
        Opened::<dyn Store>::new(self.store, reach, durable).with_notes(notes).on_close(move || close(opened))
    }
}

async fn close(opened: Vec<Opened<dyn Store>>) {
    for mut shard in opened {
        shard.close().await;
    }
}

/// `meridian move-log`.
#[allow(clippy::print_stdout)] // the command's answer
pub(crate) async fn move_log(
    registry: &Registry,
    config: &Config,
    log: LogId,
    to: &str,
) -> anyhow::Result<()> {
    anyhow::ensure!(!config.shards.is_empty(), "store: only a log of store = \"sharded:\" can be moved");
    let shards = Shards::open(registry, config, false).await?;
    let moved = shards.store.move_log(log, to).await;
    close(shards.opened).await;
    let moved = moved.with_context(|| format!("cannot move log {log}"))?;
    if moved.from == moved.to {
        println!("log {log} is on shard {}, with {} operations", moved.to, moved.operations);
    } else {
        println!(
            "moved log {log}, {} operations, from shard {} to {}",
            moved.operations, moved.from, moved.to
        );
    }
    Ok(())
}
