//! The kit, over each layer and over all of them.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use meridian_layers::{Layered, Limit, Metrics, Retry, Timeout};
use meridian_ports::{Blobs, Store};
use std::sync::Arc;

/// In the order of the README.
fn all_round_store(store: Arc<dyn Store>) -> Arc<dyn Store> {
    let store: Arc<dyn Store> = Arc::new(Layered::new(store, Limit::default()));
    let store: Arc<dyn Store> = Arc::new(Layered::new(store, Timeout::default()));
    let store: Arc<dyn Store> = Arc::new(Layered::new(store, Retry::default()));
    Arc::new(Layered::new(store, Metrics::new("memory")))
}

fn all_round_blobs(blobs: Arc<dyn Blobs>) -> Arc<dyn Blobs> {
    let blobs: Arc<dyn Blobs> = Arc::new(Layered::new(blobs, Limit::default()));
    let blobs: Arc<dyn Blobs> = Arc::new(Layered::new(blobs, Timeout::default()));
    let blobs: Arc<dyn Blobs> = Arc::new(Layered::new(blobs, Retry::default()));
    Arc::new(Layered::new(blobs, Metrics::new("fs")))
}

/// Suites for one way to layer: a function from store to store, and from blobs to blobs.
macro_rules! suites {
    ($name:ident, $store:expr, $blobs:expr) => {
        mod $name {
            use super::*;
            use meridian_conformance::{BlobsFixture, StoreFixture, blobs_suite, store_suite};
            use meridian_fs::FsBlobs;
            use meridian_memory::MemoryStore;

            async fn store() -> StoreFixture {
                let layered: Arc<dyn Store> = $store(Arc::new(MemoryStore::new()));
                StoreFixture::shared(layered)
            }

            async fn blobs() -> BlobsFixture {
                let root = tempfile::tempdir().unwrap();
                let blobs = FsBlobs::open(root.path()).await.unwrap();
                let layered: Arc<dyn Blobs> = $blobs(Arc::new(blobs));
                BlobsFixture::shared(layered).with_guard(root)
            }

            store_suite!(store(), skip: [reopening_keeps_everything]);
            blobs_suite!(blobs(), skip: [failed_puts_leave_no_bytes]);
        }
    };
}

suites!(all, all_round_store, all_round_blobs);
suites!(retry, |inner: Arc<dyn Store>| Arc::new(Layered::new(inner, Retry::default())), |inner: Arc<
    dyn Blobs,
>| Arc::new(
    Layered::new(inner, Retry::default())
));
suites!(timeout, |inner: Arc<dyn Store>| Arc::new(Layered::new(inner, Timeout::default())), |inner: Arc<
    dyn Blobs,
>| Arc::new(
    Layered::new(inner, Timeout::default())
));
suites!(
    metrics,
    |inner: Arc<dyn Store>| Arc::new(Layered::new(inner, Metrics::new("memory"))),
    |inner: Arc<dyn Blobs>| Arc::new(Layered::new(inner, Metrics::new("fs")))
);
suites!(limit, |inner: Arc<dyn Store>| Arc::new(Layered::new(inner, Limit::default())), |inner: Arc<
    dyn Blobs,
>| Arc::new(
    Layered::new(inner, Limit::default())
));
