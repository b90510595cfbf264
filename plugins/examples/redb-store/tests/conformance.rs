//! The kit, on a file of its own for each case.

use meridian_sdk::{conformance::StoreFixture, ports::Store};
use redb_store::RedbStore;
use std::sync::{Arc, Mutex};

async fn fixture() -> StoreFixture {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = Arc::new(RedbStore::open(&path).unwrap());
    let open = Arc::new(Mutex::new(store.clone()));
    StoreFixture::shared(store).with_guard(folder).with_reopen(move || {
        let (open, path) = (open.clone(), path.clone());
        Box::pin(async move { reopen(&open, &path).await as Arc<dyn Store> })
    })
}

async fn reopen(open: &Mutex<Arc<RedbStore>>, path: &std::path::Path) -> Arc<RedbStore> {
    let old = open.lock().unwrap().clone();
    old.close().await;
    let new = Arc::new(RedbStore::open(path).unwrap());
    *open.lock().unwrap() = new.clone();
    new
}

meridian_sdk::conformance::store_suite!(fixture());
