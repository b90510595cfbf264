//! A region of real processes, and people who send all the time.

use meridian_services::{Process, free_port, until};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_meridian");
const PATIENCE: Duration = Duration::from_secs(60);
/// What [`assert_stored`] wants to know.
pub(crate) const MESSAGES: &str = "SELECT message_id FROM messages ORDER BY conversation, seq";
const SENDERS: usize = 4;

/// A core as a process.
pub(crate) struct Core {
    process: Option<Process>,
    data: PathBuf,
    config: PathBuf,
    trusts: Option<PathBuf>,
}

impl Core {
    pub(crate) fn new(folder: &Path, name: &str, postgres: &str, redis: &str) -> Self {
        let files = format!("file:{}?shared=true", folder.join("files").display());
        Self::with_files(folder, name, postgres, redis, &files)
    }

    pub(crate) fn with_files(folder: &Path, name: &str, postgres: &str, redis: &str, files: &str) -> Self {
        let mut core = Self::prepared(folder, name, postgres, redis, files);
        core.start();
        core
    }

    /// Not started yet.
    pub(crate) fn prepared(folder: &Path, name: &str, postgres: &str, redis: &str, files: &str) -> Self {
        let (data, config) = (folder.join(name), folder.join(format!("{name}.toml")));
        let text = format!(
            "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\ndata_dir = {data:?}\nstore = {postgres:?}\nsoft = {redis:?}\n\
             blobs = {files:?}\n[cluster]\nlisten = \"127.0.0.1:{}\"\nsecret = \"sixteen bytes or more\"\n",
            free_port()
        );
        fs::write(&config, text).unwrap();
        Self { process: None, data, config, trusts: None }
    }

    pub(crate) fn start(&mut self) {
        let ready = self.data.join("listening.json");
        let _ = fs::remove_file(&ready);
        let log = self.data.with_extension("log");
        let trusts = self.trusts.iter().map(|file| format!("SSL_CERT_FILE={}", file.display()));
        let command = [BINARY, "serve", "--config", self.config.to_str().unwrap()].map(str::to_owned);
        self.process = Some(Process::start(Path::new("/usr/bin/env"), trusts.chain(command), None, &log));
        until("the core is ready", PATIENCE, || {
            let process = self.process.as_mut().unwrap();
            assert!(process.is_running(), "the core ended: {}", process.log_tail());
            ready.exists()
        });
    }

    /// What the next start trusts in place of the system's authorities.
    pub(crate) fn trust(&mut self, file: PathBuf) {
        self.trusts = Some(file);
    }

    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    pub(crate) fn signal(&self, name: &str) {
        self.process.as_ref().unwrap().signal(name);
    }

    /// A request for the demo app on a connection of its own: the status and the body.
    pub(crate) fn request(&self, head: &str, token: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let addresses = fs::read_to_string(self.data.join("listening.json")).unwrap();
        let addresses: Value = serde_json::from_str(&addresses).unwrap();
        let mut stream = TcpStream::connect(addresses["listen"].as_str().unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (method, rest) = head.split_once(' ').unwrap();
        let (path, headers) = rest.split_once("\r\n").unwrap_or((rest, "accept: */*"));
        write!(
            stream,
            "{method} /demo/chat/{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
             {headers}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer.len(), |end| end + 4);
        let body = answer.split_off(end);
        let status =
            String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_default(), body)
    }

    pub(crate) fn post(&self, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let head = format!("POST {path}\r\ncontent-type: application/json");
        let (status, body) = self.request(&head, token, body.to_string().as_bytes());
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    pub(crate) fn app_token(&self) -> String {
        let secrets = fs::read_to_string(self.data.join("demo-app.json")).unwrap();
        let secrets: Value = serde_json::from_str(&secrets).unwrap();
        let wanted = json!({ "grant_type": "client_credentials", "client_id": secrets["client_id"],
            "client_secret": secrets["client_secret"] });
        let (status, answer) = self.post("token", "", &wanted);
        assert_eq!(status, 200, "{answer}");
        answer["access_token"].as_str().unwrap().to_owned()
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        if let Some(process) = self.process.take()
            && std::thread::panicking()
        {
            println!("{}:\n{}", self.data.display(), process.log_tail());
        }
    }
}

/// What the senders have seen.
#[derive(Default)]
pub(crate) struct Seen {
    /// Sender and receiver, and the message's id.
    acknowledged: Mutex<Vec<(String, String)>>,
    refused: AtomicUsize,
    last: Mutex<Option<Instant>>,
    longest: Mutex<Duration>,
}

impl Seen {
    fn note(&self, pair: String, id: &str) {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap();
        let gap = last.map_or(Duration::ZERO, |last| now - last);
        let mut longest = self.longest.lock().unwrap();
        *longest = gap.max(*longest);
        *last = Some(now);
        self.acknowledged.lock().unwrap().push((pair, id.to_owned()));
    }

    pub(crate) fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// Waits for so many more, and gives the longest time without an answer since the last call.
    pub(crate) fn flow(&self, what: &str, more: usize) -> Duration {
        let before = self.count();
        until(what, PATIENCE, || self.count() >= before + more);
        std::mem::take(&mut *self.longest.lock().unwrap())
    }
}

/// Runs `days` while people send through `core` without a pause.
pub(crate) fn under_load(core: &Core, token: &str, days: impl FnOnce(&Seen)) -> Seen {
    struct Stop<'s>(&'s AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (stop, seen) = (AtomicBool::new(false), Seen::default());
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (stop, seen) = (&stop, &seen);
            scope.spawn(move || send(core, token, sender, stop, seen));
        }
        // Also when the days end with a failed assertion.
        let _stop = Stop(&stop);
        days(&seen);
    });
    seen
}

/// What a database must show after `seen`: every acknowledged message, once, in the order in which it was sent.
/// `stored` are the message ids, a line each, by conversation and position.
pub(crate) fn assert_stored(seen: Seen, stored: &str) {
    let places: HashMap<&str, usize> = stored.lines().enumerate().map(|(place, id)| (id, place)).collect();
    assert_eq!(places.len(), stored.lines().count(), "a message is stored twice");
    let acknowledged = seen.acknowledged.into_inner().unwrap();
    let missing: Vec<_> = acknowledged.iter().filter(|(_, id)| !places.contains_key(id.as_str())).collect();
    assert!(missing.is_empty(), "{} acknowledged messages are lost: {missing:?}", missing.len());
    let mut last: HashMap<&str, usize> = HashMap::new();
    for (pair, id) in &acknowledged {
        let place = places[id.as_str()];
        let before = last.insert(pair, place);
        assert!(before.is_none_or(|before| before < place), "{pair}: {id} is out of order");
    }
    println!(
        "{} acknowledged, {} refused, {} stored",
        acknowledged.len(),
        seen.refused.into_inner(),
        places.len()
    );
}

fn send(core: &Core, token: &str, sender: usize, stop: &AtomicBool, seen: &Seen) {
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        // Pairs in all logs, so that whatever moves is met.
        let (from, to) = (format!("sender{sender}"), format!("peer{}", n % 40));
        let asked = Instant::now();
        let message = json!({ "from": from, "to": [to], "type": "txt",
            "body": { "msg": format!("{sender} {n}") } });
        match core.post("messages/users", token, &message) {
            (200, answer) => seen.note(format!("{from} {to}"), answer["data"][&to].as_str().unwrap()),
            (status, answer) => {
                assert!(status == 429 || status >= 500, "{status} {answer} after {:?}", asked.elapsed());
                seen.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
