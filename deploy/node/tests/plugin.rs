//! A server whose files and soft state are kept by another process, in Python, over gRPC.
#![allow(clippy::unwrap_used, clippy::panic)] // test code

use meridian_services::{Process, PythonPlugin, free_port, until};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const BINARY: &str = env!("CARGO_BIN_EXE_meridian");
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server.
struct Server {
    process: Process,
    data: PathBuf,
    log: PathBuf,
}

/// An answer to a request.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Server {
    fn start(folder: &Path, plugin: &str) -> Self {
        let (data, log) = (folder.join("data"), folder.join("log"));
        let url = format!("grpc://{plugin}");
        let mut arguments = vec!["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        arguments.extend(["--blobs", &url, "--soft", &url, "--data-dir", data.to_str().unwrap()]);
        let mut process = Process::start(Path::new(BINARY), arguments, None, &log);
        until("the server is ready", PATIENCE, || {
            assert!(process.is_running(), "the server ended: {}", process.log_tail());
            data.join("listening.json").exists()
        });
        Self { process, data, log }
    }

    fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let addresses = fs::read_to_string(self.data.join("listening.json")).unwrap();
        let addresses: Value = serde_json::from_str(&addresses).unwrap();
        let mut stream = TcpStream::connect(addresses["listen"].as_str().unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // HTTP/1.0: the answer comes in one piece and ends with the connection.
        write!(
            stream,
            "{method} /demo/chat/{path} HTTP/1.0\r\nhost: x\r\ncontent-length: {}\r\n",
            body.len()
        )
        .unwrap();
        for (name, value) in headers {
            write!(stream, "{name}: {value}\r\n").unwrap();
        }
        stream.write_all(b"\r\n").unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let head = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
        let status = String::from_utf8_lossy(&answer[..head]).split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, body: answer[head + 4..].to_vec() }
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let kind = [("content-type", "application/json")];
        let answer = self.request("POST", path, &kind, body.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    fn upload(&self, token: &str, content: &[u8]) -> Answer {
        let mut form = b"--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\
            Content-Type: application/octet-stream\r\n\r\n"
            .to_vec();
        form.extend_from_slice(content);
        form.extend_from_slice(b"\r\n--B--\r\n");
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", &*bearer), ("content-type", "multipart/form-data; boundary=B")];
        self.request("POST", "chatfiles", &headers, &form)
    }

    fn download(&self, file: &str) -> Answer {
        self.request("GET", &format!("chatfiles/{file}"), &[], b"")
    }
}

fn uuid(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()["entities"][0]["uuid"].as_str().unwrap().to_owned()
}

#[test]
fn files_and_soft_state_live_in_a_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let mut plugin = PythonPlugin::start();
    let server = Server::start(folder.path(), plugin.address());
    let said = fs::read_to_string(&server.log).unwrap();
    for row in [
        "blobs      grpc     remote python-files 1.0.0  on this machine  yes      over gRPC, as durable",
        "soft       grpc     remote python-files 1.0.0  on this machine  no       over gRPC",
        // The plugin is no bus.
        "bus        memory ",
    ] {
        assert!(said.contains(row), "{row}: {said}");
    }

    server.post("users", &json!({ "username": "ann", "password": "secret" }));
    let login = json!({ "grant_type": "password", "username": "ann", "password": "secret" });
    let token = server.post("token", &login)["access_token"].as_str().unwrap().to_owned();
    // More than one message of the protocol, and no whole number of them.
    let content: Vec<u8> = (0..1_000_003_u32).map(|n| (n ^ (n >> 8)) as u8).collect();
    let file = uuid(&server.upload(&token, &content));
    let answer = server.download(&file);
    assert_eq!(answer.status, 200);
    assert!(answer.body == content, "{} bytes came back", answer.body.len());
    let [kept, unfinished] = plugin.folders();
    let bytes = |folder: &Path| -> u64 {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
    };
    assert_eq!(bytes(&kept), content.len() as u64, "the plugin has the file");

    plugin.kill();
    for answer in [server.download(&file), server.upload(&token, b"x")] {
        assert!(answer.status >= 500, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
    }
    plugin.restart();
    // The connection comes back by itself.
    until("the file is there again", PATIENCE, || server.download(&file).body == content);
    let other = uuid(&server.upload(&token, b"after that"));
    assert_eq!(server.download(&other).body, b"after that");
    assert_eq!(bytes(&unfinished), 0);

    let mut process = server.process;
    process.signal("TERM");
    until("the server is gone", PATIENCE, || !process.is_running());
    assert!(!server.data.join("files").exists(), "no file was kept by the node itself");
}

#[test]
fn a_plugin_that_is_away_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("grpc://127.0.0.1:{}", free_port());
    for key in ["store", "blobs", "soft", "bus", "directory"] {
        let said = refusal(folder.path(), key, &url);
        let address = url.replace("grpc", "http");
        let line = format!("{key}: cannot open {url}: connect: Unavailable: no plugin answers at {address}");
        assert!(said.contains(&line), "{said}");
    }
}

#[test]
fn a_contract_that_a_plugin_does_not_serve_stops_the_start_when_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = PythonPlugin::start();
    let url = format!("grpc://{}", plugin.address());
    for key in ["store", "bus", "directory"] {
        let said = refusal(folder.path(), key, &url);
        let line = format!(
            "{key}: cannot open {url}: connect: Unsupported: remote python-files 1.0.0 serves [\"blobs\", \"soft\"], \
             not \"{key}\""
        );
        assert!(said.contains(&line), "{said}");
    }
}

/// What a start with this backend says when it is refused.
fn refusal(folder: &Path, key: &str, url: &str) -> String {
    let data = folder.to_str().unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data-dir", data];
    let output = Command::new(BINARY).args(arguments).args([&format!("--{key}"), url]).output().unwrap();
    assert!(!output.status.success(), "--{key} {url} was not refused");
    String::from_utf8(output.stderr).unwrap()
}
