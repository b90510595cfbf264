//! A session at the edge: on one core at a time, and between cores for a moment when that one goes.

use super::{
    connection::{Connection, Lost},
    pool::{Pool, jittered},
};
use crate::{
    Attached, Batch, CloseReason, Credential, LinkError, Login, PendingSend, PullRequest, Refusal, SendError,
    Sent, Session, SessionEvent, Submission, Unread,
    wire::{self, pb},
};
use async_trait::async_trait;
use meridian_types::{
    AppKey, ConversationKey, EventSender, Events, MessageId, Millis, Position, Resource, UserName,
    event_queue,
    room::{RoomError, RoomRequest, Standing},
};
use pb::{to_core::What as Down, to_edge::What as Up};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep, timeout_at},
};

/// Events that wait for the gateway; more, and the session lags.
const EVENTS: usize = 256;
/// Sends without an answer; the gateway stops reading its client long before.
const SENDS: usize = 256;
/// A core keeps an acknowledgement in memory before it is written; when it goes, what is older is written.
const ACKS_KEPT: Duration = Duration::from_secs(5);
const ACKS: usize = 256;
/// Between attempts to find another core.
const PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A core that does not answer a login for so long is passed over.
const ATTEMPT: Duration = Duration::from_secs(4);

static IDS: AtomicU64 = AtomicU64::new(1);

/// What outlives the core.
#[derive(Debug)]
pub(super) struct EdgeSession {
    id: u64,
    pool: Arc<Pool>,
    state: Mutex<State>,
    events: EventSender,
    /// The session is on a core again.
    seated: Notify,
}

#[derive(Debug)]
struct State {
    /// As it came from the client; once a core has let it in, without the client's credential.
    login: Login,
    on: Option<Arc<Connection>>,
    /// A core that was asked and has not answered.
    asked: Option<Arc<Connection>>,
    sends: BTreeMap<u64, Waiting>,
    next_send: u64,
    acks: VecDeque<(Instant, ConversationKey, Position)>,
    close: Option<oneshot::Sender<CloseReason>>,
    /// The gateway let go of it.
    gone: bool,
}

#[derive(Debug)]
struct Waiting {
    submission: Submission,
    reply: oneshot::Sender<Result<Sent, SendError>>,
}

impl EdgeSession {
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tell(&self, event: SessionEvent) {
        self.events.tell(event);
    }

    /// The gateway will ask what is owed.
    pub(super) fn lag(&self) {
        self.events.lag();
    }

    /// A core has let the session in. In the order of what the core says, so that nothing after it is missed.
    pub(super) fn seated(self: &Arc<Self>, core: &Arc<Connection>, attached: &pb::Attached) {
        let mut state = self.lock();
        state.asked = None;
        if state.gone {
            drop(state);
            return core.leave(self.id, false);
        }
        if let Some(resume) = &attached.resume {
            state.login.credential = Credential::Resume(wire::resume(resume));
        }
        state.on = Some(core.clone());
        let now = Instant::now();
        for (at, conversation, position) in &state.acks {
            if now.duration_since(*at) < ACKS_KEPT {
                core.acknowledge(self.id, wire::place(conversation, *position));
            }
        }
        // A client that was told "busy" meanwhile sends again by itself, if it still wants to.
        state.sends.retain(|_, waiting| !waiting.reply.is_closed());
        let mut full = Vec::new();
        for (number, waiting) in &state.sends {
            // Once one finds no room, later ones must not overtake it.
            if !full.is_empty() || core.send(self, *number, &waiting.submission).is_err() {
                full.push(*number);
            }
        }
        let refused: Vec<_> = full.iter().filter_map(|number| state.sends.remove(number)).collect();
        drop(state);
        for waiting in refused {
            let _ = waiting.reply.send(Err(SendError::Busy));
        }
        self.seated.notify_waiters();
    }

    /// The answer to a send.
    pub(super) fn sent(&self, from: &Arc<Connection>, number: u64, answer: Up) {
        let answer = match answer {
            Up::Sent(sent) => {
                let (message_id, at) = (MessageId(sent.message_id), Millis(sent.at));
                Ok(Sent { message_id, at, notice: sent.notice })
            }
            Up::Refused(why) => Err(wire::refused(&why, SendError::Unavailable)),
            _ => Err(SendError::Unavailable),
        };
        let mut state = self.lock();
        let stays = state.on.as_ref().is_some_and(|on| Arc::ptr_eq(on, from)) && from.is_ready();
        // A core that the session leaves, or has left, may refuse what the next one does.
        if !stays && matches!(answer, Err(SendError::Unavailable | SendError::Busy)) {
            return;
        }
        let waiting = state.sends.remove(&number);
        drop(state);
        if let Some(waiting) = waiting {
            let _ = waiting.reply.send(answer);
        }
    }

    /// A core has ended the session.
    pub(super) fn closed_by(self: &Arc<Self>, core: &Arc<Connection>, reason: Option<CloseReason>) {
        let mut state = self.lock();
        if !state.on.as_ref().is_some_and(|on| Arc::ptr_eq(on, core)) {
            return;
        }
        state.on = None;
        match reason {
            // The core goes, the session need not.
            None | Some(CloseReason::Draining) => {
                drop(state);
                core.leave(self.id, false);
                self.pool.clone().rehouse(vec![self.clone()]);
            }
            Some(reason) => {
                let close = state.close.take();
                drop(state);
                core.leave(self.id, false);
                if let Some(close) = close {
                    let _ = close.send(reason);
                }
            }
        }
    }

    /// Takes the session off a core that is going. False: it was not there.
    pub(super) fn take_off(&self, core: &Arc<Connection>) -> bool {
        let mut state = self.lock();
        let was_there = state.on.as_ref().is_some_and(|on| Arc::ptr_eq(on, core));
        if was_there {
            state.on = None;
        }
        was_there
    }

    /// Finds another core. Ends the session when there is none for long, or when it may not go on.
    pub(super) async fn find_home(self: Arc<Self>) {
        let until = Instant::now() + self.pool.patience().homeless;
        let closed = match self.attach(until).await {
            Ok(_) => return self.lag(),
            Err(Refusal::Replaced | Refusal::TooManyDevices) => {
                Some(CloseReason::Replaced { extension: String::new() })
            }
            Err(Refusal::CredentialMismatch) => Some(CloseReason::PasswordChanged),
            Err(Refusal::UserNotFound | Refusal::AppNotFound | Refusal::Forbidden) => {
                Some(CloseReason::Removed)
            }
            Err(refusal) => {
                tracing::warn!(%refusal, "a session found no core");
                None
            }
        };
        let close = self.lock().close.take();
        // Dropped without a word: the core went away.
        if let (Some(close), Some(reason)) = (close, closed) {
            let _ = close.send(reason);
        }
    }

    /// Asks cores until one takes the session or refuses it for good.
    async fn attach(self: &Arc<Self>, until: Instant) -> Result<pb::Attached, Refusal> {
        let mut pause = PAUSE;
        let mut last = Refusal::Unavailable;
        loop {
            let Ok(core) = timeout_at(until, self.pool.choose()).await else { return Err(last) };
            let login = {
                let mut state = self.lock();
                if state.gone {
                    return Err(Refusal::Unavailable);
                }
                state.asked = Some(core.clone());
                state.login.clone()
            };
            let attempt = until.min(Instant::now() + ATTEMPT);
            let answer = timeout_at(attempt, core.attach(self, &login)).await;
            self.lock().asked = None;
            match answer {
                Ok(Ok(Ok(attached))) => {
                    self.pool.well(&core);
                    // It may have gone between its word and this.
                    if !core.is_down() || !self.take_off(&core) {
                        return Ok(attached);
                    }
                }
                Ok(Ok(Err(why))) => {
                    last = wire::refused(&why, Refusal::Unavailable);
                    if !matches!(last, Refusal::Unavailable | Refusal::Busy) {
                        self.pool.well(&core);
                        return Err(last);
                    }
                    self.pool.unwell(&core);
                }
                Ok(Err(Lost)) => self.pool.unwell(&core),
                Err(_) => {
                    core.leave(self.id, false);
                    self.take_off(&core);
                    self.pool.unwell(&core);
                }
            }
            if Instant::now() >= until {
                return Err(last);
            }
            sleep(jittered(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Asks the core that has the session; between cores, the next one.
    async fn ask(&self, what: impl Fn() -> Down) -> Result<Up, LinkError> {
        // The gateway has the deadline.
        loop {
            let seated = self.seated.notified();
            let on = self.lock().on.clone();
            match on {
                Some(core) => match core.ask(self.id, what()).await {
                    Ok(Up::Refused(why)) => {
                        let error = wire::refused(&why, LinkError::Unavailable);
                        if core.is_ready() {
                            return Err(error);
                        }
                    }
                    Ok(answer) => return Ok(answer),
                    Err(Lost) => {}
                },
                None => {
                    seated.await;
                    continue;
                }
            }
            // Not again at once: the core may not be known to be gone yet.
            sleep(PAUSE).await;
        }
    }
}

/// The gateway's hold of a session; letting go detaches the device.
#[derive(Debug)]
pub(super) struct Hold(Arc<EdgeSession>);

impl Hold {
    pub(super) fn new(pool: Arc<Pool>, login: Login) -> (Self, Events, oneshot::Receiver<CloseReason>) {
        let (events, receiver) = event_queue(EVENTS);
        let (close, closed) = oneshot::channel();
        let session = EdgeSession {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            pool,
            state: Mutex::new(State {
                login,
                on: None,
                asked: None,
                sends: BTreeMap::new(),
                next_send: 0,
                acks: VecDeque::new(),
                close: Some(close),
                gone: false,
            }),
            events,
            seated: Notify::new(),
        };
        (Self(Arc::new(session)), receiver, closed)
    }

    pub(super) async fn attach_first(&self, until: Instant) -> Result<pb::Attached, Refusal> {
        self.0.attach(until).await
    }

    pub(super) fn attached(
        self,
        told: pb::Attached,
        events: Events,
        closed: oneshot::Receiver<CloseReason>,
    ) -> Result<Attached, Refusal> {
        let resume = told.resume.as_ref().map(wire::resume).ok_or(Refusal::Unavailable)?;
        Ok(Attached {
            app: AppKey::parse(&told.app).map_err(|_| Refusal::Unavailable)?,
            user: UserName::parse(&told.user).map_err(|_| Refusal::Unavailable)?,
            resource: Resource::parse(&told.resource).map_err(|_| Refusal::Unavailable)?,
            attached_at: resume.attached_at,
            token_expires_at: resume.token_expires_at,
            token_epoch: resume.token_epoch,
            session: Arc::new(self),
            events,
            closed,
        })
    }

    fn leave(&self, logged_out: bool) {
        let (on, asked) = {
            let mut state = self.0.lock();
            state.gone = true;
            state.sends.clear();
            (state.on.take(), state.asked.take())
        };
        for core in on.into_iter().chain(asked) {
            core.leave(self.0.id, logged_out);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.leave(false);
    }
}

#[async_trait]
impl Session for Hold {
    fn send(&self, submission: Submission) -> PendingSend {
        let (reply, pending) = oneshot::channel();
        let mut state = self.0.lock();
        let number = state.next_send;
        state.next_send += 1;
        let accepted = match &state.on {
            _ if state.gone => Err(SendError::Unavailable),
            _ if state.sends.len() >= SENDS => Err(SendError::Busy),
            Some(core) => core.send(&self.0, number, &submission),
            None => Ok(()),
        };
        match accepted {
            Ok(()) => drop(state.sends.insert(number, Waiting { submission, reply })),
            Err(error) => drop(reply.send(Err(error))),
        }
        pending
    }

    async fn unread(&self) -> Result<Vec<Unread>, LinkError> {
        match self.0.ask(|| Down::Unread(pb::Nothing {})).await? {
            Up::Unread(unread) => wire::unread(unread).map_err(|_| LinkError::Unavailable),
            _ => Err(LinkError::Unavailable),
        }
    }

    async fn pull(&self, request: PullRequest) -> Result<Batch, LinkError> {
        let pull = || {
            Down::Pull(pb::Pull {
                after: Some(wire::place(&request.conversation, request.after)),
                max_entries: request.max_entries as u64,
                max_bytes: request.max_bytes as u64,
            })
        };
        match self.0.ask(pull).await? {
            Up::Batch(batch) => wire::batch(batch).map_err(|_| LinkError::Unavailable),
            _ => Err(LinkError::Unavailable),
        }
    }

    async fn room(&self, request: RoomRequest) -> Result<Standing, RoomError> {
        match self.0.ask(|| wire::write_room_request(&request)).await {
            Ok(Up::Room(answer)) => wire::room_answer(answer).unwrap_or(Err(RoomError::Unavailable)),
            Err(LinkError::Busy) => Err(RoomError::Busy),
            _ => Err(RoomError::Unavailable),
        }
    }

    fn acknowledge(&self, conversation: &ConversationKey, position: Position) {
        let mut state = self.0.lock();
        let now = Instant::now();
        while state.acks.front().is_some_and(|(at, ..)| now.duration_since(*at) >= ACKS_KEPT) {
            state.acks.pop_front();
        }
        if state.acks.len() >= ACKS {
            state.acks.pop_front();
        }
        state.acks.push_back((now, conversation.clone(), position));
        if let Some(core) = &state.on {
            core.acknowledge(self.0.id, wire::place(conversation, position));
        }
    }

    fn detach(&self, logged_out: bool) {
        self.leave(logged_out);
    }
}
