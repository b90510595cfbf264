//! A highly available PostgreSQL: Patroni, with etcd to agree on who is the primary.

use crate::{
    postgres::{FOLDERS, USER, is_root, psql},
    process::{Process, free_port, program, until},
};
use std::{
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(90);

/// Two servers, of which the primary answers a commit when the other has it on disk as well.
#[derive(Debug)]
pub struct Patroni {
    nodes: Vec<Node>,
    _etcd: Process,
    folder: TempDir,
}

#[derive(Debug)]
struct Node {
    process: Option<Process>,
    port: u16,
    api: u16,
    data: PathBuf,
    config: PathBuf,
}

impl Patroni {
    /// Starts both, and waits until the second follows synchronously.
    #[must_use]
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("patroni").tempdir().unwrap();
        let (etcd, client) = start_etcd(folder.path());
        if is_root() {
            let owned = Command::new("chown").arg(USER).arg(folder.path()).status().unwrap();
            assert!(owned.success(), "chown {USER}");
        }
        let nodes = (0..2).map(|number| Node::new(folder.path(), number, client)).collect();
        let mut cluster = Self { nodes, _etcd: etcd, folder };
        for number in 0..2 {
            cluster.revive(number);
        }
        cluster.wait();
        cluster
    }

    /// Names both servers, whichever is the primary.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let hosts: Vec<_> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("postgres://postgres@{}/{database}", hosts.join(","))
    }

    /// The place of the primary, once there is one.
    pub fn primary(&self) -> usize {
        let mut found = None;
        until("there is a primary", PATIENCE, || {
            found = self.nodes.iter().position(|node| node.asks("SELECT pg_is_in_recovery()") == "f");
            found.is_some()
        });
        found.unwrap()
    }

    /// Runs SQL on the primary.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        psql(self.nodes[self.primary()].port, database, sql).unwrap()
    }

    /// A machine dies: Patroni and its server end at once.
    pub fn kill(&mut self, number: usize) {
        self.nodes[number].kill();
    }

    /// The machine comes back, with the data that it had.
    pub fn revive(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        let log = self.folder.path().with_extension(format!("{number}.log"));
        let patroni = program("patroni", "patroni", &["/usr/bin"]);
        let user = is_root().then_some(USER);
        node.process = Some(Process::start(&patroni, [&node.config], user, &log));
    }

    /// Until one is the primary and the other follows synchronously.
    pub fn wait(&mut self) {
        until("the second server follows the first synchronously", PATIENCE, || {
            for node in &mut self.nodes {
                let process = node.process.as_mut().unwrap();
                assert!(process.is_running(), "patroni ended: {}", process.log_tail());
            }
            // What Patroni says counts: only such a one may take over.
            self.nodes.iter().any(Node::is_synchronous)
        });
    }
}

impl Drop for Patroni {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for process in self.nodes.iter().filter_map(|node| node.process.as_ref()) {
                println!("patroni: {}", process.log_tail());
            }
        }
        self.nodes.iter_mut().for_each(|node| node.end("QUIT"));
        for number in 0..self.nodes.len() {
            let _ = std::fs::remove_file(self.folder.path().with_extension(format!("{number}.log")));
        }
    }
}

impl Node {
    fn new(folder: &Path, number: usize, etcd: u16) -> Self {
        let (port, api, data) = (free_port(), free_port(), folder.join(format!("data{number}")));
        let config = folder.join(format!("node{number}.yml"));
        std::fs::write(&config, yaml(folder, number, (port, api, etcd), &data)).unwrap();
        Self { process: None, port, api, data, config }
    }

    fn is_synchronous(&self) -> bool {
        let Ok(mut connection) = TcpStream::connect(("127.0.0.1", self.api)) else { return false };
        let _ = connection.write_all(b"GET /synchronous HTTP/1.0\r\n\r\n");
        let mut answer = String::new();
        let _ = connection.read_to_string(&mut answer);
        answer.split(' ').nth(1) == Some("200")
    }

    /// The answer, or nothing.
    fn asks(&self, sql: &str) -> String {
        psql(self.port, "postgres", sql).unwrap_or_default()
    }

    fn kill(&mut self) {
        self.end("KILL");
    }

    /// `QUIT` is as sudden to clients as `KILL`, and leaves no shared memory behind.
    fn end(&mut self, signal: &str) {
        self.process = None;
        // The server is no child of Patroni's: it would live on.
        let file = std::fs::read_to_string(self.data.join("postmaster.pid")).unwrap_or_default();
        if let Some(pid) = file.lines().next() {
            let _ = Command::new("kill").args(["-s", signal, pid.trim()]).output();
        }
        until("PostgreSQL is gone", PATIENCE, || TcpStream::connect(("127.0.0.1", self.port)).is_err());
    }
}

fn start_etcd(folder: &Path) -> (Process, u16) {
    let (client, peer) = (free_port(), free_port());
    let (client_url, peer_url) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
    let data = folder.join("etcd");
    let arguments = [
        "--data-dir".to_owned(),
        data.display().to_string(),
        format!("--listen-client-urls={client_url}"),
        format!("--advertise-client-urls={client_url}"),
        format!("--listen-peer-urls={peer_url}"),
        format!("--initial-advertise-peer-urls={peer_url}"),
        format!("--initial-cluster=default={peer_url}"),
    ];
    let etcd = program("etcd", "etcd-server", &["/usr/bin"]);
    let mut process = Process::start(&etcd, arguments, None, &folder.join("etcd.log"));
    until("etcd listens", PATIENCE, || {
        assert!(process.is_running(), "etcd ended: {}", process.log_tail());
        TcpStream::connect(("127.0.0.1", client)).is_ok()
    });
    (process, client)
}

/// A leader that is silent for 5 s is no longer one; both look every second.
fn yaml(folder: &Path, number: usize, (port, api, etcd): (u16, u16, u16), data: &Path) -> String {
    let (folder, data) = (folder.display(), data.display());
    let binaries = FOLDERS.iter().find(|folder| Path::new(folder).join("postgres").is_file());
    let binaries = binaries.unwrap_or_else(|| panic!("PostgreSQL is missing: install postgresql-15"));
    format!(
        "
scope: meridian
name: node{number}
restapi: {{listen: '127.0.0.1:{api}', connect_address: '127.0.0.1:{api}'}}
etcd3: {{host: '127.0.0.1:{etcd}'}}
bootstrap:
  dcs:
    ttl: 5
    loop_wait: 1
    retry_timeout: 3
    synchronous_mode: true
    postgresql:
      use_pg_rewind: true
      parameters: {{max_connections: 200, wal_log_hints: 'on', shared_buffers: 128MB}}
  initdb: [encoding: UTF8, locale: C.UTF-8, data-checksums, auth: trust]
  pg_hba: [local all all trust, host all all 127.0.0.1/32 trust, host replication all 127.0.0.1/32 trust]
postgresql:
  listen: '127.0.0.1:{port}'
  connect_address: '127.0.0.1:{port}'
  data_dir: {data}
  bin_dir: {binaries}
  pgpass: {folder}/pgpass{number}
  authentication:
    superuser: {{username: postgres}}
    replication: {{username: replicator}}
  parameters: {{unix_socket_directories: {folder}}}
"
    )
}
