//! S3 servers: s3s-fs, quick and over a folder, and Garage, as run in production.

use crate::process::{Process, free_port, tool, until};
use std::{
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
const BUCKET: &str = "meridian-files";
const ACCESS_KEY: &str = "GK0123456789abcdef01234567";
const SECRET_KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// An S3 server of this test alone, with an empty bucket.
#[derive(Debug)]
pub struct S3 {
    process: Process,
    kind: Kind,
    folder: TempDir,
    port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    S3sFs,
    Garage,
}

impl S3 {
    /// Quick. Keys are paths in a folder: none may be the beginning of another, and long ones do not fit.
    #[must_use]
    pub fn s3s_fs() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("data").join(BUCKET)).unwrap();
        Self::run(Kind::S3sFs, folder)
    }

    /// A store for several machines, here on one.
    #[must_use]
    pub fn garage() -> Self {
        Self::run(Kind::Garage, tempfile::tempdir().unwrap())
    }

    fn run(kind: Kind, folder: TempDir) -> Self {
        let port = free_port();
        let process = start(kind, folder.path(), port);
        let mut server = Self { process, kind, folder, port };
        server.wait();
        server
    }

    /// `http://127.0.0.1:port`
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// `s3://bucket/files?endpoint=…` with everything that a client needs.
    #[must_use]
    pub fn url(&self) -> String {
        let endpoint = self.endpoint();
        format!("s3://{BUCKET}/files?endpoint={endpoint}&access_key={ACCESS_KEY}&secret_key={SECRET_KEY}")
    }

    /// Where it keeps its data.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same data and port.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = start(self.kind, self.folder.path(), self.port);
        self.wait();
    }

    /// `STOP` makes a server that takes connections and does not answer, until `CONT`.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    fn wait(&mut self) {
        until("the S3 server listens", PATIENCE, || {
            assert!(self.process.is_running(), "the S3 server ended: {}", self.process.log_tail());
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
        if self.kind == Kind::Garage {
            // The bucket and its key are made after the port is open.
            let config = self.folder.path().join("garage.toml");
            until("Garage has its bucket", PATIENCE, || {
                let mut ask = Command::new(tool("garage"));
                let asked = ask.arg("-c").arg(&config).args(["bucket", "info", BUCKET]);
                asked.output().unwrap().status.success()
            });
        }
    }
}

fn start(kind: Kind, folder: &Path, port: u16) -> Process {
    let log = folder.join("log");
    let data = folder.join("data");
    match kind {
        Kind::S3sFs => {
            let port = port.to_string();
            let fixed = ["--host", "127.0.0.1", "--port", &port, "--access-key", ACCESS_KEY];
            let rest = ["--secret-key", SECRET_KEY, data.to_str().unwrap()];
            Process::start(&tool("s3s-fs"), fixed.into_iter().chain(rest), None, &log)
        }
        Kind::Garage => {
            let config = folder.join("garage.toml");
            std::fs::write(&config, garage_toml(folder, port)).unwrap();
            let environment = [
                format!("GARAGE_DEFAULT_ACCESS_KEY={ACCESS_KEY}"),
                format!("GARAGE_DEFAULT_SECRET_KEY={SECRET_KEY}"),
                format!("GARAGE_DEFAULT_BUCKET={BUCKET}"),
            ];
            let garage = [
                tool("garage").display().to_string(),
                "-c".into(),
                config.display().to_string(),
                "server".into(),
                "--single-node".into(),
                "--default-bucket".into(),
            ];
            Process::start(Path::new("/usr/bin/env"), environment.into_iter().chain(garage), None, &log)
        }
    }
}

fn garage_toml(folder: &Path, port: u16) -> String {
    let (meta, data, rpc) = (folder.join("meta"), folder.join("data"), free_port());
    format!(
        "metadata_dir = {meta:?}\ndata_dir = {data:?}\ndb_engine = \"sqlite\"\nreplication_factor = 1\n\
         metadata_fsync = false\ndata_fsync = false\nrpc_bind_addr = \"127.0.0.1:{rpc}\"\n\
         rpc_public_addr = \"127.0.0.1:{rpc}\"\nrpc_secret = \"{SECRET_KEY}\"\n\
         [s3_api]\napi_bind_addr = \"127.0.0.1:{port}\"\ns3_region = \"us-east-1\"\n"
    )
}
