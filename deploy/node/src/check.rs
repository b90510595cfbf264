//! `meridian check`: reads a stopped server's store and shows that its logs alone give the same data.

use crate::serve::database_path;
use anyhow::Context;
use meridian_memory::MemoryStore;
use meridian_sqlite::{SqliteConfig, SqliteStore};
use std::path::Path;

/// Differences that are told.
const DIFFERENCES: usize = 100;

/// Verifies chains and dense positions, replays every log into an empty store, and compares. True when all is well.
#[allow(clippy::print_stdout)] // the command's answer
pub async fn check(data_dir: &Path) -> anyhow::Result<bool> {
    let path = database_path(data_dir);
    anyhow::ensure!(path.exists(), "data-dir: no store at {}", path.display());
    let store =
        SqliteStore::open_read_only(SqliteConfig::new(path)).await.context("cannot open the store")?;
    let replayed = MemoryStore::new();

    let operations = match meridian_replication::verify(&store).await {
        Ok(operations) => operations,
        Err(error) => {
            println!("not sound: {error}");
            return Ok(false);
        }
    };
    if let Err(error) = meridian_replication::replay(&store, &replayed).await {
        println!("cannot be replayed: {error}");
        return Ok(false);
    }
    let differences =
        meridian_replication::compare(&store, &replayed, DIFFERENCES).await.context("cannot compare")?;
    for difference in &differences {
        println!("differs: {difference:?}");
    }
    if !differences.is_empty() {
        return Ok(false);
    }
    println!("sound: {operations} operations; replaying them into an empty store gives the same data");
    Ok(true)
}
