//! The sessions of one edge. The end of the stream detaches them all.

use super::{Seated, Sessions, outgoing::Out};
use crate::{
    Attached, CoreHandle, Events, LinkError, Login, Refusal, SendError, Session,
    wire::{self, Bad, pb},
};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use pb::{to_core::What as Down, to_edge::What as Up};
use prost::Message;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::{AbortHandle, JoinSet},
    time::timeout,
};

/// Sessions of one edge.
const SESSIONS: usize = 200_000;
/// Commands of one edge that are under way; the next is not read before one is done.
const AT_ONCE: usize = 16_384;
/// How long the reason for a close may come after the end of the events.
const CLOSE_REASON: Duration = Duration::from_secs(1);

struct Stream {
    core: CoreHandle,
    count: Sessions,
    out: mpsc::Sender<Out>,
    sessions: HashMap<u64, Seat>,
    tasks: JoinSet<Done>,
    room: Arc<Semaphore>,
}

enum Seat {
    Attaching,
    /// The edge has left already.
    Leaving,
    Attached {
        session: Arc<dyn Session>,
        events: AbortHandle,
        _seated: Seated,
    },
}

enum Done {
    Nothing,
    Attached { id: u64, call: u64, attached: Box<Result<Attached, Refusal>> },
}

/// Serves an edge until its stream ends.
pub(super) async fn serve(body: Incoming, core: CoreHandle, count: Sessions, out: mpsc::Sender<Out>) {
    let mut stream = Stream {
        core,
        count,
        out,
        sessions: HashMap::new(),
        tasks: JoinSet::new(),
        room: Arc::new(Semaphore::new(AT_ONCE)),
    };
    match stream.read(body).await {
        Ok(()) => tracing::debug!("an edge's stream ended"),
        Err(bad) => {
            metrics::counter!("link_bad_messages_total").increment(1);
            tracing::warn!(%bad, "an edge broke the rules of the link");
        }
    }
}

impl Stream {
    async fn read(&mut self, mut body: Incoming) -> Result<(), Bad> {
        let mut cutter = wire::Cutter::default();
        loop {
            tokio::select! {
                Some(done) = self.tasks.join_next() => self.done(done.ok()).await,
                frame = body.frame() => {
                    let Some(Ok(frame)) = frame else { return Ok(()) };
                    let Ok(data) = frame.into_data() else { continue };
                    cutter.push(data);
                    while let Some(message) = cutter.next()? {
                        self.message(message).await?;
                    }
                }
                () = self.out.closed() => return Ok(()),
            }
        }
    }

    async fn message(&mut self, message: Bytes) -> Result<(), Bad> {
        let message = pb::ToCore::decode(message).map_err(|_| Bad("a message that cannot be read"))?;
        let (id, call) = (message.session, message.call);
        // A kind of a later release.
        let Some(what) = message.what else { return Ok(()) };
        match what {
            Down::Ping(_) => {
                let pong = pb::Pong { ready: self.core.is_ready(), sessions: self.count.count() };
                self.tell(wire::to_edge(0, call, Up::Pong(pong))).await;
            }
            Down::Attach(attach) => self.attach(id, call, wire::attach(attach)?).await?,
            Down::Detach(detach) => self.detach(id, detach.logged_out),
            Down::Send(send) => match self.session(id) {
                // At once: the order of messages is the order of the sends.
                Some(session) => {
                    let sent = session.send(wire::submission(send));
                    self.spawn(call, async move {
                        match sent.await {
                            Ok(Ok(sent)) => Up::Sent(pb::Sent {
                                message_id: sent.message_id.0,
                                at: sent.at.0,
                                notice: sent.notice,
                            }),
                            Ok(Err(error)) => Up::Refused(wire::write_reason(&error)),
                            Err(_) => Up::Refused(wire::write_reason(&SendError::Unavailable)),
                        }
                    })
                    .await;
                }
                None => self.refuse(call, &SendError::Unavailable).await,
            },
            Down::Unread(_) => match self.session(id) {
                Some(session) => {
                    self.spawn(call, async move {
                        match session.unread().await {
                            Ok(list) => Up::Unread(pb::Unread {
                                owed: list
                                    .iter()
                                    .map(|unread| pb::Owed {
                                        place: Some(wire::place(&unread.conversation, unread.position)),
                                        count: unread.count,
                                    })
                                    .collect(),
                            }),
                            Err(error) => Up::Refused(wire::write_reason(&error)),
                        }
                    })
                    .await;
                }
                None => self.refuse(call, &LinkError::Unavailable).await,
            },
            Down::Pull(pull) => match self.session(id) {
                Some(session) => {
                    let request = wire::pull(&pull)?;
                    self.spawn(call, async move {
                        let conversation = request.conversation.clone();
                        match session.pull(request).await {
                            Ok(batch) => Up::Batch(pb::Batch {
                                entries: batch.entries.iter().map(|entry| wire::entry(entry)).collect(),
                                position: Some(wire::place(&conversation, batch.position)),
                                more: batch.more,
                            }),
                            Err(error) => Up::Refused(wire::write_reason(&error)),
                        }
                    })
                    .await;
                }
                None => self.refuse(call, &LinkError::Unavailable).await,
            },
            Down::Room(ask) => {
                let request = wire::room_request(ask)?;
                match self.session(id) {
                    Some(session) => {
                        self.spawn(
                            call,
                            async move { wire::write_room_answer(&session.room(request).await) },
                        )
                        .await;
                    }
                    None => self.refuse(call, &LinkError::Unavailable).await,
                }
            }
            Down::Acknowledge(place) => {
                let (conversation, position) = wire::read_place(Some(&place))?;
                if let Some(session) = self.session(id) {
                    session.acknowledge(&conversation, position);
                }
            }
        }
        Ok(())
    }

    async fn attach(&mut self, id: u64, call: u64, login: Login) -> Result<(), Bad> {
        if self.sessions.contains_key(&id) {
            return Err(Bad("a session that is attached already"));
        }
        if self.sessions.len() >= SESSIONS {
            self.refuse(call, &Refusal::Busy).await;
            return Ok(());
        }
        self.sessions.insert(id, Seat::Attaching);
        let (core, permit) = (self.core.clone(), self.permit().await);
        self.tasks.spawn(async move {
            let attached = Box::new(core.attach(login).await);
            drop(permit);
            Done::Attached { id, call, attached }
        });
        Ok(())
    }

    async fn done(&mut self, done: Option<Done>) {
        let Some(Done::Attached { id, call, attached }) = done else { return };
        let leaving = matches!(self.sessions.remove(&id), Some(Seat::Leaving) | None);
        match *attached {
            // Dropped, and so detached.
            Ok(_) if leaving => {}
            Err(refusal) => self.refuse(call, &refusal).await,
            Ok(attached) => {
                let resume = crate::Resume {
                    token_epoch: attached.token_epoch,
                    attached_at: attached.attached_at,
                    token_expires_at: attached.token_expires_at,
                };
                let told = pb::Attached {
                    app: attached.app.to_string(),
                    user: attached.user.to_string(),
                    resource: attached.resource.to_string(),
                    resume: Some(wire::write_resume(&resume)),
                };
                self.tell(wire::to_edge(id, call, Up::Attached(told))).await;
                let out = self.out.clone();
                let events = self.tasks.spawn(pass_on(id, attached.events, attached.closed, out));
                let seat = Seat::Attached { session: attached.session, events, _seated: self.count.one() };
                self.sessions.insert(id, seat);
            }
        }
    }

    fn detach(&mut self, id: u64, logged_out: bool) {
        match self.sessions.remove(&id) {
            Some(Seat::Attached { session, events, .. }) => {
                events.abort();
                session.detach(logged_out);
            }
            Some(Seat::Attaching | Seat::Leaving) => {
                self.sessions.insert(id, Seat::Leaving);
            }
            None => {}
        }
    }

    fn session(&self, id: u64) -> Option<Arc<dyn Session>> {
        match self.sessions.get(&id) {
            Some(Seat::Attached { session, .. }) => Some(session.clone()),
            _ => None,
        }
    }

    /// Answers a call when its work is done.
    async fn spawn(&mut self, call: u64, work: impl Future<Output = Up> + Send + 'static) {
        let (out, permit) = (self.out.clone(), self.permit().await);
        self.tasks.spawn(async move {
            let answer = work.await;
            let _ = out.send(Out::Message(wire::to_edge(0, call, answer))).await;
            drop(permit);
            Done::Nothing
        });
    }

    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        self.room.clone().acquire_owned().await.ok()
    }

    async fn refuse(&self, call: u64, why: &impl serde::Serialize) {
        self.tell(wire::to_edge(0, call, Up::Refused(wire::write_reason(why)))).await;
    }

    async fn tell(&self, message: pb::ToEdge) {
        // Fails when the edge is gone, which the reading end sees as well.
        let _ = self.out.send(Out::Message(message)).await;
    }
}

/// Passes a session's events on; waiting here makes the session lag, and no other.
async fn pass_on(
    id: u64,
    mut events: Events,
    mut closed: tokio::sync::oneshot::Receiver<crate::CloseReason>,
    out: mpsc::Sender<Out>,
) -> Done {
    let reason = loop {
        tokio::select! {
            reason = &mut closed => break reason.ok(),
            event = events.recv() => match event {
                Some(event) => {
                    if out.send(Out::Event(id, event)).await.is_err() {
                        return Done::Nothing;
                    }
                }
                None => break timeout(CLOSE_REASON, &mut closed).await.ok().and_then(Result::ok),
            },
        }
    };
    let reason = reason.map(|reason| wire::write_reason(&reason)).unwrap_or_default();
    let _ = out.send(Out::Message(wire::to_edge(id, 0, Up::Closed(reason)))).await;
    Done::Nothing
}
