//! `meridian check`: reads a stopped server's store and shows that its logs alone give the same data.

use crate::{Config, open::open_store, registry::Registry};
use anyhow::Context;
use meridian_memory::MemoryStore;
use meridian_ports::Store;

/// Differences that are told.
const DIFFERENCES: usize = 100;

/// Verifies chains and dense positions, replays every log into an empty store, and compares. True when all is well.
/// The replay is held in memory.
pub(crate) async fn check(registry: &Registry, config: &Config) -> anyhow::Result<bool> {
    let mut opened = open_store(registry, config, true).await?;
    let sound = check_store(&*opened.backend).await;
    opened.close().await;
    sound
}

#[allow(clippy::print_stdout)] // the command's answer
async fn check_store(store: &dyn Store) -> anyhow::Result<bool> {
    let replayed = MemoryStore::new();
    let operations = match meridian_replication::verify(store).await {
        Ok(operations) => operations,
        Err(error) => {
            println!("not sound: {:#}", anyhow::Error::from(error));
            return Ok(false);
        }
    };
    if let Err(error) = meridian_replication::replay(store, &replayed).await {
        println!("cannot be replayed: {:#}", anyhow::Error::from(error));
        return Ok(false);
    }
    let differences =
        meridian_replication::compare(store, &replayed, DIFFERENCES).await.context("cannot compare")?;
    for difference in &differences {
        println!("differs: {difference:?}");
    }
    if !differences.is_empty() {
        return Ok(false);
    }
    println!("sound: {operations} operations; replaying them into an empty store gives the same data");
    Ok(true)
}
