//! Cores that share what they store, as those of a region do, and can be stopped, drained and made to hold answers.

use async_trait::async_trait;
use bytes::Bytes;
use meridian_link::{
    Attached, Batch, Body, CloseReason, Core, CoreHandle, Cores, Credential, Device, EventSender, LinkError,
    LinkServer, Login, Patience, PendingSend, Platform, PullRequest, Refusal, RoomError, RoomRequest,
    RouteTo, SendError, Sent, Session, SessionEvent, Standing, Submission, Tls, Unread, bytes_body,
    event_queue, peer::Secret,
};
use meridian_types::{
    AppKey, Audience, ConversationKey, Entry, EntryKind, Epoch, MessageId, Millis, Position, Resource, Seq,
    UserName,
};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::timeout,
};

/// Far above what anything takes, so that a failure is an error and not a hang.
pub(crate) const ENOUGH: Duration = Duration::from_secs(20);
pub(crate) const SECRET: &str = "of edges and cores";

/// What all cores of a test have in common.
#[derive(Debug, Default)]
pub(crate) struct Region {
    /// Client ids, in the order in which they were stored.
    pub(crate) stored: Mutex<Vec<u64>>,
    pub(crate) acknowledged: Mutex<Vec<u64>>,
    /// What a resumed session is told instead of being let in.
    pub(crate) refuse_resumed: Mutex<Option<Refusal>>,
}

/// A seat in a core, and the core's end of it.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) login: Login,
    pub(crate) events: EventSender,
    pub(crate) close: oneshot::Sender<CloseReason>,
}

#[derive(Debug)]
pub(crate) struct Scripted {
    region: Arc<Region>,
    pub(crate) ready: AtomicBool,
    /// Sends are stored and not answered.
    pub(crate) holds_answers: AtomicBool,
    held: Mutex<Vec<oneshot::Sender<Result<Sent, SendError>>>>,
    pub(crate) seats: Mutex<Vec<Seat>>,
    pub(crate) attached: AtomicUsize,
    /// `true` for those that were logged out.
    pub(crate) detached: Mutex<Vec<bool>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Handle(pub(crate) Arc<Scripted>);

#[async_trait]
impl Core for Handle {
    async fn attach(&self, login: Login) -> Result<Attached, Refusal> {
        let core = &self.0;
        let (since, refused) = match &login.credential {
            Credential::Resume(resume) => (resume.attached_at, *core.region.refuse_resumed.lock().unwrap()),
            _ if login.user == "nobody" => return Err(Refusal::UserNotFound),
            _ => (Millis(77), None),
        };
        if let Some(refusal) = refused {
            return Err(refusal);
        }
        let (events, event_receiver) = event_queue(4096);
        let (close, closed) = oneshot::channel();
        let attached = Attached {
            app: AppKey::parse(&login.app_key).map_err(|_| Refusal::AppNotFound)?,
            user: UserName::parse(&login.user).map_err(|_| Refusal::UserNotFound)?,
            resource: login.device.resource.clone(),
            attached_at: since,
            token_expires_at: Some(Millis(99)),
            token_epoch: u64::MAX,
            session: Arc::new(Desk(core.clone())),
            events: event_receiver,
            closed,
        };
        core.seats.lock().unwrap().push(Seat { login, events, close });
        core.attached.fetch_add(1, Ordering::Relaxed);
        Ok(attached)
    }

    async fn rest(&self, request: http::Request<Body>) -> http::Response<Body> {
        let (head, body) = request.into_parts();
        let name = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-");
        let seen = format!("{} {} {} {}", head.method, head.uri.path(), name("host"), name("connection"));
        let mut response = http::Response::new(match head.uri.path() {
            "/echo" => body,
            _ => bytes_body(seen),
        });
        *response.status_mut() = http::StatusCode::IM_A_TEAPOT;
        response
    }

    fn is_ready(&self) -> bool {
        self.0.ready.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Desk(Arc<Scripted>);

#[async_trait]
impl Session for Desk {
    fn send(&self, submission: Submission) -> PendingSend {
        let (reply, pending) = oneshot::channel();
        let mut stored = self.0.region.stored.lock().unwrap();
        if !stored.contains(&submission.client_id) {
            stored.push(submission.client_id);
        }
        if self.0.holds_answers.load(Ordering::Relaxed) {
            self.0.held.lock().unwrap().push(reply);
            return pending;
        }
        let answer = match &submission.route {
            RouteTo::Members(members) => Err(SendError::TooLarge { limit: members.len() }),
            _ => Ok(Sent {
                message_id: MessageId(submission.client_id + 1000),
                at: Millis(5),
                notice: submission.to_device,
            }),
        };
        let _ = reply.send(answer);
        pending
    }

    async fn unread(&self) -> Result<Vec<Unread>, LinkError> {
        Ok(vec![Unread { conversation: conversation(), position: at(3), count: 2 }])
    }

    async fn pull(&self, request: PullRequest) -> Result<Batch, LinkError> {
        if request.after == at(9) {
            return Err(LinkError::Busy);
        }
        let entries = (request.after.seq.0 + 1..=5).map(entry).collect();
        Ok(Batch { entries, position: at(5), more: request.max_entries == 1 })
    }

    async fn room(&self, request: RoomRequest) -> Result<Standing, RoomError> {
        let RoomRequest::Join { leave_others: false, .. } = request else { return Err(RoomError::NotMember) };
        let history = (1..=2).map(entry).collect();
        let (created, muted_until) = (Millis(1), u64::MAX);
        let (all_muted, allowed) = (true, false);
        Ok(Standing { members: 3, created, all_muted, allowed, muted_until, seq: 2, history })
    }

    fn acknowledge(&self, _: &ConversationKey, position: Position) {
        self.0.region.acknowledged.lock().unwrap().push(position.seq.0);
    }

    fn detach(&self, logged_out: bool) {
        self.0.detached.lock().unwrap().push(logged_out);
    }
}

/// A core that runs. Dropping it breaks its connections.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) core: Arc<Scripted>,
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    pub(crate) fn attached(&self) -> usize {
        self.core.attached.load(Ordering::Relaxed)
    }
}

pub(crate) async fn start(region: &Arc<Region>) -> Running {
    start_with(region, Tls::none()).await
}

pub(crate) async fn start_with(region: &Arc<Region>, tls: Tls) -> Running {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = LinkServer::bind(any, Secret::new(SECRET), tls).await.unwrap();
    let core = Arc::new(Scripted {
        region: region.clone(),
        ready: AtomicBool::new(true),
        holds_answers: AtomicBool::new(false),
        held: Mutex::default(),
        seats: Mutex::default(),
        attached: AtomicUsize::new(0),
        detached: Mutex::default(),
    });
    let address = server.local_addr().unwrap();
    let task = tokio::spawn(server.run(CoreHandle::new(Handle(core.clone()))));
    Running { core, address, task }
}

pub(crate) const QUICK: Patience = Patience {
    ping: Duration::from_millis(50),
    silence: Duration::from_millis(500),
    homeless: Duration::from_secs(5),
};

/// An edge's way to cores at these addresses, once at least one is ready.
pub(crate) async fn edge(addresses: &[SocketAddr]) -> Cores {
    let (_, list) = watch::channel(addresses.iter().map(SocketAddr::to_string).collect());
    let cores = Cores::connect(list, Secret::new(SECRET), Tls::none(), QUICK);
    until("a core is ready", || cores.is_ready()).await;
    cores
}

pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(ENOUGH, waiting).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

pub(crate) fn login(user: &str) -> Login {
    Login {
        app_key: "org#app".into(),
        user: user.into(),
        credential: Credential::Token("token".into()),
        device: Device {
            resource: Resource::parse("phone").unwrap(),
            uuid: "uuid".into(),
            name: "name".into(),
            platform: Platform::Custom(7),
            sdk_version: "1".into(),
        },
        extension: "ext".into(),
        address: Some([10, 1, 2, 3].into()),
    }
}

pub(crate) fn submission(client_id: u64) -> Submission {
    Submission {
        client_id,
        to: "bob".into(),
        to_device: Some("tablet".into()),
        to_conference: false,
        route: RouteTo::Everyone,
        body: Bytes::from_static(b"body"),
        ext: Bytes::from_static(b"ext"),
    }
}

pub(crate) fn conversation() -> ConversationKey {
    ConversationKey::pair(&UserName::parse("alice").unwrap(), &UserName::parse("bob").unwrap())
}

pub(crate) fn at(seq: u64) -> Position {
    Position::new(Epoch(3), Seq(seq))
}

pub(crate) fn entry(seq: u64) -> Arc<Entry> {
    Arc::new(Entry {
        conversation: conversation(),
        seq: Seq(seq),
        message_id: MessageId(seq + 10),
        at: Millis(seq),
        kind: EntryKind::Message,
        sender: UserName::parse("alice").unwrap(),
        sender_device: Some(Resource::parse("web").unwrap()),
        audience: Audience::Device(Resource::parse("phone").unwrap()),
        target: Some(MessageId(4)),
        idempotency: None,
        ext: Bytes::from_static(b"ext"),
        body: (seq != 2).then(|| vec![7; usize::try_from(seq).unwrap() * 10_000].into()),
    })
}

pub(crate) fn live(seq: u64, deliver: bool) -> SessionEvent {
    SessionEvent::Entry { entry: entry(seq), position: at(seq), deliver }
}
