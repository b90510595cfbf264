//! The kit over the example plugin in Python: a process of its own for each case, as a node would meet it.
//!
//! Needs the virtual environment that `tests/run` prepares; without it every case fails and says so.
#![allow(clippy::unwrap_used, clippy::panic)] // tests

use meridian_remote::{RemoteConfig, RemotePlugin};
use meridian_services::{Process, until};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
    time::Duration,
};
use tempfile::TempDir;

/// The interpreter with grpcio.
static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
    let tools = std::env::var_os("MERIDIAN_TOOLS").map(PathBuf::from).unwrap_or_else(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache");
        cache.unwrap_or_else(home).join("meridian-tools")
    });
    let python = tools.join("python-plugin/bin/python");
    assert!(
        python.is_file(),
        "{} is missing: run `tests/run fmt` once: any step prepares it",
        python.display()
    );
    python
});

/// Stubs are generated once: the compiler of protos takes longer to start than the plugin.
static STUBS: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new(&*PYTHON).arg(source().join("stubs.py")).arg(folder.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    folder
});

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python")
}

/// A running plugin and its folder.
struct Running {
    _process: Process,
    root: TempDir,
    address: String,
    plugin: RemotePlugin,
}

async fn start() -> Running {
    let root = tempfile::tempdir().unwrap();
    let log = root.path().join("log");
    let (blobs, stubs) = (root.path().join("data"), STUBS.path().to_owned());
    let arguments = [
        source().join("plugin.py").into_os_string(),
        "--listen".into(),
        "127.0.0.1:0".into(),
        "--root".into(),
        blobs.into_os_string(),
        "--stubs".into(),
        stubs.into_os_string(),
    ];
    let (process, address) = tokio::task::spawn_blocking(move || {
        let mut process = Process::start(&PYTHON, arguments, None, &log);
        let mut address = None;
        until("the plugin listens", Duration::from_secs(60), || {
            assert!(process.is_running(), "the plugin ended: {}", process.log_tail());
            let said = std::fs::read_to_string(&log).unwrap();
            let line = said.lines().find_map(|line| line.strip_prefix("listening on "));
            address = line.filter(|_| said.ends_with('\n')).map(str::to_owned);
            address.is_some()
        });
        (process, address.unwrap())
    })
    .await
    .unwrap();
    let address = format!("http://{address}");
    let plugin = RemotePlugin::connect(&address, RemoteConfig::default()).await.unwrap();
    Running { _process: process, root, address, plugin }
}

mod blobs {
    use super::*;
    use meridian_sdk::conformance::BlobsFixture;

    async fn fixture() -> BlobsFixture {
        let running = start().await;
        let data = running.root.path().join("data");
        let usage = move || bytes_in(&data.join("blobs")) + bytes_in(&data.join("unfinished"));
        BlobsFixture::new(running.plugin.blobs().unwrap()).with_usage(usage).with_guard(running)
    }

    fn bytes_in(folder: &Path) -> u64 {
        let entries = std::fs::read_dir(folder).unwrap().filter_map(Result::ok);
        // A file may be removed while this walks.
        entries.map(|entry| entry.metadata().map_or(0, |meta| meta.len())).sum()
    }

    meridian_sdk::conformance::blobs_suite!(fixture());
}

mod soft {
    use super::*;
    use meridian_sdk::{Bytes, conformance::SoftFixture, ports::SoftState};

    async fn fixture() -> SoftFixture {
        let running = start().await;
        let again = RemotePlugin::connect(&running.address, RemoteConfig::default()).await.unwrap();
        SoftFixture::new(running.plugin.soft_state().unwrap())
            .with_peer(again.soft_state().unwrap())
            .with_guard(running)
    }

    meridian_sdk::conformance::soft_suite!(fixture());

    /// More than one message holds: the kit's full set is of small values.
    #[tokio::test]
    async fn a_large_set_comes_in_pages() {
        let running = start().await;
        let soft = running.plugin.soft_state().unwrap();
        let value = Bytes::from(vec![7; 60 * 1024]);
        for member in 0..100 {
            soft.join("large", &format!("{member:03}"), value.clone(), Duration::from_secs(3600))
                .await
                .unwrap();
        }
        let members = soft.members("large").await.unwrap();
        assert_eq!(members.len(), 100);
        assert!(members.is_sorted() && members.iter().all(|(_, held)| *held == value));
    }
}
