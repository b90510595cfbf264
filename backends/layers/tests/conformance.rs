//! The kit, over each layer and over all of them.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use meridian_layers::{Layered, Limit, Metrics, Retry, Timeout};
use meridian_ports::{Blobs, SoftState, Store};
use std::sync::Arc;

/// A backend with layers round it, from the innermost outwards.
macro_rules! round {
    ($contract:ty, $backend:expr, [$($layer:expr),*]) => {{
        let backend: Arc<$contract> = Arc::new($backend);
        $(let backend: Arc<$contract> = Arc::new(Layered::new(backend, $layer));)*
        backend
    }};
}

/// The suites of every contract, with these layers.
macro_rules! suites {
    ($name:ident, $layers:tt) => {
        mod $name {
            use super::*;
            use meridian_conformance::{
                BlobsFixture, SoftFixture, StoreFixture, blobs_suite, soft_suite, store_suite,
            };
            use meridian_fs::FsBlobs;
            use meridian_memory::{MemorySoftState, MemoryStore};

            async fn store() -> StoreFixture {
                StoreFixture::shared(round!(dyn Store, MemoryStore::new(), $layers))
            }

            async fn blobs() -> BlobsFixture {
                let root = tempfile::tempdir().unwrap();
                let blobs = FsBlobs::open(root.path()).await.unwrap();
                BlobsFixture::shared(round!(dyn Blobs, blobs, $layers)).with_guard(root)
            }

            async fn soft() -> SoftFixture {
                SoftFixture::shared(round!(dyn SoftState, MemorySoftState::new(), $layers))
            }

            store_suite!(store(), skip: [reopening_keeps_everything]);
            blobs_suite!(blobs(), skip: [failed_puts_leave_no_bytes]);
            soft_suite!(soft());
        }
    };
}

// In the order of the README.
suites!(all, [Limit::default(), Timeout::default(), Retry::default(), Metrics::new("model")]);
suites!(retry, [Retry::default()]);
suites!(timeout, [Timeout::default()]);
suites!(metrics, [Metrics::new("model")]);
suites!(limit, [Limit::default()]);
