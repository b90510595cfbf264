//! The example plugin in Python.
//!
//! Needs the virtual environment that `tests/run` prepares; without it a test fails and says so.

use crate::process::{Process, tools, until};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
    time::Duration,
};
use tempfile::TempDir;

/// The interpreter with grpcio.
static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
    let python = tools().join("python-plugin/bin/python");
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
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/remote/python")
}

/// The Python plugin of this test alone: blobs in a folder of its own, soft state in memory.
#[derive(Debug)]
pub struct PythonPlugin {
    process: Process,
    root: TempDir,
    address: String,
}

impl PythonPlugin {
    #[must_use]
    pub fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let (process, address) = spawn(root.path(), "127.0.0.1:0");
        Self { process, root, address }
    }

    /// `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The folder of finished blobs, and the one of unfinished ones.
    #[must_use]
    pub fn folders(&self) -> [PathBuf; 2] {
        ["blobs", "unfinished"].map(|name| self.root.path().join("data").join(name))
    }

    /// Ends the plugin at once.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same address, with the blobs that it has.
    pub fn restart(&mut self) {
        self.process.kill();
        (self.process, _) = spawn(self.root.path(), &self.address);
    }
}

fn spawn(root: &Path, listen: &str) -> (Process, String) {
    let log = root.join("log");
    // An earlier run's address must not be read again.
    let _ = std::fs::remove_file(&log);
    let arguments = [
        source().join("plugin.py").into_os_string(),
        "--listen".into(),
        listen.into(),
        "--root".into(),
        root.join("data").into_os_string(),
        "--stubs".into(),
        STUBS.path().to_owned().into_os_string(),
    ];
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
}
