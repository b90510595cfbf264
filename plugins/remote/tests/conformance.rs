//! The kit over backends in Rust that are served over gRPC: the client and the server adapter, end to end.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use meridian_remote::{PluginServer, RemoteConfig, RemotePlugin};
use std::any::Any;
use tokio::{net::TcpListener, sync::oneshot};

/// Serves a plugin until the guard is dropped.
async fn connect(server: PluginServer) -> (RemotePlugin, impl Any + Send + Sync) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (guard, dropped) = oneshot::channel::<()>();
    tokio::spawn(server.serve(listener, async move {
        let _ = dropped.await;
    }));
    (RemotePlugin::connect(&address, RemoteConfig::default()).await.unwrap(), guard)
}

mod blobs {
    use super::*;
    use meridian_fs::FsBlobs;
    use meridian_sdk::conformance::BlobsFixture;
    use std::{path::Path, sync::Arc};

    async fn fixture() -> BlobsFixture {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().to_owned();
        let blobs = FsBlobs::open(&path).await.unwrap();
        let (plugin, server) = connect(PluginServer::new("fs", "1").blobs(Arc::new(blobs))).await;
        BlobsFixture::new(plugin.blobs().unwrap())
            .with_guard((server, root))
            .with_usage(move || bytes_below(&path))
    }

    fn bytes_below(folder: &Path) -> u64 {
        let entries = std::fs::read_dir(folder).unwrap().filter_map(Result::ok);
        entries
            .map(|entry| match entry.metadata() {
                Ok(meta) if meta.is_dir() => bytes_below(&entry.path()),
                // Removed while this walks.
                meta => meta.map_or(0, |meta| meta.len()),
            })
            .sum()
    }

    meridian_sdk::conformance::blobs_suite!(fixture());
}

mod soft {
    use super::*;
    use meridian_memory::MemorySoftState;
    use meridian_sdk::conformance::SoftFixture;
    use std::sync::Arc;

    async fn fixture() -> SoftFixture {
        let server = PluginServer::new("memory", "1").soft_state(Arc::new(MemorySoftState::new()));
        let (plugin, server) = connect(server).await;
        SoftFixture::new(plugin.soft_state().unwrap()).with_guard(server)
    }

    meridian_sdk::conformance::soft_suite!(fixture());
}

mod bus {
    use super::*;
    use meridian_memory::MemoryBus;
    use meridian_sdk::conformance::BusFixture;
    use std::sync::Arc;

    async fn fixture() -> BusFixture {
        let bus = Arc::new(MemoryBus::new());
        let (plugin, server) = connect(PluginServer::new("memory", "1").bus(bus.clone())).await;
        let (again, other) = connect(PluginServer::new("memory", "1").bus(bus)).await;
        BusFixture::new(plugin.bus().unwrap()).with_peer(again.bus().unwrap()).with_guard((server, other))
    }

    meridian_sdk::conformance::bus_suite!(fixture());
}

mod directory {
    use super::*;
    use meridian_memory::MemoryDirectory;
    use meridian_sdk::conformance::DirectoryFixture;
    use std::sync::Arc;

    async fn fixture() -> DirectoryFixture {
        let server = PluginServer::new("memory", "1").directory(Arc::new(MemoryDirectory::new()));
        let (plugin, server) = connect(server).await;
        DirectoryFixture::new(plugin.directory().unwrap()).with_guard(server)
    }

    meridian_sdk::conformance::directory_suite!(fixture());
}

mod store {
    use super::*;
    use meridian_memory::MemoryStore;
    use meridian_sdk::{
        ErrorKind,
        conformance::StoreFixture,
        ports::{ObjectPage, Shape},
        types::{
            Effect, Epoch, Fence, Hlc, Kind, LogClass, LogHead, LogId, LoggedOperation, Object, Operation,
            RegionId, Step, TenantId,
        },
    };
    use std::sync::Arc;

    async fn fixture() -> StoreFixture {
        let server = PluginServer::new("memory", "1").store(Arc::new(MemoryStore::new()));
        let (plugin, server) = connect(server).await;
        StoreFixture::new(plugin.store().unwrap()).with_guard(server)
    }

    // The store behind it is in memory.
    meridian_sdk::conformance::store_suite!(fixture(), skip: [reopening_keeps_everything]);

    /// A step of so many objects of so many bytes.
    fn step(head: &LogHead, objects: usize, size: usize) -> Step {
        let (log, mut head) = (head.log, *head);
        let fence = Fence { epoch: head.epoch, writer: head.writer, head: head.lsn };
        let operations = (0..objects).map(|n| {
            let (kind, id, body) = (Kind::new("large"), format!("{n:04}"), vec![b'x'; size].into());
            let object = Object { kind, id, rank: 0, version: 1, body };
            let effects = vec![Effect::PutObject(object)];
            let operation = Operation { name: "large".into(), at: Hlc(1), effects };
            let logged = LoggedOperation::after(&head, operation);
            head = head.advanced_by(&logged);
            logged
        });
        Step { log, fence, operations: operations.collect() }
    }

    #[tokio::test]
    async fn a_step_may_be_larger_than_a_message_but_not_without_end() {
        let fixture = fixture().await;
        let store = &fixture.store;
        let log = LogId::new(TenantId(1), LogClass::Owned, RegionId(0), 0);
        let head = store.claim(log, Epoch(1), None).await.unwrap();
        let error = store.append(step(&head, 65, 1 << 20)).await.unwrap_err();
        assert_eq!((error.kind(), error.surely_not_done()), (ErrorKind::Invalid, true));

        let large = step(&head, 300, 40_000);
        store.append(large.clone()).await.unwrap();
        assert!(store.operations(log, head.lsn, 1000).await.unwrap() == large.operations);
        let found = store.scan(log, Shape::Objects, None, 1000).await.unwrap();
        assert_eq!(found.len(), 300);
        assert_eq!(
            store.objects(&[log], &Kind::new("large"), ObjectPage::new(None, 7)).await.unwrap().len(),
            7
        );
    }
}
