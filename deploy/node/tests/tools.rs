//! The command line, from outside: boot, refusals, and an app that moves from one file to a sharded store and inside of it.
#![allow(clippy::unwrap_used, clippy::panic)] // test code

use meridian_services::{Process, until};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

const BINARY: &str = env!("CARGO_BIN_EXE_meridian");
const PATIENCE: Duration = Duration::from_secs(30);

fn meridian(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(BINARY)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its input may be gone before all is written.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn well(arguments: &[&str], input: &[u8]) -> Output {
    let output = meridian(arguments, input);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn refusal(arguments: &[&str], input: &[u8]) -> String {
    let output = meridian(arguments, input);
    assert!(!output.status.success(), "{arguments:?} was not refused");
    String::from_utf8(output.stderr).unwrap()
}

/// A running server.
struct Server {
    process: Process,
    data: PathBuf,
    log: PathBuf,
}

impl Server {
    fn start(folder: &Path, data: &str, more: &[&str]) -> Self {
        let (data, log) = (folder.join(data), folder.join(format!("{data}.log")));
        let mut arguments = vec!["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data-dir"];
        arguments.push(data.to_str().unwrap());
        arguments.extend(more);
        let process = Process::start(Path::new(BINARY), arguments, None, &log);
        until("the server is ready", PATIENCE, || data.join("listening.json").exists());
        Self { process, data, log }
    }

    fn post(&self, path: &str, body: &str) -> String {
        let addresses = fs::read_to_string(self.data.join("listening.json")).unwrap();
        let addresses: serde_json::Value = serde_json::from_str(&addresses).unwrap();
        let mut stream = TcpStream::connect(addresses["listen"].as_str().unwrap()).unwrap();
        let length = body.len();
        write!(
            stream,
            "POST /demo/chat/{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Stops it well, and gives what it said.
    fn stop(mut self) -> String {
        self.process.signal("TERM");
        until("the server is gone", PATIENCE, || !self.process.is_running());
        fs::read_to_string(&self.log).unwrap()
    }
}

#[test]
fn an_app_moves_from_a_file_to_shards_and_between_them() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let (first, second) = (first.to_str().unwrap(), second.to_str().unwrap());
    let export = ["export", "--app", "demo#chat", "--data-dir", first];

    let server = Server::start(folder.path(), "first", &[]);
    for n in 0..8 {
        let answer = server.post("users", &format!(r#"{{"username":"user{n}","password":"secret"}}"#));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let live = refusal(&export, b"");
    assert!(live.contains("in use by another process"), "{live}");
    let said = server.stop();
    for words in ["contract   backend  version", "store      sqlite   sqlite 3.", "directory  memory"] {
        assert!(said.contains(words), "{words}: {said}");
    }

    let file = well(&export, b"").stdout;
    let config = folder.path().join("shards.toml");
    fs::write(&config, "store = \"sharded:\"\n[shards]\na = \"sqlite:a.db\"\nb = \"sqlite:b.db\"\n").unwrap();
    let place = ["--config", config.to_str().unwrap(), "--data-dir", second];
    let with = |command: &[&'static str]| [command, &place].concat();
    let cut = refusal(&with(&["import"]), &file[..file.len() / 2]);
    assert!(cut.contains("cut off"), "{cut}");
    well(&with(&["import"]), &file);
    let again = refusal(&with(&["import"]), &file);
    assert!(again.contains("demo#chat exists already"), "{again}");
    well(&with(&["check"]), b"");

    for log in ["0.O0.0", "1.O0.0", "1.O0.5", "1.O0.9"] {
        for shard in ["a", "b", "a"] {
            let move_log = [&["move-log", log, "--to", shard][..], &place].concat();
            let output = meridian(&move_log, b"");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() || said.contains("there is no log"), "{log} to {shard}: {said}");
        }
    }
    let unknown = refusal(&with(&["move-log", "0.O0.0", "--to", "z"]), b"");
    assert!(unknown.contains("there are a, b"), "{unknown}");
    well(&with(&["check"]), b"");

    let server = Server::start(folder.path(), "second", &["--config", config.to_str().unwrap()]);
    for n in 0..8 {
        let body = format!(r#"{{"grant_type":"password","username":"user{n}","password":"secret"}}"#);
        let answer = server.post("token", &body);
        assert!(answer.contains("access_token"), "{answer}");
    }
    server.stop();
    well(&with(&["check"]), b"");
}

#[test]
fn what_cannot_work_is_refused_with_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let serve = |more: &[&'static str]| refusal(&[&["serve", "--data-dir", data], more].concat(), b"");
    let unknown = serve(&["--store", "oracle://me:hunter2@x"]);
    assert!(
        unknown.contains("store: unknown scheme \"oracle\"; known are grpc, memory, postgres"),
        "{unknown}"
    );
    let away = serve(&["--store", "postgres://me:hunter2@127.0.0.1:1/x"]);
    assert!(away.contains("store: cannot open postgres://me:***@127.0.0.1:1/x"), "{away}");
    let config = folder.path().join("cluster.toml");
    fs::write(&config, "[cluster]\nlisten = \"127.0.0.1:0\"\nsecret = \"hunter2hunter2hunter2\"\n").unwrap();
    let local = refusal(&["serve", "--data-dir", data, "--config", config.to_str().unwrap()], b"");
    assert!(local.contains("blobs: file: is on this machine only, and cluster.listen is set"), "{local}");
    assert!(local.contains("soft: memory: is in this process only"), "{local}");
    let none = refusal(&["check", "--data-dir", data, "--store", "sqlite:other.db"], b"");
    assert!(none.contains("no store at"), "{none}");
    for text in [unknown, away, local] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}
