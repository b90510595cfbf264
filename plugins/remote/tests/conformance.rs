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
