//! A sender: keeps account of what is on the way, what was acknowledged, and how long it took.

use crate::{
    check::Numbered,
    client::Connection,
    errors::Errors,
    histogram::Histogram,
    report::Span,
    uplink::Texts,
    wire::{Frame, Refusal},
};
use bytes::Bytes;
use std::{collections::VecDeque, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

/// How long after the end of the sending answers are waited for; a real client gives up after 15 seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub(crate) struct Sender {
    connection: Connection,
    texts: Texts,
    span: Span,
    /// Sent and not answered: the number, and since when its latency counts.
    in_flight: VecDeque<(u64, Instant)>,
    sent: Sent,
}

/// What a sender has to tell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) acknowledged: Vec<Numbered>,
    /// Acknowledged within the measured time.
    pub(crate) measured: u64,
    pub(crate) latency: Histogram,
    /// How late the tool itself was.
    pub(crate) lateness: Histogram,
    pub(crate) refused: Errors,
    /// Sends without an answer, and why.
    pub(crate) unanswered: Errors,
}

/// The answer to one message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) number: u64,
    pub(crate) client_id: u64,
    pub(crate) outcome: Result<u64, Refusal>,
}

impl Sender {
    pub(crate) fn new(connection: Connection, texts: Texts, span: Span) -> Self {
        Self { connection, texts, span, in_flight: VecDeque::new(), sent: Sent::default() }
    }

    /// Closed loop: keeps `window` messages on the way until the time is over.
    pub(crate) async fn closed_loop(mut self, window: usize) -> Sent {
        let until = self.span.until;
        let work = async {
            loop {
                while self.in_flight.len() < window && Instant::now() < until {
                    self.send(Instant::now()).await?;
                }
                if self.in_flight.is_empty() {
                    return Ok(());
                }
                self.connection.flush().await?;
                let frame = self.connection.next().await?;
                self.take_ready(frame, |_| Ok(())).await?;
            }
        };
        let ended = timeout_at(until + PATIENCE, work).await;
        self.end(ended)
    }

    /// Open loop: sends when told, whatever is still on the way. A latency counts from the time that a message was
    /// due, so that a slow server cannot hide behind a tool that waits for it.
    pub(crate) async fn open_loop(mut self, mut due: mpsc::Receiver<Instant>) -> Sent {
        let deadline = self.span.until + PATIENCE;
        let work = async {
            let mut more = true;
            while more || !self.in_flight.is_empty() {
                tokio::select! {
                    at = due.recv(), if more => match at {
                        Some(at) => self.send_all_due(at, &mut due).await?,
                        None => more = false,
                    },
                    frame = self.connection.next() => self.take_ready(frame?, |_| Ok(())).await?,
                }
                self.connection.flush().await?;
            }
            Ok(())
        };
        let ended = timeout_at(deadline, work).await;
        self.end(ended)
    }

    /// Closed loop without an end: until `until`, or until the connection breaks. Gives each answer to `note`, and
    /// waits a little after a refusal, so that a server that is full is not beaten.
    pub(crate) async fn until_gone(
        mut self,
        window: usize,
        mut note: impl FnMut(Answer) -> anyhow::Result<()>,
    ) -> Sent {
        const BREATH: Duration = Duration::from_millis(50);
        let until = self.span.until;
        let work = async {
            let mut refused = 0;
            loop {
                if self.sent.refused.total() > refused {
                    refused = self.sent.refused.total();
                    tokio::time::sleep(BREATH).await;
                }
                while self.in_flight.len() < window && Instant::now() < until {
                    self.send(Instant::now()).await?;
                }
                if self.in_flight.is_empty() {
                    return Ok(());
                }
                self.connection.flush().await?;
                let frame = self.connection.next().await?;
                self.take_ready(frame, &mut note).await?;
            }
        };
        let ended = timeout_at(until + PATIENCE, work).await;
        self.end(ended)
    }

    async fn send_all_due(
        &mut self,
        first: Instant,
        due: &mut mpsc::Receiver<Instant>,
    ) -> anyhow::Result<()> {
        let mut next = Some(first);
        while let Some(at) = next {
            self.send(at).await?;
            next = due.try_recv().ok();
        }
        Ok(())
    }

    async fn send(&mut self, due: Instant) -> anyhow::Result<()> {
        let (number, frame) = self.texts.next(due.saturating_duration_since(self.span.origin));
        self.in_flight.push_back((number, due));
        if self.span.measures(due) {
            self.sent.lateness.record(due.elapsed());
        }
        self.connection.feed(frame).await
    }

    /// Takes a frame and all that have arrived behind it.
    async fn take_ready(
        &mut self,
        first: Bytes,
        mut note: impl FnMut(Answer) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut next = Some(Ok(first));
        let now = Instant::now();
        while let Some(bytes) = next {
            let bytes = bytes?;
            match Frame::read(&bytes)? {
                Frame::Answer { client_id, server_id, refusal } => {
                    if let Some(answer) = self.answered(client_id, server_id, refusal, now)? {
                        note(answer)?;
                    }
                }
                frame => self.connection.follow_up(&frame).await?,
            }
            next = self.connection.ready();
        }
        Ok(())
    }

    fn answered(
        &mut self,
        client_id: u64,
        server_id: u64,
        refusal: Option<Refusal>,
        now: Instant,
    ) -> anyhow::Result<Option<Answer>> {
        let number = self.texts.number(client_id);
        let place = self.in_flight.iter().position(|(sent, _)| Some(*sent) == number);
        let Some((number, since)) = place.and_then(|place| self.in_flight.remove(place)) else {
            anyhow::bail!("an answer to a message that was not sent, or was answered before");
        };
        let outcome = match refusal {
            None => {
                self.sent.acknowledged.push(Numbered { number, server_id });
                if self.span.measures(now) {
                    self.sent.measured += 1;
                }
                if self.span.measures(since) {
                    self.sent.latency.record(now.duration_since(since));
                }
                Ok(server_id)
            }
            Some(refusal) => {
                self.sent.refused.add(&refusal.reason, 1);
                Err(refusal)
            }
        };
        Ok(Some(Answer { number, client_id, outcome }))
    }

    fn end(mut self, ended: Result<anyhow::Result<()>, tokio::time::error::Elapsed>) -> Sent {
        let reason = match ended {
            Ok(Ok(())) => return self.sent,
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => "no answer in time".to_owned(),
        };
        // An ended connection counts even when nothing was on the way.
        self.sent.unanswered.add(&reason, self.in_flight.len().max(1) as u64);
        self.sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{Scripted, connected};

    async fn sender(milliseconds: u64) -> (Sender, Scripted) {
        let (connection, server) = connected(None).await.unwrap();
        let texts = Texts::new("o#a", "alice", "bob", 100);
        let span = Span::starting_now(Duration::ZERO, Duration::from_millis(milliseconds));
        (Sender::new(connection, texts, span), server)
    }

    async fn next_id(server: &mut Scripted) -> u64 {
        server.next_sync().await.unwrap().meta.unwrap().id()
    }

    #[tokio::test]
    async fn a_refused_login_tells_why() {
        let error = connected(Some("Sorry, token expired")).await.map(drop).unwrap_err();
        assert!(format!("{error:#}").contains("Sorry, token expired"), "{error:#}");
    }

    #[tokio::test]
    async fn the_window_is_kept_and_answers_are_accounted_for() {
        let (sender, mut server) = sender(60_000).await;
        let script = async {
            let ids = [next_id(&mut server).await, next_id(&mut server).await];
            server.answer(ids[1], Ok(20)).await;
            server.answer(ids[0], Err("server busy")).await;
            // Two places are free again, and no more.
            assert_eq!([next_id(&mut server).await, next_id(&mut server).await], [ids[0] + 2, ids[0] + 3]);
            drop(server);
        };
        let (sent, ()) = tokio::join!(sender.closed_loop(2), script);
        assert_eq!(sent.acknowledged, [Numbered { number: 2, server_id: 20 }]);
        assert_eq!(sent.measured, 1);
        assert_eq!(sent.refused.to_string(), "1 × server busy");
        assert_eq!(sent.unanswered.to_string(), "2 × connection lost");
    }

    #[tokio::test]
    async fn an_answer_that_comes_twice_is_a_fault() {
        let (sender, mut server) = sender(60_000).await;
        let script = async {
            let id = next_id(&mut server).await;
            server.answer(id, Ok(20)).await;
            server.answer(id, Ok(20)).await;
        };
        let (sent, ()) = tokio::join!(sender.closed_loop(1), script);
        assert!(sent.unanswered.to_string().contains("answered before"), "{}", sent.unanswered);
    }

    #[tokio::test]
    async fn an_open_loop_counts_from_when_a_message_was_due() {
        let (mut sender, mut server) = sender(60_000).await;
        // A run that has been going for a while, and a message that should have been sent in the middle of it.
        let late = Duration::from_secs(1);
        let due_at = sender.span.origin;
        sender.span.origin = due_at - 2 * late;
        sender.span.from = sender.span.origin;
        let (due, dues) = mpsc::channel(4);
        due.try_send(due_at - late).unwrap();
        drop(due);
        let script = async {
            let id = next_id(&mut server).await;
            server.answer(id, Ok(20)).await;
        };
        let (sent, ()) = tokio::join!(sender.open_loop(dues), script);
        assert_eq!((sent.unanswered.total(), sent.acknowledged.len()), (0, 1));
        assert!(sent.latency.max() >= late && sent.lateness.max() >= late);
    }
}
