//! One connection to one core.

use super::{calls::Calls, outgoing::Outgoing, session::EdgeSession};
use crate::{
    Body, Login, SendError, SessionEvent, Submission,
    peer::{Secret, greet},
    server::{CONNECTION_WINDOW, SESSIONS_PATH, STREAM_WINDOW},
    tasks::Tasks,
    tls::Tls,
    wire::{self, Bad, pb},
};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use pb::{to_core::What as Down, to_edge::What as Up};
use prost::Message;
use std::{
    collections::HashMap,
    fmt, io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval, timeout},
};

const CONNECT_DEADLINE: Duration = Duration::from_secs(2);

/// A connection to a core.
pub(super) struct Connection {
    pub(super) address: String,
    out: mpsc::Sender<pb::ToCore>,
    rest: http2::SendRequest<Body>,
    calls: Calls,
    sessions: Mutex<HashMap<u64, Arc<EdgeSession>>>,
    down: AtomicBool,
    ready: AtomicBool,
    /// Sessions of all edges on the core, by its own word.
    load: AtomicU64,
    _tasks: Tasks,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Why a login has no answer of a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost;

impl Connection {
    /// Connects, and gives what the core says on the stream of sessions.
    pub(super) async fn open(
        address: &str,
        (secret, tls): &(Secret, Tls),
    ) -> io::Result<(Arc<Self>, Incoming)> {
        timeout(CONNECT_DEADLINE, Self::handshake(address, secret, tls)).await?
    }

    async fn handshake(address: &str, secret: &Secret, tls: &Tls) -> io::Result<(Arc<Self>, Incoming)> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut stream = tls.connect(stream).await?;
        greet(&mut stream, secret).await?;
        let tasks = Tasks::default();
        let (mut rest, connection) = http2::Builder::new(tasks.clone())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake::<_, Body>(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to a core ended");
            }
        });
        let (outgoing, out) = Outgoing::new();
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://core{SESSIONS_PATH}"))
            .body(outgoing.map_err(|never| match never {}).boxed_unsync())
            .map_err(io::Error::other)?;
        let response = rest.send_request(request).await.map_err(io::Error::other)?;
        if response.status() != StatusCode::OK {
            return Err(io::Error::other(format!("the core answered {}", response.status())));
        }
        let connection = Arc::new(Self {
            address: address.to_owned(),
            out,
            rest,
            calls: Calls::default(),
            sessions: Mutex::default(),
            down: AtomicBool::new(false),
            ready: AtomicBool::new(false),
            load: AtomicU64::new(0),
            _tasks: tasks,
        });
        Ok((connection, response.into_body()))
    }

    /// Takes what the core says until it says nothing any more; `changed` is called when it becomes ready or stops
    /// being so.
    pub(super) async fn run(
        self: &Arc<Self>,
        mut body: Incoming,
        (ping, silence): (Duration, Duration),
        mut changed: impl FnMut(bool),
    ) -> Result<(), Bad> {
        let mut cutter = wire::Cutter::default();
        let mut heard_at = Instant::now();
        let mut pings = interval(ping);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                frame = body.frame() => {
                    let Some(Ok(frame)) = frame else { return Ok(()) };
                    heard_at = Instant::now();
                    let Ok(data) = frame.into_data() else { continue };
                    cutter.push(data);
                    while let Some(message) = cutter.next()? {
                        let was_ready = self.is_ready();
                        self.message(pb::ToEdge::decode(message).map_err(|_| Bad("a message that cannot be read"))?)?;
                        if was_ready != self.is_ready() {
                            changed(!was_ready);
                        }
                    }
                }
                _ = pings.tick() => {
                    if heard_at.elapsed() > silence {
                        return Err(Bad("silence"));
                    }
                    // Full: the core reads nothing, and will be found silent.
                    let _ = self.out.try_send(wire::to_core(0, 0, Down::Ping(pb::Nothing {})));
                }
            }
        }
    }

    fn message(self: &Arc<Self>, message: pb::ToEdge) -> Result<(), Bad> {
        // A kind of a later release.
        let Some(what) = message.what else { return Ok(()) };
        match what {
            Up::Pong(pong) => {
                self.load.store(pong.sessions, Ordering::Relaxed);
                self.ready.store(pong.ready, Ordering::Relaxed);
            }
            Up::Event(event) => {
                for (session, event) in wire::event(event)? {
                    if let Some(session) = self.session(session) {
                        session.tell(event);
                    }
                }
            }
            Up::RoomNews(news) => {
                let (sessions, news) = wire::room_news(news)?;
                for session in sessions.into_iter().filter_map(|id| self.session(id)) {
                    session.tell(SessionEvent::Room(news.clone()));
                }
            }
            Up::Lagged(lagged) => {
                for session in lagged.sessions.into_iter().filter_map(|id| self.session(id)) {
                    session.lag();
                }
            }
            Up::Closed(reason) => {
                if let Some(session) = self.session(message.session) {
                    session.closed_by(self, wire::reason(&reason));
                }
            }
            answer => self.calls.answer(self, message.call, answer),
        }
        Ok(())
    }

    fn session(&self, id: u64) -> Option<Arc<EdgeSession>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Asks the core to take a session over. The session knows before anything else of the core is heard.
    pub(super) async fn attach(
        self: &Arc<Self>,
        session: &Arc<EdgeSession>,
        login: &Login,
    ) -> Result<Result<pb::Attached, String>, Lost> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).insert(session.id(), session.clone());
        let (reply, answer) = oneshot::channel();
        let call = self.calls.attach(session.clone(), reply);
        let message = wire::to_core(session.id(), call, wire::write_attach(login));
        let sent = self.out.send(message).await.is_ok() && !self.is_down();
        match if sent { answer.await.map_err(|_| Lost) } else { Err(Lost) } {
            Ok(Up::Attached(attached)) => Ok(Ok(attached)),
            Ok(Up::Refused(why)) => {
                self.forget(session.id());
                Ok(Err(why))
            }
            Ok(_) | Err(Lost) => {
                self.leave(session.id(), false);
                Err(Lost)
            }
        }
    }

    /// Sends for a session, behind its earlier sends.
    pub(super) fn send(
        &self,
        session: &Arc<EdgeSession>,
        number: u64,
        submission: &Submission,
    ) -> Result<(), SendError> {
        let Ok(permit) = self.out.try_reserve() else {
            // Down: it waits for another core.
            return if self.out.is_closed() { Ok(()) } else { Err(SendError::Busy) };
        };
        let call = self.calls.send(session.clone(), number);
        permit.send(wire::to_core(session.id(), call, wire::write_send(submission)));
        Ok(())
    }

    /// Asks for something that can be asked for again.
    pub(super) async fn ask(&self, session: u64, what: Down) -> Result<Up, Lost> {
        let (reply, answer) = oneshot::channel();
        let call = self.calls.ask(reply);
        self.out.send(wire::to_core(session, call, what)).await.map_err(|_| Lost)?;
        if self.is_down() {
            return Err(Lost);
        }
        answer.await.map_err(|_| Lost)
    }

    /// Without an answer, and lost without harm.
    pub(super) fn acknowledge(&self, session: u64, place: pb::Place) {
        let _ = self.out.try_send(wire::to_core(session, 0, Down::Acknowledge(place)));
    }

    /// Takes a session off this core.
    pub(super) fn leave(self: &Arc<Self>, session: u64, logged_out: bool) {
        self.forget(session);
        let message = wire::to_core(session, 0, Down::Detach(pb::Detach { logged_out }));
        if let Err(mpsc::error::TrySendError::Full(message)) = self.out.try_send(message) {
            // It must not be lost, or the device would stay connected in the core's books.
            let out = self.out.clone();
            self._tasks.spawn(async move {
                let _ = out.send(message).await;
            });
        }
    }

    fn forget(&self, session: u64) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.remove(&session);
        if sessions.capacity() > 4 * sessions.len() + 64 {
            sessions.shrink_to_fit();
        }
    }

    pub(super) fn rest(&self) -> http2::SendRequest<Body> {
        self.rest.clone()
    }

    /// Marks the connection as gone; gives the sessions that it had. Calls without an answer learn it.
    pub(super) fn take_down(&self) -> Vec<Arc<EdgeSession>> {
        self.down.store(true, Ordering::SeqCst);
        self.ready.store(false, Ordering::Relaxed);
        self.calls.drop_all();
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *sessions).into_values().collect()
    }

    pub(super) fn all_sessions(&self) -> Vec<Arc<EdgeSession>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(super) fn is_down(&self) -> bool {
        self.down.load(Ordering::SeqCst)
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed) && !self.is_down()
    }

    /// What a choice between two cores compares: the core's own count, and what has come since.
    pub(super) fn load(&self) -> u64 {
        self.load.load(Ordering::Relaxed) + self.calls.count() as u64
    }
}
