//! Redis: private servers without persistence.

use crate::process::{Process, free_port, program, until};
use std::{process::Command, time::Duration};

const PACKAGE: &str = "redis-server";
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server.
#[derive(Debug)]
pub struct Redis {
    process: Option<Process>,
    port: u16,
    folder: tempfile::TempDir,
}

impl Redis {
    #[must_use]
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("redis").tempdir().unwrap();
        let mut redis = Self { process: None, port: free_port(), folder };
        redis.restart();
        redis
    }

    /// Starts it again, empty, on the same port.
    pub fn restart(&mut self) {
        self.kill();
        let folder = self.folder.path().display().to_string();
        let port = self.port.to_string();
        let arguments =
            ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", &folder];
        let log = self.folder.path().join("log");
        self.process = Some(Process::start(&program("redis-server", PACKAGE, &[]), arguments, None, &log));
        until("Redis is ready", PATIENCE, || self.command(&["PING"]) == "PONG");
    }

    /// Ends it as a crash does. Everything in it is gone.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Stops it without ending it, and lets it go on.
    pub fn pause(&self, paused: bool) {
        if let Some(process) = &self.process {
            process.signal(if paused { "STOP" } else { "CONT" });
        }
    }

    /// Runs a command by redis-cli; empty when the server is away.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> String {
        let ran = Command::new(program("redis-cli", "redis-tools", &[]))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(words)
            .output()
            .unwrap();
        String::from_utf8_lossy(&ran.stdout).trim().to_owned()
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}
