//! A scripted core: what a gateway asks comes to the test as a [`Call`], which the test answers.

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt;
use meridian_gateway::{Gateway, GatewayConfig};
use meridian_link::{
    Attached, Batch, Body, CloseReason, Core, CoreHandle, EventSender, LinkError, Login, PendingSend,
    PullRequest, Refusal, RoomError, RoomRequest, SendError, Sent, Session, SessionEvent, Standing,
    Submission, Unread, bytes_body, event_queue,
};
use meridian_types::{
    AppKey, Audience, ConversationKey, Entry, EntryKind, Epoch, MessageId, Millis, Position, Resource, Seq,
    UserName,
    msync::{MessageBody, message_body::Content},
};
use prost::Message as _;
use std::{
    future::pending,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

/// Far above what anything takes, so that a failure is an error and not a hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
pub(crate) const EXPIRES_AT: u64 = 1_795_476_061_895;

type Answer<T> = oneshot::Sender<Result<T, LinkError>>;

/// What the gateway asks of a session.
#[derive(Debug)]
pub(crate) enum Call {
    Send(Submission, oneshot::Sender<Result<Sent, SendError>>),
    Unread(Answer<Vec<Unread>>),
    Pull(PullRequest, Answer<Batch>),
    Room(RoomRequest, oneshot::Sender<Result<Standing, RoomError>>),
    Acknowledge(ConversationKey, Position),
    Detach(bool),
}

/// The core's end of an attached session.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) login: Login,
    pub(crate) events: EventSender,
    pub(crate) closed: oneshot::Sender<CloseReason>,
    pub(crate) calls: mpsc::UnboundedReceiver<Call>,
}

impl Seat {
    pub(crate) async fn call(&mut self) -> Call {
        timeout(PATIENCE, self.calls.recv()).await.expect("no call").expect("the session is gone")
    }

    pub(crate) fn nothing_called(&mut self) -> bool {
        matches!(self.calls.try_recv(), Err(mpsc::error::TryRecvError::Empty))
    }

    pub(crate) async fn unread(&mut self, list: Vec<Unread>) {
        match self.call().await {
            Call::Unread(answer) => answer.send(Ok(list)).unwrap(),
            other => panic!("expected unread, got {other:?}"),
        }
    }

    pub(crate) async fn sent(&mut self) -> (Submission, oneshot::Sender<Result<Sent, SendError>>) {
        match self.call().await {
            Call::Send(submission, answer) => (submission, answer),
            other => panic!("expected a send, got {other:?}"),
        }
    }

    /// Expects a pull after `after`.
    pub(crate) async fn pull(&mut self, after: u64) -> Answer<Batch> {
        match self.call().await {
            Call::Pull(request, answer) => {
                assert_eq!(request.after, at(after));
                answer
            }
            other => panic!("expected a pull, got {other:?}"),
        }
    }

    pub(crate) async fn acknowledged(&mut self) -> u64 {
        match self.call().await {
            Call::Acknowledge(conversation, position) => {
                assert_eq!(conversation, with("alice"));
                position.seq.0
            }
            other => panic!("expected an acknowledgement, got {other:?}"),
        }
    }

    pub(crate) async fn detached(&mut self) -> bool {
        loop {
            if let Call::Detach(logged_out) = self.call().await {
                return logged_out;
            }
        }
    }

    pub(crate) async fn entry(&self, seq: u64) {
        self.event(SessionEvent::Entry { entry: entry(seq), position: at(seq), deliver: true }).await;
    }

    pub(crate) async fn event(&self, event: SessionEvent) {
        assert!(!self.events.is_closed());
        self.events.tell(event);
    }
}

#[derive(Debug)]
struct Desk(mpsc::UnboundedSender<Call>);

impl Desk {
    async fn ask<T>(&self, call: impl FnOnce(Answer<T>) -> Call) -> Result<T, LinkError> {
        let (sender, receiver) = oneshot::channel();
        self.0.send(call(sender)).map_err(|_| LinkError::Unavailable)?;
        receiver.await.unwrap_or(Err(LinkError::Unavailable))
    }
}

#[async_trait]
impl Session for Desk {
    fn send(&self, submission: Submission) -> PendingSend {
        let (sender, receiver) = oneshot::channel();
        let _ = self.0.send(Call::Send(submission, sender));
        receiver
    }

    async fn unread(&self) -> Result<Vec<Unread>, LinkError> {
        self.ask(Call::Unread).await
    }

    async fn pull(&self, request: PullRequest) -> Result<Batch, LinkError> {
        self.ask(|answer| Call::Pull(request, answer)).await
    }

    async fn room(&self, request: RoomRequest) -> Result<Standing, RoomError> {
        let (sender, receiver) = oneshot::channel();
        self.0.send(Call::Room(request, sender)).map_err(|_| RoomError::Unavailable)?;
        receiver.await.unwrap_or(Err(RoomError::Unavailable))
    }

    fn acknowledge(&self, conversation: &ConversationKey, position: Position) {
        let _ = self.0.send(Call::Acknowledge(conversation.clone(), position));
    }

    fn detach(&self, logged_out: bool) {
        let _ = self.0.send(Call::Detach(logged_out));
    }
}

/// What the core does with the next logins.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Attach {
    Accept,
    Refuse(Refusal),
    Hang,
}

#[derive(Debug)]
struct Script {
    attach: Mutex<Attach>,
    ready: AtomicBool,
    /// Events that may wait for a session.
    event_room: AtomicUsize,
    /// A request is being held, and may go on.
    held: Notify,
    released: Notify,
    seats: mpsc::UnboundedSender<Seat>,
}

#[derive(Debug)]
struct Scripted(Arc<Script>);

#[async_trait]
impl Core for Scripted {
    async fn attach(&self, login: Login) -> Result<Attached, Refusal> {
        let attach = *self.0.attach.lock().unwrap();
        match attach {
            Attach::Accept => {}
            Attach::Refuse(refusal) => return Err(refusal),
            Attach::Hang => pending().await,
        }
        let (call, calls) = mpsc::unbounded_channel();
        let (event, events) = event_queue(self.0.event_room.load(Ordering::Relaxed));
        let (close, closed) = oneshot::channel();
        let attached = Attached {
            app: AppKey::parse(&login.app_key).map_err(|_| Refusal::Malformed)?,
            user: UserName::parse(&login.user).map_err(|_| Refusal::Malformed)?,
            resource: login.device.resource.clone(),
            attached_at: now(),
            token_expires_at: Some(Millis(EXPIRES_AT)),
            token_epoch: 1,
            session: Arc::new(Desk(call)),
            events,
            closed,
        };
        let _ = self.0.seats.send(Seat { login, events: event, closed: close, calls });
        Ok(attached)
    }

    async fn rest(&self, request: ::http::Request<Body>) -> ::http::Response<Body> {
        match request.uri().path() {
            "/org/app/slow" => pending().await,
            "/org/app/held" => {
                self.0.held.notify_one();
                self.0.released.notified().await;
                ::http::Response::new(bytes_body("{}"))
            }
            "/org/app/forwarded" => {
                let said = |name| request.headers().get_all(name).iter().cloned().collect::<Vec<_>>();
                let text = format!("{:?} {:?}", said("x-forwarded-for"), said("x-forwarded-proto"));
                ::http::Response::new(bytes_body(text))
            }
            "/org/app/echo" => ::http::Response::new(request.into_body()),
            "/org/app/large" => ::http::Response::new(
                http_body_util::Full::new(Bytes::from(vec![b'x'; 64 << 20]))
                    .map_err(|n| match n {})
                    .boxed_unsync(),
            ),
            _ => {
                let mut response = ::http::Response::new(bytes_body(r#"{"error":"not_found"}"#));
                *response.status_mut() = ::http::StatusCode::NOT_FOUND;
                response
            }
        }
    }

    fn is_ready(&self) -> bool {
        self.0.ready.load(Ordering::Relaxed)
    }
}

fn script(seats: mpsc::UnboundedSender<Seat>) -> Script {
    Script {
        attach: Mutex::new(Attach::Accept),
        ready: AtomicBool::new(true),
        event_room: AtomicUsize::new(256),
        held: Notify::new(),
        released: Notify::new(),
        seats,
    }
}

/// A gateway that runs over a scripted core.
pub(crate) struct Stage {
    pub(crate) address: SocketAddr,
    script: Arc<Script>,
    seats: mpsc::UnboundedReceiver<Seat>,
    shutdown: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut GatewayConfig)) -> Self {
        let mut config =
            GatewayConfig { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..GatewayConfig::default() };
        change(&mut config);
        let (seat, seats) = mpsc::unbounded_channel();
        let script = Arc::new(script(seat));
        let gateway = Gateway::bind(config, CoreHandle::new(Scripted(script.clone()))).await.unwrap();
        let address = gateway.local_addr();
        let (shutdown, stop) = oneshot::channel();
        let running = tokio::spawn(gateway.run(async move {
            let _ = stop.await;
        }));
        Self { address, script, seats, shutdown: Some(shutdown), running }
    }

    pub(crate) fn attach(&self, attach: Attach) {
        *self.script.attach.lock().unwrap() = attach;
    }

    pub(crate) fn ready(&self, ready: bool) {
        self.script.ready.store(ready, Ordering::Relaxed);
    }

    /// A request to `/org/app/held` has arrived.
    pub(crate) async fn held(&self) {
        timeout(PATIENCE, self.script.held.notified()).await.expect("no request");
    }

    pub(crate) fn release(&self) {
        self.script.released.notify_one();
    }

    pub(crate) fn event_room(&self, events: usize) {
        self.script.event_room.store(events, Ordering::Relaxed);
    }

    /// The core's ends of all coming logins.
    pub(crate) fn take_seats(&mut self) -> mpsc::UnboundedReceiver<Seat> {
        std::mem::replace(&mut self.seats, mpsc::unbounded_channel().1)
    }

    /// The core's end of the next login.
    pub(crate) async fn seat(&mut self) -> Seat {
        timeout(PATIENCE, self.seats.recv()).await.expect("no login").unwrap()
    }

    pub(crate) fn shut_down(&mut self) {
        self.shutdown.take().unwrap().send(()).unwrap();
    }

    pub(crate) async fn stopped(self) {
        timeout(PATIENCE, self.running).await.expect("the gateway did not stop").unwrap();
    }
}

pub(crate) fn now() -> Millis {
    Millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64)
}

pub(crate) fn at(seq: u64) -> Position {
    Position::new(Epoch(1), Seq(seq))
}

/// Bob's conversation with somebody.
pub(crate) fn with(peer: &str) -> ConversationKey {
    ConversationKey::pair(&UserName::parse("bob").unwrap(), &UserName::parse(peer).unwrap())
}

/// A message from alice to bob; its id is 1000 and its number in the conversation.
pub(crate) fn entry(seq: u64) -> Arc<Entry> {
    entry_from("alice", seq)
}

pub(crate) fn entry_from(sender: &str, seq: u64) -> Arc<Entry> {
    Arc::new(Entry {
        conversation: with(sender),
        seq: Seq(seq),
        message_id: MessageId(1000 + seq),
        at: now(),
        kind: EntryKind::Message,
        sender: UserName::parse(sender).unwrap(),
        sender_device: Some(Resource::parse("a1").unwrap()),
        audience: Audience::Everyone,
        target: None,
        idempotency: None,
        ext: Bytes::new(),
        body: Some(body(seq)),
    })
}

/// The body of the entry at a position.
pub(crate) fn body(seq: u64) -> Bytes {
    let text = Content { text: Some(format!("body {seq}")), ..Content::default() };
    let message = MessageBody { r#type: Some(1), contents: vec![text], ..MessageBody::default() };
    message.encode_to_vec().into()
}

pub(crate) fn unread(peer: &str, seq: u64, count: u32) -> Unread {
    Unread { conversation: with(peer), position: at(seq), count }
}

pub(crate) fn batch(seqs: std::ops::RangeInclusive<u64>, position: u64, more: bool) -> Batch {
    Batch { entries: seqs.map(entry).collect(), position: at(position), more }
}

/// A core that nobody will ask.
pub(crate) fn idle_core() -> CoreHandle {
    CoreHandle::new(Scripted(Arc::new(script(mpsc::unbounded_channel().0))))
}
