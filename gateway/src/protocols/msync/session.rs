//! A logged-in connection: a loop that turns frames into commands and events into frames.
//!
//! One task does everything in order, so there are no locks and no lost wake-ups. It waits for the core only through
//! what it polls: answers to sends, and one pull (or list) at a time, so that a slow pull never delays an answer.

mod delivery;
mod room_news;
#[cfg(test)]
mod tests;

use super::{
    answers::Answers,
    end::{End, read},
    frame::ClientFrame,
    items::Identity,
    keys::Keys,
    kick::forced_logout,
    queues::Queues,
    rooms,
    send::{self, Outcome, Request},
};
use crate::{
    config::GatewayConfig,
    drain::Drain,
    protocols::rooms::Rooms,
    pulse::{Beat, Pulse},
    websocket::Socket,
};
use bytes::Bytes;
use delivery::{Granted, Wish};
use futures_util::{FutureExt, future::BoxFuture};
use meridian_link::{Attached, CloseReason, Events, Session as Link, SessionEvent};
use meridian_types::{Millis, Resource, msync::Meta};
use std::{
    collections::VecDeque,
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

enum Step {
    Closed(Option<CloseReason>),
    Drain,
    Answer(u64, Outcome),
    Granted(Granted),
    Event(Option<SessionEvent>),
    Message(Option<Result<Message, SocketError>>),
    Timer,
}

pub(super) struct Session<S> {
    socket: Box<Socket<S>>,
    link: Arc<dyn Link>,
    events: Events,
    closed: oneshot::Receiver<CloseReason>,
    me: Identity,
    config: Arc<GatewayConfig>,
    drain: Drain,
    keys: Keys,
    queues: Queues,
    answers: Answers,
    rooms: Rooms,
    device: Resource,
    /// What the core will be asked for, in order; one request is under way at a time.
    wishes: VecDeque<Wish>,
    under_way: Option<BoxFuture<'static, Granted>>,
    /// The core's list of what is owed has been taken in; before that, events cannot be judged and wait.
    synced: bool,
    /// The client has asked for its list.
    has_asked: bool,
    /// When to send what the client does not ask for.
    push_at: Option<Instant>,
    /// When to list or wake again after a failure.
    retry_at: Option<Instant>,
    pulse: Pulse,
    sweep_at: Instant,
    /// Fires at the earliest deadline or before.
    timer: Pin<Box<Sleep>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Session<S> {
    pub(super) fn new(
        socket: Box<Socket<S>>,
        attached: Attached,
        config: Arc<GatewayConfig>,
        drain: Drain,
    ) -> Self {
        let now = Instant::now();
        Self {
            socket,
            link: attached.session,
            events: attached.events,
            closed: attached.closed,
            keys: Keys::new(attached.attached_at),
            push_at: Some(now + config.push_after),
            me: Identity { app: attached.app, user: attached.user, attached_at: attached.attached_at },
            config,
            drain,
            queues: Queues::default(),
            answers: Answers::default(),
            rooms: Rooms::default(),
            device: attached.resource,
            wishes: VecDeque::new(),
            under_way: None,
            synced: false,
            has_asked: false,
            retry_at: None,
            pulse: Pulse::new(now),
            sweep_at: now,
            timer: Box::pin(sleep_until(now)),
        }
    }

    /// Serves until the connection ends, and closes it.
    pub(super) async fn run(mut self: Box<Self>) -> End {
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
        let slow = matches!(end, End::Idle) || self.pulse.is_slow(Instant::now());
        let Self { socket, link, .. } = *self;
        // Others should see the device leave at once, not when the client has answered the close.
        link.detach(matches!(end, End::LoggedOut));
        drop(link);
        match slow && !matches!(end, End::Draining | End::Gone) {
            true => socket.close_slowly(end.code(), end.text()).await,
            false => socket.close(end.code(), end.text()).await,
        }
        end
    }

    async fn serve(&mut self) -> Result<Infallible, End> {
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
        let room = self.has_room();
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

    /// Whether the client may say more; otherwise its socket is not read.
    fn has_room(&self) -> bool {
        let limit = self.config.max_in_flight;
        self.answers.len() < limit && self.wishes.len() < limit
    }

    fn deadline(&self) -> Instant {
        let pulse = self.pulse.deadline(self.socket.heard_at(), self.config.patience());
        let others = [self.answers.deadline(), self.retry_at, self.push_at];
        others.into_iter().flatten().fold(pulse, Instant::min)
    }

    async fn take(&mut self, step: Step) -> Result<(), End> {
        match step {
            Step::Closed(Some(reason)) => Err(End::Closed(reason)),
            Step::Closed(None) => Err(End::CoreGone),
            Step::Event(None) => Err(self.why_closed().await),
            Step::Drain => Err(End::Draining),
            Step::Answer(client_id, outcome) => self.answer(client_id, outcome).await,
            Step::Granted(granted) => {
                self.under_way = None;
                self.granted(granted).await?;
                self.ask_next().await
            }
            Step::Event(Some(event)) => self.event(event).await,
            Step::Message(message) => {
                if let Some(Ok(Message::Pong(_))) = message {
                    self.pulse.pong(Instant::now(), self.config.patience());
                }
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
            self.answer(client_id, outcome).await?;
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
            Request::Room(request) => {
                let deadline = Instant::now() + self.config.answer_timeout;
                let (link, me) = (self.link.clone(), self.me.clone());
                let asked = async move {
                    let asked = link.room(request.clone()).await;
                    rooms::outcome(&me, request, asked)
                };
                self.answers.ask(client_id, Box::pin(asked), deadline);
            }
            Request::Refuse(outcome) => self.answers.decide(client_id, outcome, Instant::now()),
            Request::Nothing => {}
        }
        Ok(())
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
        while let Some((client_id, outcome)) = self.answers.expired(now) {
            self.answer(client_id, outcome).await?;
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.retry().await?;
        }
        if self.push_at.is_some_and(|at| at <= now) {
            self.push_at = None;
            self.push_unasked().await?;
        }
        let deadline = self.deadline();
        self.timer.as_mut().reset(deadline);
        Ok(())
    }
}

pub(super) fn count_out(command: &'static str) {
    metrics::counter!("gateway_frames_total", "direction" => "out", "command" => command).increment(1);
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
