//! A connection after its hello: a loop that turns frames into commands and events into frames.
//!
//! One task does everything in order. It waits for the core only through what it polls: answers to sends, and one
//! question at a time.

mod commands;
mod rooms;

use super::{
    end::End,
    event::{self, error},
    frame::{self, ClientFrame, Conversation, History},
    queues::{Live, Queues},
};
use crate::{
    config::GatewayConfig,
    drain::Drain,
    protocols::rooms::Rooms,
    pulse::{Beat, Pulse},
    websocket::Socket,
};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use meridian_link::{
    Attached, Batch, CloseReason, Events, LinkError, PullRequest, RoomError, RoomRequest, SendError, Sent,
    Session as Link, SessionEvent, Standing, Unread,
};
use meridian_types::{ConversationKey, Position, Resource, UserName};
use serde_json::{Value, json};
use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::oneshot,
    time::{Instant, Sleep, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

/// Steps that are taken before what they produced is flushed.
const BURST: usize = 64;
/// How long the reason for a close may come after the end of the events.
const CLOSE_REASON_TIMEOUT: Duration = Duration::from_secs(1);
/// How long sends under way may hold up a drain.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);
/// Frames that cannot be taken, before the connection is closed.
const MISTAKES: usize = 16;
/// Histories that may wait for their turn.
const HISTORIES: usize = 16;
/// Entries of one history page.
const HISTORY_LIMIT: usize = 100;

enum Answer {
    Sent(u64, Result<Sent, SendError>),
    Room(u64, RoomRequest, Result<Standing, RoomError>),
}

enum Step {
    Closed(Option<CloseReason>),
    Drain,
    Answer(Answer),
    Granted(Granted),
    Event(Option<SessionEvent>),
    Message(Option<Result<Message, SocketError>>),
    Timer,
}

/// What the core has answered.
enum Granted {
    Unread(Result<Vec<Unread>, LinkError>),
    Pulled { conversation: ConversationKey, batch: Result<Batch, LinkError> },
    Room { room: ConversationKey, batch: Result<Batch, LinkError> },
    History { id: u64, conversation: ConversationKey, batch: Result<Batch, LinkError> },
}

pub(super) struct Session<S> {
    socket: Box<Socket<S>>,
    link: Arc<dyn Link>,
    events: Events,
    closed: oneshot::Receiver<CloseReason>,
    me: UserName,
    config: Arc<GatewayConfig>,
    drain: Drain,
    /// By the client's own book, until the first list is there.
    positions: HashMap<ConversationKey, Position>,
    queues: Queues,
    rooms: Rooms,
    device: Resource,
    answers: FuturesUnordered<BoxFuture<'static, Answer>>,
    histories: VecDeque<History>,
    under_way: Option<BoxFuture<'static, Granted>>,
    /// The core's list of what is owed has been taken in; before that, events cannot be judged and wait.
    listed: bool,
    /// The client was told that it has everything.
    told_synced: bool,
    mistakes: usize,
    retry_at: Option<Instant>,
    pulse: Pulse,
    sweep_at: Instant,
    timer: Pin<Box<Sleep>>,
    welcome: Value,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Session<S> {
    pub(super) fn new(
        socket: Box<Socket<S>>,
        attached: Attached,
        positions: HashMap<Conversation, Position>,
        config: Arc<GatewayConfig>,
        drain: Drain,
    ) -> Self {
        let now = Instant::now();
        let limits = json!({
            "frame_bytes": config.max_frame_bytes,
            "in_flight": config.max_in_flight,
            "window": super::queues::WINDOW,
            "idle_s": config.idle_timeout.as_secs(),
            "history": HISTORY_LIMIT,
        });
        let welcome = event::welcome(&attached, clock(), &limits);
        let positions = positions.into_iter().map(|(named, at)| (named.key(&attached.user), at)).collect();
        Self {
            socket,
            link: attached.session,
            events: attached.events,
            closed: attached.closed,
            me: attached.user,
            config,
            drain,
            positions,
            queues: Queues::default(),
            rooms: Rooms::default(),
            device: attached.resource,
            answers: FuturesUnordered::new(),
            histories: VecDeque::new(),
            under_way: None,
            listed: false,
            told_synced: false,
            mistakes: 0,
            retry_at: None,
            pulse: Pulse::new(now),
            sweep_at: now,
            timer: Box::pin(sleep_until(now)),
            welcome,
        }
    }

    /// Serves until the connection ends, and closes it.
    pub(super) async fn run(mut self: Box<Self>) -> End {
        let end = match self.serve().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        if matches!(end, End::Draining | End::Closed(CloseReason::Draining)) {
            let _ = timeout(SETTLE_TIMEOUT, Box::pin(self.settle_answers())).await;
        }
        if let Some(bye) = end.bye() {
            // The client may be gone already.
            let _ = self.tell(&bye).await;
        }
        let slow = matches!(end, End::Idle) || self.pulse.is_slow(Instant::now());
        let Self { socket, link, .. } = *self;
        // Others should see the device leave at once, not when the client has answered the close.
        link.detach(false);
        drop(link);
        match slow && !matches!(end, End::Draining | End::Gone) {
            true => socket.close_slowly(end.code(), end.name()).await,
            false => socket.close(end.code(), end.name()).await,
        }
        end
    }

    async fn serve(&mut self) -> Result<Infallible, End> {
        let welcome = std::mem::take(&mut self.welcome);
        self.tell(&welcome).await?;
        self.ask_next().await?;
        loop {
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
        let room = self.has_room();
        let under_way = self.under_way.as_mut();
        tokio::select! {
            reason = &mut self.closed => Step::Closed(reason.ok()),
            () = self.drain.begun() => Step::Drain,
            Some(answer) = self.answers.next() => Step::Answer(answer),
            Some(granted) = async { Some(under_way?.await) } => Step::Granted(granted),
            event = self.events.recv(), if self.listed => Step::Event(event),
            message = self.socket.next(), if room => Step::Message(message),
            () = self.timer.as_mut() => Step::Timer,
        }
    }

    /// Whether the client may say more; otherwise its socket is not read.
    fn has_room(&self) -> bool {
        self.answers.len() < self.config.max_in_flight && self.histories.len() < HISTORIES
    }

    fn deadline(&self) -> Instant {
        let pulse = self.pulse.deadline(self.socket.heard_at(), self.config.patience());
        self.retry_at.into_iter().fold(pulse, Instant::min)
    }

    async fn take(&mut self, step: Step) -> Result<(), End> {
        match step {
            Step::Closed(Some(reason)) => Err(End::Closed(reason)),
            Step::Closed(None) => Err(End::CoreGone),
            Step::Event(None) => Err(self.why_closed().await),
            Step::Drain => Err(End::Draining),
            Step::Answer(answer) => self.answer(answer).await,
            Step::Granted(granted) => {
                self.under_way = None;
                self.granted(granted).await?;
                self.ask_next().await
            }
            Step::Event(Some(event)) => {
                self.event(event).await?;
                self.ask_next().await
            }
            Step::Message(message) => self.message(message).await,
            Step::Timer => self.tick().await,
        }
    }

    /// The events have ended; the reason may come a moment later.
    async fn why_closed(&mut self) -> End {
        match timeout(CLOSE_REASON_TIMEOUT, &mut self.closed).await {
            Ok(Ok(reason)) => End::Closed(reason),
            Ok(Err(_)) | Err(_) => End::CoreGone,
        }
    }

    /// Answers what was sent before the drain, as far as the core is quick.
    async fn settle_answers(&mut self) -> Result<(), End> {
        while let Some(answer) = self.answers.next().await {
            self.answer(answer).await?;
        }
        Ok(())
    }

    async fn answer(&mut self, answer: Answer) -> Result<(), End> {
        let frame = match answer {
            Answer::Sent(id, Ok(sent)) => event::sent(id, &sent),
            Answer::Sent(id, Err(refused)) => event::refused(id, &refused),
            Answer::Room(id, request, asked) => return self.room_answer(id, &request, asked).await,
        };
        self.tell(&frame).await
    }

    async fn tell(&mut self, frame: &Value) -> Result<(), End> {
        self.feed(event::text(frame)).await
    }

    async fn feed(&mut self, frame: Bytes) -> Result<(), End> {
        metrics::counter!("gateway_frames_total", "direction" => "out", "command" => "json").increment(1);
        Ok(self.socket.feed(frame).await?)
    }

    async fn message(&mut self, message: Option<Result<Message, SocketError>>) -> Result<(), End> {
        let text = match message {
            None | Some(Ok(Message::Close(_))) => return Err(End::Gone),
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(Message::Binary(_))) => return Err(End::Binary),
            Some(Ok(Message::Pong(_))) => {
                self.pulse.pong(Instant::now(), self.config.patience());
                return Ok(());
            }
            Some(Ok(Message::Ping(_) | Message::Frame(_))) => return Ok(()),
            Some(Ok(Message::Text(text))) => text,
        };
        metrics::counter!("gateway_frames_total", "direction" => "in", "command" => "json").increment(1);
        match frame::read(&text) {
            Ok(ClientFrame::Hello(_)) => {
                self.mistake(None, "unexpected_hello", "the connection has said hello already").await
            }
            Ok(frame) => {
                self.command(frame).await?;
                self.ask_next().await
            }
            Err(mistake) => self.mistake(mistake.id, mistake.code, &mistake.text).await,
        }
    }

    /// A frame that cannot be taken; a client that makes many is not one.
    async fn mistake(&mut self, id: Option<u64>, code: &str, text: &str) -> Result<(), End> {
        self.mistakes += 1;
        self.tell(&error(id, code, text)).await?;
        if self.mistakes >= MISTAKES { Err(End::TooManyMistakes) } else { Ok(()) }
    }

    async fn tick(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if !self.has_room() {
            self.pulse.excuse(now);
        }
        match self.pulse.beat(now, self.socket.heard_at(), self.config.patience()) {
            Beat::Wait => {}
            Beat::Dead => return Err(End::Idle),
            Beat::Ping => {
                // Not with every ping: an event may be on its way for what looks settled.
                if now >= self.sweep_at {
                    self.sweep_at = now + self.config.ping_interval;
                    self.queues.sweep();
                }
                self.socket.ping().await?;
            }
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.ask_next().await?;
        }
        let deadline = self.deadline();
        self.timer.as_mut().reset(deadline);
        Ok(())
    }

    /// Asks the core for the next thing that is needed: the list, what a client asks for, what is owed.
    async fn ask_next(&mut self) -> Result<(), End> {
        if self.under_way.is_some() || self.retry_at.is_some() {
            return Ok(());
        }
        if !self.listed {
            let (link, limit) = (self.link.clone(), self.config.pull_timeout);
            self.under_way = Some(Box::pin(async move {
                Granted::Unread(timeout(limit, link.unread()).await.unwrap_or(Err(LinkError::Busy)))
            }));
        } else if let Some(history) = self.histories.pop_front() {
            let conversation = history.with.key(&self.me);
            let pull = self.pull(&conversation, history.after.0, history.limit.clamp(1, HISTORY_LIMIT));
            self.under_way = Some(Box::pin(async move {
                Granted::History { id: history.id.0, conversation, batch: pull.await }
            }));
        } else if let Some((conversation, after)) = self.queues.next() {
            let entries = self.config.batch_entries.min(self.queues.room());
            let pull = self.pull(&conversation, after, entries);
            self.under_way =
                Some(Box::pin(async move { Granted::Pulled { conversation, batch: pull.await } }));
        } else if self.ask_rooms() {
            // Its answer comes back here.
        } else if !self.told_synced && self.queues.is_synced() {
            self.told_synced = true;
            return self.tell(&json!({ "type": "synced" })).await;
        }
        Ok(())
    }

    fn pull(
        &self,
        conversation: &ConversationKey,
        after: Position,
        max_entries: usize,
    ) -> BoxFuture<'static, Result<Batch, LinkError>> {
        let (link, limit) = (self.link.clone(), self.config.pull_timeout);
        let conversation = conversation.clone();
        let request = PullRequest { conversation, after, max_entries, max_bytes: self.config.batch_bytes };
        Box::pin(async move { timeout(limit, link.pull(request)).await.unwrap_or(Err(LinkError::Busy)) })
    }

    async fn granted(&mut self, granted: Granted) -> Result<(), End> {
        match granted {
            Granted::Unread(Ok(list)) => {
                self.listed = true;
                for unread in list {
                    let theirs = self.positions.get(&unread.conversation);
                    let from = theirs.copied().unwrap_or_default().max(unread.position);
                    if from > unread.position {
                        self.link.acknowledge(&unread.conversation, from);
                    }
                    self.queues.owe(unread.conversation, from);
                }
                self.positions = HashMap::new();
                Ok(())
            }
            Granted::Pulled { conversation, batch: Ok(batch) } => {
                for entry in &batch.entries {
                    let at = Position { seq: entry.seq, ..batch.position };
                    self.tell_entry(&conversation, entry, at).await?;
                }
                if self.queues.pulled(&conversation, batch.position, batch.more) {
                    self.link.acknowledge(&conversation, batch.position);
                }
                Ok(())
            }
            Granted::Pulled { conversation, batch: Err(error) } => {
                tracing::warn!(%error, "cannot pull");
                self.queues.pull_failed(&conversation);
                self.retry_later();
                Ok(())
            }
            Granted::Unread(Err(error)) => {
                tracing::warn!(%error, "cannot list what is owed");
                self.retry_later();
                Ok(())
            }
            Granted::Room { room, batch: Ok(batch) } => {
                self.rooms.read(&room, batch.position, batch.more);
                self.tell_room(&room, &batch.entries).await
            }
            Granted::Room { batch: Err(error), .. } => {
                tracing::warn!(%error, "cannot read a room");
                self.retry_later();
                Ok(())
            }
            Granted::History { id, conversation, batch } => self.history(id, &conversation, batch).await,
        }
    }

    async fn history(
        &mut self,
        id: u64,
        conversation: &ConversationKey,
        batch: Result<Batch, LinkError>,
    ) -> Result<(), End> {
        let batch = match batch {
            Ok(batch) => batch,
            Err(LinkError::Busy) => return self.tell(&error(Some(id), "busy", "try again")).await,
            Err(_) => return self.tell(&error(Some(id), "unavailable", "try again")).await,
        };
        let place = |entry: &meridian_types::Entry| Position { seq: entry.seq, ..batch.position };
        let entries =
            batch.entries.iter().filter_map(|entry| event::entry(&self.me, entry, Some(place(entry))));
        let frame = json!({
            "type": "history",
            "id": id,
            "conversation": Conversation::name(&self.me, conversation),
            "entries": entries.collect::<Vec<_>>(),
            "position": event::position(batch.position),
            "more": batch.more,
        });
        self.tell(&frame).await
    }

    async fn event(&mut self, event: SessionEvent) -> Result<(), End> {
        match event {
            SessionEvent::Entry { entry, position, deliver } => {
                let conversation = &entry.conversation;
                let frame = event::entry(&self.me, &entry, Some(position)).filter(|_| deliver);
                match (self.queues.live(conversation, position, frame.is_some()), frame) {
                    (Live::Tell, Some(frame)) => {
                        self.queues.told(conversation, position);
                        self.tell(&frame).await
                    }
                    (Live::Raise, _) => {
                        self.link.acknowledge(conversation, position);
                        Ok(())
                    }
                    (Live::Tell | Live::Nothing, _) => Ok(()),
                }
            }
            SessionEvent::Room(news) => self.room_news(&news).await,
            SessionEvent::Transient(entry) => {
                self.note_alone(&entry);
                match event::entry(&self.me, &entry, None) {
                    Some(frame) => self.tell(&frame).await,
                    None => Ok(()),
                }
            }
            SessionEvent::Lagged => {
                metrics::counter!("gateway_lagged_total").increment(1);
                self.listed = false;
                self.rooms.miss();
                Ok(())
            }
        }
    }

    async fn tell_entry(
        &mut self,
        conversation: &ConversationKey,
        entry: &meridian_types::Entry,
        at: Position,
    ) -> Result<(), End> {
        let Some(frame) = event::entry(&self.me, entry, Some(at)) else { return Ok(()) };
        self.queues.told(conversation, at);
        self.tell(&frame).await
    }

    fn retry_later(&mut self) {
        self.retry_at = Some(Instant::now() + self.config.retry_delay);
    }
}

fn clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
