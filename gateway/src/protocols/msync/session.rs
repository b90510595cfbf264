//! One connection of the protocol: the login, then a loop that turns frames into commands and events into frames.
//!
//! One task does everything in order, so there are no locks and no lost wake-ups. It waits for the core only through
//! what it polls: answers to sends, and one pull (or list) at a time, so that a slow pull never delays an answer.

use super::{
    answers::Answers,
    frame::{self, ClientFrame},
    items::{Cursor, Identity, delivery, queue_name},
    keys::Keys,
    kick::forced_logout,
    login,
    queues::{Answer, Live, Queues},
    send::{self, Outcome, Request},
};
use crate::{config::GatewayConfig, drain::Drain, gauge::Counted, websocket::Socket};
use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use meridian_link::{
    Attached, Batch, CloseReason, CoreHandle, LinkError, PullRequest, Refusal, Session as Link, SessionEvent,
    Unread,
};
use meridian_types::{
    ConversationKey, Entry, Millis, Position, UserName,
    msync::{Jid, Meta, MetaQueue},
};
use std::{
    collections::VecDeque,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{mpsc, oneshot},
    time::{Instant, Sleep, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message, protocol::frame::coding::CloseCode};

/// Steps that are taken before what they produced is flushed.
const BURST: usize = 64;
/// Conversations in one answer to UNREAD; the client pulls all of them at once. The others are noticed one by one.
const LISTED: usize = 500;
/// How long the reason for a close may come after the end of the events.
const CLOSE_REASON_TIMEOUT: Duration = Duration::from_secs(1);
/// How long sends under way may hold up a drain.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves a connection until it ends. Boxed here and below, and not by the caller, to keep idle sessions small.
pub(crate) fn serve<S>(
    socket: Box<Socket<S>>,
    core: CoreHandle,
    config: Arc<GatewayConfig>,
    drain: Drain,
    address: Option<IpAddr>,
) -> BoxFuture<'static, ()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Box::pin(log_in_and_run(socket, core, config, drain, address))
}

async fn log_in_and_run<S>(
    mut socket: Box<Socket<S>>,
    core: CoreHandle,
    config: Arc<GatewayConfig>,
    mut drain: Drain,
    address: Option<IpAddr>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let login = log_in(&mut socket, &core, &config, &mut drain, address).await;
    drop(core);
    let end = match login {
        Ok(attached) => {
            let _counted = Counted::one(metrics::gauge!("gateway_sessions"));
            run(Box::new(Session::new(socket, attached, config, drain))).await
        }
        Err(end) => {
            socket.close(end.code(), end.text()).await;
            end
        }
    };
    metrics::counter!("gateway_closes_total", "reason" => end.text()).increment(1);
    tracing::debug!(reason = end.text(), "session ended");
}

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// The client closed, or the network did.
    Gone,
    LoggedOut,
    Refused,
    LoginTimeout,
    Closed(CloseReason),
    CoreGone,
    Draining,
    Idle,
    Text,
    TooLarge,
    Undecodable,
    Unexpected(&'static str),
}

impl End {
    fn code(&self) -> CloseCode {
        match self {
            Self::Gone | Self::LoggedOut | Self::Refused => CloseCode::Normal,
            Self::Closed(CloseReason::Draining) | Self::Draining => CloseCode::Away,
            Self::Closed(_) => CloseCode::Normal,
            Self::CoreGone => CloseCode::Restart,
            Self::Idle | Self::LoginTimeout => CloseCode::Policy,
            Self::Text => CloseCode::Unsupported,
            Self::TooLarge => CloseCode::Size,
            Self::Undecodable => CloseCode::Invalid,
            Self::Unexpected(_) => CloseCode::Protocol,
        }
    }

    /// Goes into the close frame (at most 123 bytes) and into metrics.
    fn text(&self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::LoggedOut => "logged out",
            Self::Refused => "login refused",
            Self::LoginTimeout => "no login in time",
            Self::Closed(CloseReason::Draining) | Self::Draining => "server is going away",
            Self::Closed(CloseReason::Replaced { .. }) => "logged in elsewhere",
            Self::Closed(CloseReason::PasswordChanged) => "password changed",
            Self::Closed(CloseReason::Kicked) => "kicked",
            Self::Closed(CloseReason::Removed) => "user removed",
            Self::Closed(_) => "closed",
            Self::CoreGone => "server restarts",
            Self::Idle => "idle",
            Self::Text => "text frames are not understood",
            Self::TooLarge => "frame is too large",
            Self::Undecodable => "frame cannot be decoded",
            Self::Unexpected(text) => text,
        }
    }
}

impl From<SocketError> for End {
    fn from(error: SocketError) -> Self {
        match error {
            SocketError::Capacity(_) => Self::TooLarge,
            SocketError::Utf8(_) => Self::Text,
            SocketError::Protocol(
                tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            ) => Self::Gone,
            SocketError::Protocol(_) => Self::Unexpected("websocket protocol error"),
            _ => Self::Gone,
        }
    }
}

/// A frame that the client sent, or why there is none. Pings and pongs give `None`.
fn read(message: Option<Result<Message, SocketError>>) -> Result<Option<ClientFrame>, End> {
    match message {
        None => Err(End::Gone),
        Some(Err(error)) => Err(error.into()),
        Some(Ok(Message::Binary(bytes))) => {
            let frame = frame::decode(bytes).map_err(|_| End::Undecodable)?;
            metrics::counter!("gateway_frames_total", "direction" => "in", "command" => frame.name())
                .increment(1);
            Ok(Some(frame))
        }
        Some(Ok(Message::Text(_))) => Err(End::Text),
        Some(Ok(Message::Close(_))) => Err(End::Gone),
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(None),
    }
}

fn count_out(command: &'static str) {
    metrics::counter!("gateway_frames_total", "direction" => "out", "command" => command).increment(1);
}

fn log_in<'a, S>(
    socket: &'a mut Socket<S>,
    core: &'a CoreHandle,
    config: &'a GatewayConfig,
    drain: &'a mut Drain,
    address: Option<IpAddr>,
) -> BoxFuture<'a, Result<Attached, End>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    Box::pin(login_exchange(socket, core, config, drain, address))
}

async fn login_exchange<S>(
    socket: &mut Socket<S>,
    core: &CoreHandle,
    config: &GatewayConfig,
    drain: &mut Drain,
    address: Option<IpAddr>,
) -> Result<Attached, End>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let first = async {
        loop {
            if let Some(frame) = read(socket.next().await)? {
                break Ok::<_, End>(frame);
            }
        }
    };
    let first = tokio::select! {
        first = timeout(config.login_timeout, first) => first.map_err(|_| End::LoginTimeout)??,
        () = drain.begun() => return Err(End::Draining),
    };
    let ClientFrame::Provision(frame) = first else { return Err(End::Unexpected("not logged in")) };
    let session_id = frame.provision.session_id().to_owned();
    let attached = match login::login(&frame, address) {
        Ok(login) => {
            let attach = timeout(config.attach_timeout, core.attach(login));
            attach.await.unwrap_or(Err(Refusal::Unavailable))
        }
        Err(refusal) => Err(refusal),
    };
    let answer = match &attached {
        Ok(attached) => login::accepted(attached, &session_id),
        Err(refusal) => login::refused(*refusal, frame.provision.resource(), &session_id),
    };
    metrics::counter!("gateway_logins_total", "result" => attached.as_ref().err().map_or("accepted", refusal_name))
        .increment(1);
    if let Ok(attached) = &attached {
        tracing::debug!(app = %attached.app, "session begins");
    }
    count_out("provision");
    socket.feed(answer).await?;
    socket.flush().await?;
    attached.map_err(|_| End::Refused)
}

fn refusal_name(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Malformed => "malformed",
        Refusal::AppNotFound => "app_not_found",
        Refusal::UserNotFound => "user_not_found",
        Refusal::TokenExpired => "token_expired",
        Refusal::CredentialMismatch => "credential_mismatch",
        Refusal::Forbidden => "forbidden",
        Refusal::TooManyDevices => "too_many_devices",
        Refusal::Busy => "busy",
        _ => "unavailable",
    }
}

/// What the core is asked for.
#[derive(Debug)]
enum Wish {
    /// The client's UNREAD waits for the list.
    Unread,
    /// The list is needed after a gap; nobody waits.
    Resync,
    Pull(ConversationKey),
}

/// What the core has answered.
enum Granted {
    Unread { asked: bool, list: Result<Vec<Unread>, LinkError> },
    Pulled { conversation: ConversationKey, after: Position, batch: Result<Batch, LinkError> },
}

enum Step {
    Closed(Option<CloseReason>),
    Drain,
    Answer(u64, Outcome),
    Granted(Granted),
    Event(Option<SessionEvent>),
    Message(Option<Result<Message, SocketError>>),
    Timer,
}

struct Session<S> {
    socket: Box<Socket<S>>,
    link: Arc<dyn Link>,
    events: mpsc::Receiver<SessionEvent>,
    closed: oneshot::Receiver<CloseReason>,
    me: Identity,
    config: Arc<GatewayConfig>,
    drain: Drain,
    keys: Keys,
    queues: Queues,
    answers: Answers,
    /// What the core will be asked for, in order; one request is under way at a time.
    wishes: VecDeque<Wish>,
    under_way: Option<BoxFuture<'static, Granted>>,
    /// The core's list of what is owed has been taken in; before that, events cannot be judged and wait.
    synced: bool,
    /// When to list or wake again after a failure.
    retry_at: Option<Instant>,
    heard_at: Instant,
    ping_at: Instant,
    /// Fires at the earliest deadline or before.
    timer: Pin<Box<Sleep>>,
}

fn run<S>(session: Box<Session<S>>) -> BoxFuture<'static, End>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Box::pin(session.run())
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Session<S> {
    fn new(socket: Box<Socket<S>>, attached: Attached, config: Arc<GatewayConfig>, drain: Drain) -> Self {
        let now = Instant::now();
        let ping_at = now + config.ping_interval;
        Self {
            socket,
            link: attached.session,
            events: attached.events,
            closed: attached.closed,
            keys: Keys::new(attached.attached_at),
            me: Identity { app: attached.app, user: attached.user, attached_at: attached.attached_at },
            config,
            drain,
            queues: Queues::default(),
            answers: Answers::default(),
            wishes: VecDeque::new(),
            under_way: None,
            synced: false,
            retry_at: None,
            heard_at: now,
            ping_at,
            timer: Box::pin(sleep_until(ping_at)),
        }
    }

    async fn run(mut self: Box<Self>) -> End {
        let end = match self.serve().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        if let End::Closed(reason) = &end
            && let Some(item) = forced_logout(&self.me, reason, self.keys.next(), now())
        {
            // The client may be gone already.
            let _ = self.feed("kick", item).await;
        }
        if matches!(end, End::Draining | End::Closed(CloseReason::Draining)) {
            let _ = timeout(SETTLE_TIMEOUT, Box::pin(self.settle_answers())).await;
        }
        let Self { socket, link, .. } = *self;
        // Others should see the device leave at once, not when the client has answered the close.
        link.detach(matches!(end, End::LoggedOut));
        drop(link);
        socket.close(end.code(), end.text()).await;
        end
    }

    async fn serve(&mut self) -> Result<std::convert::Infallible, End> {
        loop {
            // What is ready is taken in one go and written with one flush.
            for _ in 0..BURST {
                let Some(step) = self.next_step().now_or_never() else { break };
                self.take(step).await?;
            }
            self.socket.flush().await?;
            let step = self.next_step().await;
            self.take(step).await?;
        }
    }

    /// Waits for whatever comes first. Cancel-safe.
    async fn next_step(&mut self) -> Step {
        let deadline = self.deadline();
        if deadline < self.timer.deadline() {
            self.timer.as_mut().reset(deadline);
        }
        let limit = self.config.max_in_flight;
        let room = self.answers.len() < limit && self.wishes.len() < limit;
        let under_way = self.under_way.as_mut();
        tokio::select! {
            reason = &mut self.closed => Step::Closed(reason.ok()),
            () = self.drain.begun() => Step::Drain,
            (client_id, outcome) = self.answers.next() => Step::Answer(client_id, outcome),
            Some(granted) = async { Some(under_way?.await) } => Step::Granted(granted),
            event = self.events.recv(), if self.synced => Step::Event(event),
            message = self.socket.next(), if room => Step::Message(message),
            () = self.timer.as_mut() => Step::Timer,
        }
    }

    fn deadline(&self) -> Instant {
        let idle = self.heard_at + self.config.idle_timeout;
        let others = [self.answers.deadline(), self.retry_at];
        others.into_iter().flatten().fold(self.ping_at.min(idle), Instant::min)
    }

    async fn take(&mut self, step: Step) -> Result<(), End> {
        match step {
            Step::Closed(Some(reason)) => Err(End::Closed(reason)),
            Step::Closed(None) => Err(End::CoreGone),
            Step::Event(None) => Err(self.why_closed().await),
            Step::Drain => Err(End::Draining),
            Step::Answer(client_id, outcome) => self.feed("answer", send::answer(client_id, outcome)).await,
            Step::Granted(granted) => {
                self.under_way = None;
                self.granted(granted).await?;
                self.ask_next().await
            }
            Step::Event(Some(event)) => self.event(event).await,
            Step::Message(message) => {
                self.heard_at = Instant::now();
                match read(message)? {
                    Some(frame) => self.frame(frame).await,
                    None => Ok(()),
                }
            }
            Step::Timer => self.tick().await,
        }
    }

    /// The events have ended; the reason may come a moment later. Without the reason a replaced client would come
    /// back, and replace its successor.
    async fn why_closed(&mut self) -> End {
        match timeout(CLOSE_REASON_TIMEOUT, &mut self.closed).await {
            Ok(Ok(reason)) => End::Closed(reason),
            Ok(Err(_)) | Err(_) => End::CoreGone,
        }
    }

    /// Answers what was sent before the drain, as far as the core is quick.
    async fn settle_answers(&mut self) -> Result<(), End> {
        while self.answers.len() > 0 {
            let (client_id, outcome) = self.answers.next().await;
            self.feed("answer", send::answer(client_id, outcome)).await?;
        }
        Ok(())
    }

    async fn feed(&mut self, command: &'static str, frame: Bytes) -> Result<(), End> {
        count_out(command);
        Ok(self.socket.feed(frame).await?)
    }

    async fn frame(&mut self, frame: ClientFrame) -> Result<(), End> {
        match frame {
            ClientFrame::Send(meta) => self.send(*meta),
            ClientFrame::Pull { queue, key } => self.pull(queue, key).await,
            ClientFrame::Unread => self.unread().await,
            ClientFrame::Logout => Err(End::LoggedOut),
            ClientFrame::Empty => Ok(()),
            ClientFrame::Provision(_) => Err(End::Unexpected("logged in already")),
            ClientFrame::Unexpected(_) => Err(End::Unexpected("unknown command")),
        }
    }

    fn send(&mut self, meta: Meta) -> Result<(), End> {
        let client_id = meta.id.unwrap_or_default();
        let request = send::request(meta);
        if client_id == 0 && !matches!(request, Request::Nothing) {
            // An answer could not be told from a delivery.
            return Err(End::Unexpected("item without an id"));
        }
        match request {
            Request::Submit(submission) => {
                let deadline = Instant::now() + self.config.answer_timeout;
                self.answers.wait(client_id, self.link.send(*submission), deadline);
            }
            Request::Refuse(outcome) => self.answers.decide(client_id, outcome, Instant::now()),
            Request::Nothing => {}
        }
        Ok(())
    }

    async fn unread(&mut self) -> Result<(), End> {
        if !self.synced {
            // A list under way will do for this UNREAD too, but each is answered.
            self.wishes.push_back(Wish::Unread);
            return self.ask_next().await;
        }
        self.answer_heartbeat().await
    }

    /// From local state alone: lists what was not sent on this connection.
    async fn answer_heartbeat(&mut self) -> Result<(), End> {
        let owed = self.queues.list_owed();
        self.answer_unread(owed.iter().map(|conversation| (conversation, 1))).await
    }

    async fn answer_unread<'a>(
        &mut self,
        listed: impl Iterator<Item = (&'a ConversationKey, u32)>,
    ) -> Result<(), End> {
        let queues = listed.filter_map(|(conversation, count)| {
            let queue = queue_name(&self.me, conversation)?;
            Some(MetaQueue { queue: Some(self.jid(&queue)), n: Some(count) })
        });
        let answer = frame::unread(queues.collect(), now().0);
        self.feed("unread", answer).await
    }

    async fn pull(&mut self, queue: Jid, key: Option<u64>) -> Result<(), End> {
        let conversation =
            UserName::parse(queue.name()).ok().map(|peer| ConversationKey::pair(&self.me.user, &peer));
        let Some(conversation) = conversation.filter(|conversation| self.queues.knows(conversation)) else {
            // Nothing is known of it, so it is caught up, or never was a queue of this person.
            return self.feed("drained", frame::drained(queue)).await;
        };
        if let Some(position) = key.and_then(|key| self.queues.acknowledged(&conversation, key)) {
            self.link.acknowledge(&conversation, position);
        }
        self.queues.asked(&conversation);
        self.wishes.push_back(Wish::Pull(conversation));
        self.ask_next().await
    }

    /// Takes up wishes in order until one needs the core.
    async fn ask_next(&mut self) -> Result<(), End> {
        while self.under_way.is_none() {
            let Some(wish) = self.wishes.pop_front() else {
                if self.wishes.capacity() > 8 {
                    self.wishes = VecDeque::new();
                }
                break;
            };
            match wish {
                Wish::Unread if self.synced => self.answer_heartbeat().await?,
                Wish::Unread => self.under_way = Some(self.list(true)),
                Wish::Resync if self.synced => {}
                Wish::Resync => self.under_way = Some(self.list(false)),
                Wish::Pull(conversation) => match self.queues.answer(&conversation) {
                    Answer::Drained => self.answer_drained(&conversation).await?,
                    Answer::After(after) => self.under_way = Some(self.ask(conversation, after)),
                },
            }
        }
        Ok(())
    }

    fn list(&self, asked: bool) -> BoxFuture<'static, Granted> {
        let (link, limit) = (self.link.clone(), self.config.pull_timeout);
        Box::pin(async move {
            let list = timeout(limit, link.unread()).await.unwrap_or(Err(LinkError::Busy));
            Granted::Unread { asked, list }
        })
    }

    fn ask(&self, conversation: ConversationKey, after: Position) -> BoxFuture<'static, Granted> {
        let (link, limit) = (self.link.clone(), self.config.pull_timeout);
        let request = PullRequest {
            conversation: conversation.clone(),
            after,
            max_entries: self.config.batch_entries,
            max_bytes: self.config.batch_bytes,
        };
        Box::pin(async move {
            let batch = timeout(limit, link.pull(request)).await.unwrap_or(Err(LinkError::Busy));
            Granted::Pulled { conversation, after, batch }
        })
    }

    async fn granted(&mut self, granted: Granted) -> Result<(), End> {
        match granted {
            Granted::Unread { asked, list: Ok(list) } => self.listed(asked, list).await,
            Granted::Unread { asked, list: Err(error) } => {
                tracing::warn!(%error, "cannot list what is owed");
                self.retry_later();
                // An UNREAD is always answered; the notices come when the list does.
                if asked { self.answer_unread(std::iter::empty()).await } else { Ok(()) }
            }
            Granted::Pulled { conversation, after, batch: Ok(batch) } => {
                self.pulled(conversation, after, batch).await
            }
            Granted::Pulled { conversation, batch: Err(error), .. } => {
                tracing::warn!(%error, "cannot pull");
                self.queues.pull_failed(&conversation);
                self.retry_later();
                self.answer_drained(&conversation).await
            }
        }
    }

    async fn listed(&mut self, asked: bool, mut list: Vec<Unread>) -> Result<(), End> {
        self.synced = true;
        list.retain(|unread| queue_name(&self.me, &unread.conversation).is_some());
        let (told, rest) = if asked { list.split_at(list.len().min(LISTED)) } else { list.split_at(0) };
        told.iter().for_each(|unread| self.queues.owe(unread, true));
        rest.iter().for_each(|unread| self.queues.owe(unread, false));
        if asked {
            self.answer_unread(told.iter().map(|unread| (&unread.conversation, unread.count))).await?;
        }
        for unread in rest {
            self.wake(&unread.conversation).await?;
        }
        Ok(())
    }

    async fn pulled(
        &mut self,
        conversation: ConversationKey,
        after: Position,
        batch: Batch,
    ) -> Result<(), End> {
        let progress = batch.position > after;
        let more = self.queues.pulled(&conversation, batch.position, batch.more);
        if batch.entries.iter().any(|entry| entry.body.is_some()) {
            let entries = batch.entries.iter().map(Arc::as_ref);
            self.deliver(&conversation, entries, batch.position).await?;
            self.queues.answered(&conversation);
            return Ok(());
        }
        if more && progress {
            // A stretch that is not for this device: the client waits for what follows it.
            self.wishes.push_front(Wish::Pull(conversation));
            return Ok(());
        }
        if more {
            // An entry was announced that the core does not show yet.
            self.retry_later();
        }
        self.answer_drained(&conversation).await
    }

    async fn deliver<'a>(
        &mut self,
        conversation: &ConversationKey,
        entries: impl Iterator<Item = &'a Entry> + Clone,
        position: Position,
    ) -> Result<(), End> {
        let Some(queue) = queue_name(&self.me, conversation) else { return Ok(()) };
        let key = self.keys.next();
        self.queues.pushed(conversation, key, position);
        let frame = delivery(&self.me, &queue, entries, Cursor::Key(key));
        self.feed("delivery", frame).await
    }

    /// "Empty, last": ends a pull of the client.
    async fn answer_drained(&mut self, conversation: &ConversationKey) -> Result<(), End> {
        if let Some(position) = self.queues.answered(conversation) {
            self.link.acknowledge(conversation, position);
        }
        let Some(queue) = queue_name(&self.me, conversation) else { return Ok(()) };
        let frame = frame::drained(self.jid(&queue));
        self.feed("drained", frame).await
    }

    async fn event(&mut self, event: SessionEvent) -> Result<(), End> {
        match event {
            SessionEvent::Entry { entry, position, deliver } => {
                let conversation = &entry.conversation;
                let deliver = deliver && entry.body.is_some() && queue_name(&self.me, conversation).is_some();
                match self.queues.live(conversation, position, deliver) {
                    Live::Push => self.deliver(conversation, [&*entry].into_iter(), position).await,
                    Live::Acknowledge(position) => {
                        self.link.acknowledge(conversation, position);
                        Ok(())
                    }
                    Live::Later => self.wake(conversation).await,
                }
            }
            SessionEvent::Transient(entry) => {
                let Some(queue) = queue_name(&self.me, &entry.conversation) else { return Ok(()) };
                let frame = delivery(&self.me, &queue, [&*entry].into_iter(), Cursor::Last);
                self.feed("delivery", frame).await
            }
            SessionEvent::Lagged => {
                metrics::counter!("gateway_lagged_total").increment(1);
                self.resync().await
            }
        }
    }

    /// Asks for the list again; events wait until it is there.
    async fn resync(&mut self) -> Result<(), End> {
        self.synced = false;
        self.wishes.push_back(Wish::Resync);
        self.ask_next().await
    }

    /// Tells the client that something is owed, if it must be told.
    async fn wake(&mut self, conversation: &ConversationKey) -> Result<(), End> {
        let Some(queue) = queue_name(&self.me, conversation) else { return Ok(()) };
        let Some(wake) = self.queues.wake(conversation) else { return Ok(()) };
        let queue = self.jid(&queue);
        if wake.clear_first {
            self.feed("drained", frame::drained(queue.clone())).await?;
        }
        self.feed("notice", frame::notice(queue)).await
    }

    fn retry_later(&mut self) {
        let at = Instant::now() + self.config.retry_delay;
        self.retry_at = Some(self.retry_at.map_or(at, |earlier| earlier.min(at)));
    }

    async fn tick(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if now >= self.heard_at + self.config.idle_timeout {
            return Err(End::Idle);
        }
        while let Some((client_id, outcome)) = self.answers.expired(now) {
            self.feed("answer", send::answer(client_id, outcome)).await?;
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            if self.synced {
                for conversation in self.queues.owed() {
                    self.wake(&conversation).await?;
                }
            } else {
                self.resync().await?;
            }
        }
        if self.ping_at <= now {
            self.ping_at = now + self.config.ping_interval;
            self.queues.sweep();
            self.socket.ping().await?;
        }
        let deadline = self.deadline();
        self.timer.as_mut().reset(deadline);
        Ok(())
    }

    fn jid(&self, user: &UserName) -> Jid {
        frame::user_jid(self.me.app.as_str(), user.as_str())
    }
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
