//! The kit, on a file of its own for each case.
#![allow(clippy::unwrap_used)] // helpers of tests

use meridian_conformance::StoreFixture;
use meridian_ports::Store;
use meridian_sqlite::{SqliteConfig, SqliteStore};
use std::sync::Arc;

async fn fixture() -> StoreFixture {
    let folder = tempfile::tempdir().unwrap();
    let config = SqliteConfig::new(folder.path().join("store.db"));
    let store = Arc::new(SqliteStore::open(config.clone()).await.unwrap());
    let mut open = store.clone();
    StoreFixture::shared(store).with_guard(folder).with_reopen(move || {
        let (old, config) = (open.clone(), config.clone());
        // The lock allows one store at a time; opening must therefore be done before the next reopening.
        let new = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                old.close().await;
                Arc::new(SqliteStore::open(config).await.unwrap())
            })
        });
        open = new.clone();
        Box::pin(async move { new as Arc<dyn Store> })
    })
}

meridian_conformance::store_suite!(fixture());
