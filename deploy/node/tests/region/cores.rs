//! Two cores as real processes over one PostgreSQL and one Redis: they come, die and hang while messages are sent, and
//! every acknowledged message is in the database once.
#![allow(clippy::unwrap_used, clippy::panic)] // test code

use meridian_services::{Postgres, Process, Redis, free_port, until};
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

const BINARY: &str = env!("CARGO_BIN_EXE_meridian");
const PATIENCE: Duration = Duration::from_secs(60);
const SENDERS: usize = 4;

struct Core {
    process: Option<Process>,
    data: PathBuf,
    config: PathBuf,
}

impl Core {
    fn new(folder: &Path, name: &str, postgres: &str, redis: &str) -> Self {
        let (data, config) = (folder.join(name), folder.join(format!("{name}.toml")));
        let files = folder.join("files");
        let text = format!(
            "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\ndata_dir = {data:?}\nstore = {postgres:?}\nsoft = {redis:?}\n\
             blobs = \"file:{}?shared=true\"\n[cluster]\nlisten = \"127.0.0.1:{}\"\nsecret = \"sixteen bytes or more\"\n",
            files.display(),
            free_port()
        );
        fs::write(&config, text).unwrap();
        let mut core = Self { process: None, data, config };
        core.start();
        core
    }

    fn start(&mut self) {
        let ready = self.data.join("listening.json");
        let _ = fs::remove_file(&ready);
        let log = self.data.with_extension("log");
        let arguments = ["serve", "--config", self.config.to_str().unwrap()];
        self.process = Some(Process::start(Path::new(BINARY), arguments, None, &log));
        until("the core is ready", PATIENCE, || {
            let process = self.process.as_mut().unwrap();
            assert!(process.is_running(), "the core ended: {}", process.log_tail());
            ready.exists()
        });
    }

    fn kill(&mut self) {
        self.process = None;
    }

    fn signal(&self, name: &str) {
        self.process.as_ref().unwrap().signal(name);
    }

    fn post(&self, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let addresses = fs::read_to_string(self.data.join("listening.json")).unwrap();
        let addresses: Value = serde_json::from_str(&addresses).unwrap();
        let mut stream = TcpStream::connect(addresses["listen"].as_str().unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let body = body.to_string();
        write!(
            stream,
            "POST /demo/chat/{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        let json = answer.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok());
        (status, json.unwrap_or_default())
    }

    fn app_token(&self) -> String {
        let secrets = fs::read_to_string(self.data.join("demo-app.json")).unwrap();
        let secrets: Value = serde_json::from_str(&secrets).unwrap();
        let wanted = json!({ "grant_type": "client_credentials", "client_id": secrets["client_id"],
            "client_secret": secrets["client_secret"] });
        let (status, answer) = self.post("token", "", &wanted);
        assert_eq!(status, 200, "{answer}");
        answer["access_token"].as_str().unwrap().to_owned()
    }
}

/// What the senders have seen.
#[derive(Default)]
struct Seen {
    acknowledged: Mutex<Vec<String>>,
    refused: AtomicUsize,
    last: Mutex<Option<Instant>>,
    longest: Mutex<Duration>,
}

impl Seen {
    fn note(&self, id: &str) {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap();
        let gap = last.map_or(Duration::ZERO, |last| now - last);
        let mut longest = self.longest.lock().unwrap();
        *longest = gap.max(*longest);
        *last = Some(now);
        self.acknowledged.lock().unwrap().push(id.to_owned());
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// Waits for so many more, and gives the longest time without an answer since the last call.
    fn flow(&self, what: &str, more: usize) -> Duration {
        let before = self.count();
        until(what, PATIENCE, || self.count() >= before + more);
        std::mem::take(&mut *self.longest.lock().unwrap())
    }
}

fn send(core: &Core, token: &str, sender: usize, stop: &AtomicBool, seen: &Seen) {
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        // Pairs in all logs, so that whatever moves is met.
        let to = format!("peer{}", n % 40);
        let message = json!({ "from": format!("sender{sender}"), "to": [to], "type": "txt",
            "body": { "msg": format!("{sender} {n}") } });
        match core.post("messages/users", token, &message) {
            (200, answer) => seen.note(answer["data"][&to].as_str().unwrap()),
            (status, answer) => {
                assert!(status == 429 || status >= 500, "{status} {answer}");
                seen.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[test]
fn cores_die_and_hang_and_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (mut postgres, mut redis) = (Postgres::durable(), Redis::start());
    let (database, soft) = (postgres.url("postgres"), redis.url());
    let first = Core::new(folder.path(), "first", &database, &soft);
    let mut second = Core::new(folder.path(), "second", &database, &soft);

    let token = first.app_token();
    let user = json!({ "username": "ann", "password": "secret" });
    assert_eq!(first.post("users", &token, &user).0, 200);
    let (status, answer) = second.post("users", &second.app_token(), &user);
    assert_eq!((status, &answer["error"]), (400, &json!("duplicate_unique_property_exists")), "{answer}");

    let (stop, seen) = (AtomicBool::new(false), Seen::default());
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (first, token, stop, seen) = (&first, &token, &stop, &seen);
            scope.spawn(move || send(first, token, sender, stop, seen));
        }
        seen.flow("messages through two cores", 200);
        second.kill();
        println!("kill -9 of a core: longest pause {:?}", seen.flow("messages after a core died", 200));
        second.start();
        println!("a core comes back: longest pause {:?}", seen.flow("messages after a core came back", 200));
        second.signal("STOP");
        println!("a core hangs: longest pause {:?}", seen.flow("messages while a core hangs", 200));
        second.signal("CONT");
        println!("it goes on: longest pause {:?}", seen.flow("messages after it went on", 200));
        redis.kill();
        println!("no Redis: longest pause {:?}", seen.flow("messages without Redis", 200));
        redis.restart();
        seen.flow("messages with Redis again", 100);
        postgres.restart();
        println!(
            "PostgreSQL crashes and comes back: longest pause {:?}",
            seen.flow("messages after that", 200)
        );
        second.signal("TERM");
        println!("a core leaves: longest pause {:?}", seen.flow("messages after a core left", 200));
        stop.store(true, Ordering::Relaxed);
    });

    let stored = postgres.sql("postgres", "SELECT message_id FROM messages");
    let stored: Vec<&str> = stored.lines().collect();
    let once: HashSet<&str> = stored.iter().copied().collect();
    assert_eq!(once.len(), stored.len(), "a message is stored twice");
    let acknowledged = seen.acknowledged.into_inner().unwrap();
    let missing: Vec<_> = acknowledged.iter().filter(|id| !once.contains(id.as_str())).collect();
    assert!(missing.is_empty(), "{} acknowledged messages are lost: {missing:?}", missing.len());
    println!(
        "{} acknowledged, {} refused, {} stored",
        acknowledged.len(),
        seen.refused.into_inner(),
        stored.len()
    );
    drop((first, second));
    let checked = Command::new(BINARY).args(["check", "--store", &database]).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}
