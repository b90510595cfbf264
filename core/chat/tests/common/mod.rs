//! A chat over the memory store, and people in it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic, missing_debug_implementations)] // test support; each file uses its part

pub mod region;

use async_trait::async_trait;
use bytes::Bytes;
use meridian_chat::{App, AppSettings, Attached, Chat, ChatConfig, NewUser};
use meridian_fs::FsBlobs;
use meridian_memory::MemoryStore;
use meridian_ports::{
    ConversationHead, EntryRange, Error, ErrorKind, IdempotencyHit, ObjectPage, Record, RelationPage, Result,
    ScanCursor, Shape, Store,
};
use meridian_types::{
    AppKey, ConversationKey, Entry, Epoch, IdempotencyKey, Incarnation, Kind, LogHead, LogId,
    LoggedOperation, Lsn, MessageId, MucId, Object, Relation, Resource, Step, UserName,
    msync::{
        Jid, MessageBody,
        message_body::{Content, Type},
    },
    session::{
        Credential, Device, Login, Platform, PullRequest, RouteTo, SendError, Sent, SessionEvent, Submission,
    },
};
use prost::Message;
use std::sync::{
    Arc,
    atomic::{AtomicU8, AtomicU64, Ordering},
};

pub struct World {
    pub chat: Chat,
    pub app: Arc<App>,
    pub store: Arc<Faulty>,
    _files: tempfile::TempDir,
}

impl World {
    pub async fn new() -> Self {
        Self::with(AppSettings::default()).await
    }

    pub async fn with(settings: AppSettings) -> Self {
        Self::on(Arc::new(Faulty::default()), settings).await
    }

    pub async fn on(store: Arc<Faulty>, settings: AppSettings) -> Self {
        let files = tempfile::tempdir().unwrap();
        let blobs = Arc::new(FsBlobs::open(files.path().to_owned()).await.unwrap());
        let config = ChatConfig { position_flush_ms: 20, ..ChatConfig::default() };
        let chat = Chat::open(config, store.clone(), blobs).await.unwrap();
        let key = AppKey::parse("org#app").unwrap();
        let app = match chat.app(&key).await {
            Ok(app) => app,
            Err(_) => chat.create_app(&key, settings).await.unwrap(),
        };
        Self { chat, app, store, _files: files }
    }

    /// The same store under a new core, as after a restart.
    pub async fn restart(self) -> Self {
        self.chat.close().await;
        Self::on(self.store.clone(), self.app.settings.clone()).await
    }

    pub async fn register(&self, name: &str) {
        let new = NewUser { username: user(name), password: None, nickname: None };
        self.chat.register(&self.app, new).await.unwrap();
    }

    pub async fn token(&self, name: &str) -> String {
        self.chat.user_token(&self.app, &user(name), true, None).await.unwrap().token
    }

    pub async fn login(&self, name: &str, device: &str) -> Person {
        let token = self.token(name).await;
        Person::new(name, self.chat.attach(login(name, device, token)).await.unwrap())
    }
}

pub fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

pub fn login(name: &str, device: &str, token: String) -> Login {
    Login {
        app_key: "org#app".into(),
        user: name.into(),
        credential: Credential::Token(token),
        device: Device {
            resource: Resource::parse(device).unwrap(),
            uuid: "uuid".into(),
            name: "name".into(),
            platform: Platform::Web,
            sdk_version: "4.21.1".into(),
        },
        extension: String::new(),
        address: None,
    }
}

/// A logged-in device.
pub struct Person {
    pub name: String,
    pub attached: Attached,
    next_id: AtomicU64,
}

impl Person {
    pub fn new(name: &str, attached: Attached) -> Self {
        Self { name: name.into(), attached, next_id: AtomicU64::new(1) }
    }

    pub fn submission(&self, to: &str, body: &MessageBody) -> Submission {
        Submission {
            client_id: self.next_id.fetch_add(1, Ordering::Relaxed),
            to: to.into(),
            to_device: None,
            to_conference: false,
            route: RouteTo::Everyone,
            body: body.encode_to_vec().into(),
            ext: Bytes::new(),
        }
    }

    pub async fn submit(&self, submission: Submission) -> std::result::Result<Sent, SendError> {
        self.attached.session.send(submission).await.unwrap()
    }

    pub async fn text(&self, to: &str, text: &str) -> MessageId {
        self.submit(self.submission(to, &body(&self.name, to, text))).await.unwrap().message_id
    }

    /// Says something in a group.
    pub async fn say(&self, group: MucId, text: &str) -> std::result::Result<Sent, SendError> {
        self.submit(self.to_group(group, &body(&self.name, &group.to_string(), text))).await
    }

    /// A message, or what is about one, to a group.
    pub fn to_group(&self, group: MucId, body: &MessageBody) -> Submission {
        let kind = match body.r#type() {
            Type::Chat => Type::Groupchat,
            other => other,
        };
        let body = MessageBody { r#type: Some(kind as i32), ..body.clone() };
        Submission { to_conference: true, ..self.submission(&group.to_string(), &body) }
    }

    /// Sends a receipt, recall or edit about a message.
    pub async fn about(
        &self,
        to: &str,
        kind: Type,
        target: MessageId,
    ) -> std::result::Result<Sent, SendError> {
        let mut about = MessageBody { r#type: Some(kind as i32), ..body(&self.name, to, "edited") };
        match kind {
            Type::Edit => about.edit_message_id = Some(target.0),
            _ => about.ack_message_id = Some(target.0),
        }
        self.submit(self.submission(to, &about)).await
    }

    /// The next event that this device receives.
    pub async fn receive(&mut self) -> Arc<Entry> {
        loop {
            let event = tokio::time::timeout(std::time::Duration::from_secs(10), self.attached.events.recv());
            match event.await.expect("an event in time").expect("still attached") {
                SessionEvent::Entry { entry, deliver: true, .. } | SessionEvent::Transient(entry) => {
                    return entry;
                }
                _ => {}
            }
        }
    }

    /// Everything owed, by pulling, without acknowledging.
    pub async fn pull_all(&self) -> Vec<Arc<Entry>> {
        let mut all = Vec::new();
        for unread in self.attached.session.unread().await.unwrap() {
            let mut after = unread.position;
            loop {
                let request = PullRequest {
                    conversation: unread.conversation.clone(),
                    after,
                    max_entries: 7,
                    max_bytes: 64 * 1024,
                };
                let batch = self.attached.session.pull(request).await.unwrap();
                all.extend(batch.entries);
                after = batch.position;
                if !batch.more {
                    break;
                }
            }
        }
        all
    }

    /// Pulls and acknowledges everything owed.
    pub async fn catch_up(&self) -> Vec<String> {
        let all = self.pull_all().await;
        for entry in &all {
            let position = meridian_types::Position::new(Epoch(1), entry.seq);
            self.attached.session.acknowledge(&entry.conversation, position);
        }
        all.iter().map(|entry| text_of(entry)).collect()
    }
}

pub fn body(from: &str, to: &str, text: &str) -> MessageBody {
    let party = |name: &str| Some(Jid { name: Some(name.into()), ..Jid::default() });
    MessageBody {
        r#type: Some(Type::Chat as i32),
        from: party(from),
        to: party(to),
        contents: vec![Content { r#type: Some(0), text: Some(text.into()), ..Content::default() }],
        ..MessageBody::default()
    }
}

pub fn text_of(entry: &Entry) -> String {
    let body = MessageBody::decode(entry.body.clone().unwrap()).unwrap();
    body.contents.first().and_then(|content| content.text.clone()).unwrap_or_default()
}

/// What the next appends do.
#[derive(Debug, Default)]
pub struct Faulty {
    inner: MemoryStore,
    /// 0 works, 1 refuses as full, 2 writes and then loses the answer, 3 loses the write and the answer, 4 is as 2
    /// and refuses the claim after it once, as fenced.
    pub mode: AtomicU8,
    /// Times that somebody looked for an earlier send.
    pub searches: AtomicU64,
}

#[async_trait]
impl Store for Faulty {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn claim(&self, log: LogId, epoch: Epoch, expected: Option<Incarnation>) -> Result<LogHead> {
        if self.mode.load(Ordering::SeqCst) == 5 {
            self.mode.store(0, Ordering::SeqCst);
            return Err(Error::new(ErrorKind::Fenced, "claim", "another epoch"));
        }
        self.inner.claim(log, epoch, expected).await
    }

    async fn append(&self, step: Step) -> Result<()> {
        let lost = || Error::new(ErrorKind::Unavailable, "append", "the answer was lost").maybe_done();
        match self.mode.load(Ordering::SeqCst) {
            1 => Err(Error::new(ErrorKind::Full, "append", "no space")),
            2 => {
                self.inner.append(step).await?;
                Err(lost())
            }
            3 => Err(lost()),
            4 => {
                self.inner.append(step).await?;
                self.mode.store(5, Ordering::SeqCst);
                Err(lost())
            }
            _ => self.inner.append(step).await,
        }
    }

    async fn logs(&self, after: Option<LogId>, limit: usize) -> Result<Vec<LogHead>> {
        self.inner.logs(after, limit).await
    }

    async fn operations(&self, log: LogId, after: Lsn, limit: usize) -> Result<Vec<LoggedOperation>> {
        self.inner.operations(log, after, limit).await
    }

    async fn entries(&self, log: LogId, key: &ConversationKey, range: EntryRange) -> Result<Vec<Entry>> {
        self.inner.entries(log, key, range).await
    }

    async fn conversation_heads(&self, keys: &[(LogId, ConversationKey)]) -> Result<Vec<ConversationHead>> {
        self.inner.conversation_heads(keys).await
    }

    async fn idempotency(&self, log: LogId, key: IdempotencyKey) -> Result<Option<IdempotencyHit>> {
        self.searches.fetch_add(1, Ordering::SeqCst);
        self.inner.idempotency(log, key).await
    }

    async fn object(&self, log: LogId, kind: &Kind, id: &str) -> Result<Option<Object>> {
        self.inner.object(log, kind, id).await
    }

    async fn objects(&self, logs: &[LogId], kind: &Kind, page: ObjectPage) -> Result<Vec<(LogId, Object)>> {
        self.inner.objects(logs, kind, page).await
    }

    async fn relation(&self, log: LogId, kind: &Kind, from: &str, to: &str) -> Result<Option<Relation>> {
        self.inner.relation(log, kind, from, to).await
    }

    async fn relations(
        &self,
        logs: &[LogId],
        kind: &Kind,
        from: &str,
        page: RelationPage,
    ) -> Result<Vec<(LogId, Relation)>> {
        self.inner.relations(logs, kind, from, page).await
    }

    async fn scan(
        &self,
        log: LogId,
        shape: Shape,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        self.inner.scan(log, shape, after, limit).await
    }
}
