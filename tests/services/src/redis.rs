//! Redis, single and as a cluster.

use crate::certificates::Certificates;
use crate::process::{Process, free_port, program, until};
use std::{net::TcpListener, path::PathBuf, process::Command, time::Duration};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// A Redis server of this test alone, without persistence.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    folder: TempDir,
    port: u16,
    options: Vec<String>,
}

impl Redis {
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(free_port(), &[])
    }

    /// Starts one that asks for a password.
    #[must_use]
    pub fn start_with_password(password: &str) -> Self {
        Self::start_with(free_port(), &["--requirepass", password])
    }

    /// Starts one that takes encrypted connections as well, on a second port: the server, that port's URL, and what to
    /// trust.
    #[must_use]
    pub fn start_encrypted() -> (Self, String, Certificates) {
        let folder = tempfile::tempdir().unwrap();
        let certificates = Certificates::make(folder.path());
        let tls = free_port();
        let path = |path: PathBuf| path.display().to_string();
        let options = [
            ("--tls-port", tls.to_string()),
            ("--tls-cert-file", path(certificates.certificate())),
            ("--tls-key-file", path(certificates.key())),
            ("--tls-ca-cert-file", path(certificates.authority())),
            ("--tls-auth-clients", "no".to_owned()),
        ];
        let options = options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
        let server = Self::start_in(folder, free_port(), options);
        (server, format!("rediss://localhost:{tls}/0"), certificates)
    }

    fn start_with(port: u16, options: &[&str]) -> Self {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        Self::start_in(tempfile::tempdir().unwrap(), port, options)
    }

    fn start_in(folder: TempDir, port: u16, options: Vec<String>) -> Self {
        let process = spawn(&folder, port, &options);
        let mut redis = Self { process, folder, port, options };
        redis.wait();
        redis
    }

    /// `redis://127.0.0.1:port/0`, without the password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends the server at once; its data is gone.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Ends the server if it runs and starts it again, empty, on the same port.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = spawn(&self.folder, self.port, &self.options);
        self.wait();
    }

    /// Sends a signal: `STOP` makes a server that neither answers nor closes, until `CONT`.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Runs a command with `redis-cli` and gives its output.
    #[must_use]
    pub fn cli(&self, arguments: &[&str]) -> String {
        cli(self.port, arguments)
    }

    fn wait(&mut self) {
        until("redis answers", PATIENCE, || {
            assert!(self.process.is_running(), "redis-server ended: {}", self.process.log_tail());
            let answer = cli(self.port, &["ping"]);
            // A server that asks for a password answers too.
            answer.contains("PONG") || answer.contains("NOAUTH")
        });
    }
}

/// Six servers: three masters with a replica each.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
}

impl RedisCluster {
    /// Starts the servers and waits until every node sees a whole cluster and every replica follows its master.
    #[must_use]
    pub fn start() -> Self {
        let options = [
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "2000",
            // A replica that has not synced yet could not take over.
            "--repl-diskless-sync-delay",
            "0",
        ];
        let nodes: Vec<_> = (0..6).map(|_| Redis::start_with(cluster_port(), &options)).collect();
        let cluster = Self { nodes };
        let addresses: Vec<_> = cluster.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        let created = Command::new(redis_cli())
            .args(["--cluster", "create"])
            .args(&addresses)
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .output()
            .unwrap();
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stdout));
        until("the cluster is whole", PATIENCE, || {
            cluster.nodes.iter().all(|node| {
                let replication = node.cli(&["info", "replication"]);
                node.cli(&["cluster", "info"]).contains("cluster_state:ok")
                    && (replication.contains("role:master") || replication.contains("master_link_status:up"))
                    && node.cli(&["cluster", "nodes"]).matches("slave").count() == 3
            })
        });
        cluster
    }

    /// `redis-cluster://127.0.0.1:p1,127.0.0.1:p2,…`
    #[must_use]
    pub fn url(&self) -> String {
        let addresses: Vec<_> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("redis-cluster://{}", addresses.join(","))
    }

    #[must_use]
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// Ends a master at once and gives its place among the nodes.
    pub fn kill_a_master(&mut self) -> usize {
        let is_master = |node: &Redis| node.cli(&["info", "replication"]).contains("role:master");
        let place = self.nodes.iter().position(is_master).unwrap();
        self.nodes[place].kill();
        place
    }
}

fn spawn(folder: &TempDir, port: u16, options: &[String]) -> Process {
    let server = program("redis-server", "redis-server", &["/usr/bin"]);
    let port = port.to_string();
    let dir = folder.path().to_str().unwrap();
    let fixed = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", dir];
    let arguments = fixed.into_iter().chain(options.iter().map(String::as_str));
    Process::start(&server, arguments, None, &folder.path().join("log"))
}

fn redis_cli() -> PathBuf {
    program("redis-cli", "redis-tools", &["/usr/bin"])
}

fn cli(port: u16, arguments: &[&str]) -> String {
    let port = port.to_string();
    let output = Command::new(redis_cli()).args(["-p", &port]).args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A free port whose cluster bus port, 10,000 above, exists and is free too.
fn cluster_port() -> u16 {
    for _ in 0..1000 {
        let port = free_port();
        if port < 55_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
    panic!("no port with a free one 10,000 above");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_killed_and_restarted_empty() {
        let mut redis = Redis::start();
        assert!(redis.cli(&["set", "k", "v"]).contains("OK"));
        redis.kill();
        assert!(!redis.cli(&["ping"]).contains("PONG"));
        redis.restart();
        assert_eq!(redis.cli(&["get", "k"]).trim(), "");
    }

    #[test]
    fn a_cluster_takes_over_from_a_dead_master() {
        let mut cluster = RedisCluster::start();
        let dead = cluster.kill_a_master();
        let other = &cluster.nodes()[(dead + 1) % 6];
        until("the cluster notices", PATIENCE, || other.cli(&["cluster", "nodes"]).contains("fail"));
        until("a replica takes over", PATIENCE, || {
            other.cli(&["cluster", "info"]).contains("cluster_state:ok")
        });
    }
}
