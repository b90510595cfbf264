//! Several cores over one memory store, with a network between them that can be made to fail.

use super::{Person, body, login, user};
use async_trait::async_trait;
use bytes::Bytes;
use meridian_chat::{App, AppSettings, Chat, ChatConfig, NewUser, PeerError, Peers, Region};
use meridian_fs::FsBlobs;
use meridian_memory::{MemoryBus, MemoryDirectory, MemorySoftState, MemoryStore};
use meridian_ports::{
    Bus, Directory, Error, ErrorKind, Lease, NodeId, NodeInfo, Result, SoftState, Subscription,
};
use meridian_types::{AppKey, session::SendError};
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

pub const LEASE: Duration = Duration::from_millis(400);

/// The cores by address, and what goes wrong between them.
#[derive(Debug, Default)]
pub struct Network {
    cores: Mutex<HashMap<String, Chat>>,
    /// Requests to these are served, and their answers lost.
    pub deaf: Mutex<HashSet<String>>,
}

#[async_trait]
impl Peers for Network {
    async fn call(&self, address: &str, request: Bytes) -> std::result::Result<Bytes, PeerError> {
        let core = self.cores.lock().unwrap().get(address).cloned();
        let core = core.ok_or(PeerError::NotSent)?;
        // As over a real link, what was asked is done whether or not the asker still waits.
        let served = tokio::spawn(async move { core.serve_peer(&request).await });
        let answer = served.await.map_err(|_| PeerError::Lost)?;
        if self.deaf.lock().unwrap().contains(address) { Err(PeerError::Lost) } else { Ok(answer) }
    }
}

/// A directory that some nodes do not reach.
#[derive(Debug, Default)]
pub struct Leases {
    inner: MemoryDirectory,
    pub cut_off: Mutex<HashSet<String>>,
}

#[async_trait]
impl Directory for Leases {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn announce(&self, node: &NodeInfo, ttl: Duration) -> Result<Vec<Lease>> {
        if self.cut_off.lock().unwrap().contains(&node.address) {
            return Err(Error::new(ErrorKind::Unavailable, "announce", "cut off"));
        }
        self.inner.announce(node, ttl).await
    }

    async fn withdraw(&self, node: NodeId) -> Result<()> {
        self.inner.withdraw(node).await
    }

    async fn nodes(&self) -> Result<Vec<Lease>> {
        self.inner.nodes().await
    }
}

/// A bus that can be away. It then hears nothing, and says so when it is back.
#[derive(Debug, Default)]
pub struct Wire {
    inner: MemoryBus,
    pub away: Arc<AtomicBool>,
}

#[async_trait]
impl Bus for Wire {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn publish(&self, topic: &str, payload: Bytes) -> Result<()> {
        if self.away.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "publish", "away"));
        }
        self.inner.publish(topic, payload).await
    }

    async fn subscribe(&self, topic: &str) -> Result<Box<dyn Subscription>> {
        self.inner.subscribe(topic).await
    }
}

/// Soft state that may be away.
#[derive(Debug, Default)]
pub struct Soft {
    inner: MemorySoftState,
    pub away: AtomicBool,
}

impl Soft {
    fn check(&self) -> Result<()> {
        match self.away.load(Ordering::SeqCst) {
            true => Err(Error::new(ErrorKind::Unavailable, "soft", "away")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl SoftState for Soft {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<()> {
        self.check()?;
        self.inner.set(key, value, ttl).await
    }

    async fn set_if_absent(&self, key: &str, value: Bytes, ttl: Duration) -> Result<bool> {
        self.check()?;
        self.inner.set_if_absent(key, value, ttl).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        self.check()?;
        self.inner.get(key).await
    }

    async fn remove(&self, key: &str) -> Result<()> {
        self.check()?;
        self.inner.remove(key).await
    }

    async fn add(&self, counter: &str, by: i64, ttl: Duration) -> Result<i64> {
        self.check()?;
        self.inner.add(counter, by, ttl).await
    }

    async fn join(&self, set: &str, member: &str, value: Bytes, ttl: Duration) -> Result<()> {
        self.check()?;
        self.inner.join(set, member, value, ttl).await
    }

    async fn leave(&self, set: &str, member: &str) -> Result<()> {
        self.check()?;
        self.inner.leave(set, member).await
    }

    async fn members(&self, set: &str) -> Result<Vec<(String, Bytes)>> {
        self.check()?;
        self.inner.members(set).await
    }
}

pub struct Core {
    pub chat: Chat,
    pub address: String,
}

/// A region.
pub struct Cores {
    pub store: Arc<MemoryStore>,
    pub network: Arc<Network>,
    pub leases: Arc<Leases>,
    pub wire: Arc<Wire>,
    pub cores: Vec<Core>,
    pub app: Arc<App>,
    blobs: Arc<FsBlobs>,
    pub soft: Arc<Soft>,
    made: usize,
    _files: tempfile::TempDir,
}

impl Cores {
    pub async fn new(count: usize) -> Self {
        Self::with(count, AppSettings::default()).await
    }

    pub async fn with(count: usize, settings: AppSettings) -> Self {
        let files = tempfile::tempdir().unwrap();
        let blobs = Arc::new(FsBlobs::open(files.path().to_owned()).await.unwrap());
        let store = Arc::new(MemoryStore::new());
        let key = AppKey::parse("org#app").unwrap();
        let maker = Chat::open(ChatConfig::default(), store.clone(), blobs.clone()).await.unwrap();
        let app = maker.create_app(&key, settings).await.unwrap();
        maker.close().await;
        let mut cores = Self {
            store,
            network: Arc::default(),
            leases: Arc::default(),
            wire: Arc::default(),
            cores: Vec::new(),
            app,
            blobs,
            soft: Arc::default(),
            made: 0,
            _files: files,
        };
        for _ in 0..count {
            cores.start().await;
        }
        cores.settle().await;
        cores
    }

    /// Starts another core.
    pub async fn start(&mut self) -> usize {
        self.made += 1;
        let address = format!("core-{}:1", self.made);
        let region = Region {
            directory: self.leases.clone(),
            soft: self.soft.clone(),
            bus: self.wire.clone(),
            peers: self.network.clone(),
            address: address.clone(),
            lease: LEASE,
        };
        let config = ChatConfig { position_flush_ms: 20, room_sweep_ms: 50, ..ChatConfig::default() };
        let chat = Chat::join(config, self.store.clone(), self.blobs.clone(), region).await.unwrap();
        self.network.cores.lock().unwrap().insert(address.clone(), chat.clone());
        self.cores.push(Core { chat, address });
        self.cores.len() - 1
    }

    /// Waits until every core sees the cores there are.
    pub async fn settle(&self) {
        // A renewal that begins after this has seen them all; there is one every quarter of a lease.
        tokio::time::sleep(LEASE).await;
    }

    /// Ends a core as a crash does: it is not reached any more, its lease runs out, and it cannot renew it.
    pub fn kill(&mut self, index: usize) -> Core {
        let core = self.cores.remove(index);
        self.network.cores.lock().unwrap().remove(&core.address);
        self.leases.cut_off.lock().unwrap().insert(core.address.clone());
        core
    }

    /// Cuts a core off from the directory, or lets it back.
    pub fn cut_off(&self, index: usize, off: bool) {
        let address = self.cores[index].address.clone();
        let mut cut_off = self.leases.cut_off.lock().unwrap();
        if off {
            cut_off.insert(address)
        } else {
            cut_off.remove(&address)
        };
    }

    pub async fn register(&self, name: &str) {
        let new = NewUser { username: user(name), password: None, nickname: None };
        self.cores[0].chat.register(&self.app, new).await.unwrap();
    }

    pub async fn token(&self, name: &str) -> String {
        self.cores[0].chat.user_token(&self.app, &user(name), true, None).await.unwrap().token
    }

    pub async fn login(&self, index: usize, name: &str, device: &str) -> Person {
        let token = self.token(name).await;
        Person::new(name, self.cores[index].chat.attach(login(name, device, token)).await.unwrap())
    }
}

/// Sends, and sends the same again while the server cannot say whether it has it.
pub async fn persist(person: &Person, to: &str, text: &str) -> u64 {
    let submission = person.submission(to, &body(&person.name, to, text));
    loop {
        match person.submit(submission.clone()).await {
            Ok(sent) => return sent.message_id.0,
            Err(SendError::Unavailable | SendError::Busy) => tokio::task::yield_now().await,
            Err(other) => panic!("{other}"),
        }
    }
}
