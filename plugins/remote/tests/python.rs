//! The kit over the example plugin in Python: a process of its own for each case, as a node would meet it.
#![allow(clippy::unwrap_used)] // tests

use meridian_remote::{RemoteConfig, RemotePlugin};
use meridian_services::PythonPlugin;

async fn start() -> PythonPlugin {
    tokio::task::spawn_blocking(PythonPlugin::start).await.unwrap()
}

async fn connect(running: &PythonPlugin) -> RemotePlugin {
    let address = format!("http://{}", running.address());
    RemotePlugin::connect(&address, RemoteConfig::default()).await.unwrap()
}

mod blobs {
    use super::*;
    use meridian_sdk::conformance::BlobsFixture;
    use std::path::PathBuf;

    async fn fixture() -> BlobsFixture {
        let running = start().await;
        let blobs = connect(&running).await.blobs().unwrap();
        let folders = running.folders();
        BlobsFixture::new(blobs).with_usage(move || folders.iter().map(bytes_in).sum()).with_guard(running)
    }

    fn bytes_in(folder: &PathBuf) -> u64 {
        let entries = std::fs::read_dir(folder).unwrap().filter_map(Result::ok);
        // A file may be removed while this walks.
        entries.map(|entry| entry.metadata().map_or(0, |meta| meta.len())).sum()
    }

    meridian_sdk::conformance::blobs_suite!(fixture());
}

mod soft {
    use super::*;
    use meridian_sdk::{Bytes, conformance::SoftFixture, ports::SoftState};
    use std::time::Duration;

    async fn fixture() -> SoftFixture {
        let running = start().await;
        let (soft, peer) = (connect(&running).await, connect(&running).await);
        SoftFixture::new(soft.soft_state().unwrap()).with_peer(peer.soft_state().unwrap()).with_guard(running)
    }

    meridian_sdk::conformance::soft_suite!(fixture());

    /// More than one message holds: the kit's full set is of small values.
    #[tokio::test]
    async fn a_large_set_comes_in_pages() {
        let running = start().await;
        let soft = connect(&running).await.soft_state().unwrap();
        let value = Bytes::from(vec![7; 60 * 1024]);
        for member in 0..100 {
            let name = format!("{member:03}");
            soft.join("large", &name, value.clone(), Duration::from_secs(3600)).await.unwrap();
        }
        let members = soft.members("large").await.unwrap();
        assert_eq!(members.len(), 100);
        assert!(members.is_sorted() && members.iter().all(|(_, held)| *held == value));
    }
}
