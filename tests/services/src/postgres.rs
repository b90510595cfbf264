//! PostgreSQL 15: one private cluster per test process, databases as needed.

use crate::certificates::Certificates;
use crate::process::{Process, free_port, program, until};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// Where Debian keeps what is not on the path.
pub(crate) const FOLDERS: &[&str] =
    &["/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/16/bin", "/usr/lib/postgresql/17/bin"];
const PACKAGE: &str = "postgresql-15";
/// The server refuses to run as root.
pub(crate) const USER: &str = "postgres";
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    process: Option<Process>,
    port: u16,
    folder: tempfile::TempDir,
}

impl Postgres {
    /// A quick server that may lose its last commits when it is stopped.
    #[must_use]
    pub fn start() -> Self {
        Self::with(&["fsync=off", "synchronous_commit=off", "full_page_writes=off"])
    }

    /// A server that syncs every commit, as in production.
    #[must_use]
    pub fn durable() -> Self {
        Self::with(&[])
    }

    /// A quick server that takes encrypted connections only; the authority's certificate is in `certificates`.
    #[must_use]
    pub fn encrypted() -> (Self, Certificates) {
        let folder = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
        let certificates = Certificates::make(folder.path());
        let (certificate, key) = (certificates.certificate(), certificates.key());
        let certificate = format!("ssl_cert_file='{}'", certificate.display());
        let key = format!("ssl_key_file='{}'", key.display());
        let server = Self::make(folder, &["fsync=off", "ssl=on", &certificate, &key], "hostssl");
        (server, certificates)
    }

    fn with(settings: &[&str]) -> Self {
        Self::make(tempfile::Builder::new().prefix("pg").tempdir().unwrap(), settings, "host")
    }

    /// `door` is the kind of connections that are let in over TCP.
    fn make(folder: tempfile::TempDir, settings: &[&str], door: &str) -> Self {
        let data = folder.path().join("data");
        if is_root() {
            let owned = Command::new("chown").arg("-R").arg(USER).arg(folder.path()).status().unwrap();
            assert!(owned.success(), "chown {USER}");
        }
        let initdb = program("initdb", PACKAGE, FOLDERS);
        let made = as_user(&initdb)
            .args([
                "-U",
                "postgres",
                "-A",
                "trust",
                "--no-sync",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "--no-instructions",
            ])
            .arg("-D")
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let configuration = data.join("postgresql.conf");
        let mut text = std::fs::read_to_string(&configuration).unwrap();
        for setting in settings {
            text.push_str(setting);
            text.push('\n');
        }
        text.push_str("max_connections=300\nshared_buffers=128MB\nlogging_collector=off\n");
        std::fs::write(&configuration, text).unwrap();
        std::fs::write(data.join("pg_hba.conf"), format!("{door} all all 127.0.0.1/32 trust\n")).unwrap();
        let mut postgres = Self { process: None, port: free_port(), folder };
        postgres.run();
        postgres
    }

    fn run(&mut self) {
        let data = self.folder.path().join("data");
        let arguments = [
            "-D".into(),
            data.display().to_string(),
            "-c".into(),
            "listen_addresses=127.0.0.1".into(),
            "-c".into(),
            format!("port={}", self.port),
            "-c".into(),
            format!("unix_socket_directories={}", self.folder.path().display()),
        ];
        let user = is_root().then_some(USER);
        let binary = program("postgres", PACKAGE, FOLDERS);
        self.process = Some(Process::start(&binary, arguments, user, &self.log()));
        let ready = program("pg_isready", PACKAGE, FOLDERS);
        let port = self.port.to_string();
        until("PostgreSQL is ready", PATIENCE, || {
            let asked = Command::new(&ready).args(["-q", "-h", "127.0.0.1", "-p", &port]).status().unwrap();
            asked.success()
        });
    }

    fn log(&self) -> PathBuf {
        // Beside the server's own folder, which belongs to another user.
        std::env::temp_dir()
            .join(format!("{}.log", self.folder.path().file_name().unwrap().to_string_lossy()))
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a database.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs SQL by psql.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        psql(self.port, database, sql).unwrap()
    }

    /// Stops at once, as a crash does: nothing is written that was not committed.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // "Immediate"; killing the parent alone would leave its children with the shared memory.
            process.signal("QUIT");
            until("PostgreSQL is gone", PATIENCE, || !process.is_running());
        }
    }

    /// Starts it again on the same data and port.
    pub fn restart(&mut self) {
        self.stop();
        self.run();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_file(self.log());
    }
}

/// Runs SQL by psql; gives its output, or what went wrong.
pub(crate) fn psql(port: u16, database: &str, sql: &str) -> Result<String, String> {
    let mut psql = Command::new(program("psql", PACKAGE, FOLDERS));
    psql.args(["-h", "127.0.0.1", "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-qAt"]);
    psql.args(["-p", &port.to_string(), "-d", database, "-c", sql]).env("PGCONNECT_TIMEOUT", "5");
    let ran = psql.output().unwrap();
    if ran.status.success() {
        Ok(String::from_utf8_lossy(&ran.stdout).trim().to_owned())
    } else {
        Err(format!("{sql}: {}", String::from_utf8_lossy(&ran.stderr)))
    }
}

pub(crate) fn is_root() -> bool {
    let me = Command::new("id").arg("-u").output().unwrap();
    me.stdout.starts_with(b"0\n")
}

fn as_user(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]).arg(program);
    command.current_dir("/");
    command
}
