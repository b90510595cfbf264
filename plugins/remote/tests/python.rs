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
    let plugin = RemotePlugin::connect(&format!("http://{address}"), RemoteConfig::default()).await.unwrap();
    Running { _process: process, root, plugin }
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

/// Soft state gives the answers that the model gives, to the same calls.
mod soft {
    use super::*;
    use meridian_memory::MemorySoftState;
    use meridian_sdk::{Bytes, ErrorKind, Result, ports::SoftState};

    const HOUR: Duration = Duration::from_secs(3600);

    fn words<T: std::fmt::Debug>(answer: Result<T>) -> String {
        format!("{:?}", answer.map_err(|error| error.kind()))
    }

    /// The answers to a fixed list of calls, limits included.
    async fn answers(soft: &dyn SoftState) -> Vec<String> {
        let long = "k".repeat(513);
        let value = |text: &'static str| Bytes::from_static(text.as_bytes());
        let mut said = Vec::new();
        for key in ["a", "b", "\u{e9}", "", &long, &long[1..]] {
            said.push(words(soft.get(key).await));
            said.push(words(soft.set_if_absent(key, value("first"), HOUR).await));
            said.push(words(soft.set_if_absent(key, value("second"), HOUR).await));
            said.push(words(soft.get(key).await));
            said.push(words(soft.set(key, Bytes::new(), HOUR).await));
            said.push(words(soft.get(key).await));
            said.push(words(soft.remove(key).await));
            said.push(words(soft.remove(key).await));
            said.push(words(soft.get(key).await));
            for by in [1, -3, i64::MAX, i64::MAX, 0, i64::MIN, i64::MIN] {
                said.push(words(soft.add(key, by, HOUR).await));
            }
            for member in ["z", "b", "a", "\u{e9}", "\u{10348}", "\u{fffd}", "", &long] {
                said.push(words(soft.join(key, member, value("v"), HOUR).await));
            }
            said.push(words(soft.join(key, "b", value("again"), HOUR).await));
            said.push(words(soft.members(key).await));
            said.push(words(soft.leave(key, "b").await));
            said.push(words(soft.leave(key, "b").await));
            said.push(words(soft.members(key).await));
        }
        for ttl in [Duration::ZERO, Duration::from_nanos(1), 24 * HOUR, 24 * HOUR + Duration::from_millis(1)]
        {
            said.push(words(soft.set("ttl", value("x"), ttl).await.map(|()| ttl)));
        }
        for size in [64 * 1024, 64 * 1024 + 1] {
            said.push(words(soft.set("size", Bytes::from(vec![0; size]), HOUR).await));
        }
        said
    }

    #[tokio::test]
    async fn answers_are_those_of_the_model() {
        let running = start().await;
        let (found, expected) =
            (answers(&running.plugin.soft_state().unwrap()).await, answers(&MemorySoftState::new()).await);
        for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found, expected, "answer {place}");
        }
        assert!(expected.iter().any(|answer| answer.contains("Invalid")), "limits were tried");
    }

    #[tokio::test]
    async fn what_has_expired_is_gone() {
        let running = start().await;
        let soft = running.plugin.soft_state().unwrap();
        let ttl = Duration::from_millis(300);
        soft.set("value", Bytes::new(), ttl).await.unwrap();
        soft.join("set", "member", Bytes::new(), ttl).await.unwrap();
        assert_eq!(soft.add("counter", 5, ttl).await.unwrap(), 5);
        let begun = tokio::time::Instant::now();
        while soft.get("value").await.unwrap().is_some() || !soft.members("set").await.unwrap().is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(30), "nothing expires");
        }
        // A counter's window begins when it is made.
        while soft.add("counter", 1, HOUR).await.unwrap() != 1 {
            assert!(begun.elapsed() < Duration::from_secs(30), "a counter never begins again");
        }
        assert_eq!(soft.set("", Bytes::new(), ttl).await.unwrap_err().kind(), ErrorKind::Invalid);
    }

    #[tokio::test]
    async fn a_large_set_comes_in_pages() {
        let running = start().await;
        let soft = running.plugin.soft_state().unwrap();
        let value = Bytes::from(vec![7; 60 * 1024]);
        for member in 0..100 {
            soft.join("large", &format!("{member:03}"), value.clone(), HOUR).await.unwrap();
        }
        let members = soft.members("large").await.unwrap();
        assert_eq!(members.len(), 100);
        assert!(members.is_sorted() && members.iter().all(|(_, held)| *held == value));
    }
}
