//! Sends that wait for their answer: first in, first out, each with its own deadline.

use super::send::Outcome;
use futures_util::future::BoxFuture;
use meridian_link::{PendingSend, SendError};
use std::{collections::VecDeque, future::poll_fn, pin::Pin, task::Poll};
use tokio::time::Instant;

#[derive(Default)]
pub(super) struct Answers(VecDeque<Pending>);

struct Pending {
    client_id: u64,
    deadline: Instant,
    state: State,
}

enum State {
    Waiting(PendingSend),
    Asked(BoxFuture<'static, Outcome>),
    Decided(Outcome),
}

impl Answers {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn wait(&mut self, client_id: u64, pending: PendingSend, deadline: Instant) {
        self.0.push_back(Pending { client_id, deadline, state: State::Waiting(pending) });
    }

    /// Something other than a send, which takes its time.
    pub(super) fn ask(&mut self, client_id: u64, asked: BoxFuture<'static, Outcome>, deadline: Instant) {
        self.0.push_back(Pending { client_id, deadline, state: State::Asked(asked) });
    }

    /// An answer that is known already, in its place behind the earlier ones.
    pub(super) fn decide(&mut self, client_id: u64, outcome: Outcome, now: Instant) {
        self.0.push_back(Pending { client_id, deadline: now, state: State::Decided(outcome) });
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.front().map(|pending| pending.deadline)
    }

    /// The oldest answer, once it is there: the client's id and what became of the send. Waits for ever when there is
    /// none. Cancel-safe.
    pub(super) async fn next(&mut self) -> (u64, Outcome) {
        let (client_id, outcome) = poll_fn(|cx| {
            let Some(front) = self.0.front_mut() else { return Poll::Pending };
            let outcome = match &mut front.state {
                State::Decided(outcome) => outcome.clone(),
                State::Waiting(pending) => match Pin::new(pending).poll(cx) {
                    Poll::Ready(Ok(result)) => Outcome::from(result),
                    // The core went away; the client may send again, with the same id.
                    Poll::Ready(Err(_)) => Outcome::from(Err(SendError::Busy)),
                    Poll::Pending => return Poll::Pending,
                },
                State::Asked(asked) => std::task::ready!(asked.as_mut().poll(cx)),
            };
            Poll::Ready((front.client_id, outcome))
        })
        .await;
        self.drop_front();
        (client_id, outcome)
    }

    /// The oldest send whose time is over. Later ones have later deadlines.
    pub(super) fn expired(&mut self, now: Instant) -> Option<(u64, Outcome)> {
        let front = self.0.front().filter(|pending| pending.deadline <= now)?;
        let client_id = front.client_id;
        let outcome = match &front.state {
            State::Decided(outcome) => outcome.clone(),
            State::Waiting(_) | State::Asked(_) => Outcome::from(Err(SendError::Busy)),
        };
        self.drop_front();
        Some((client_id, outcome))
    }

    fn drop_front(&mut self) {
        self.0.pop_front();
        if self.0.is_empty() && self.0.capacity() > 8 {
            self.0 = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use meridian_link::Sent;
    use meridian_types::{MessageId, Millis};
    use std::time::Duration;
    use tokio::sync::oneshot;

    fn sent(id: u64) -> Result<Sent, SendError> {
        Ok(Sent { message_id: MessageId(id), at: Millis(1), notice: None })
    }

    #[tokio::test]
    async fn answers_keep_the_order_of_the_sends() {
        let (mut answers, now) = (Answers::default(), Instant::now());
        let (first, receiver) = oneshot::channel();
        answers.wait(1, receiver, now + Duration::from_secs(1));
        let refused = Outcome::from(Err(SendError::GroupNotFound));
        answers.decide(2, refused.clone(), now);
        assert_eq!(answers.next().now_or_never(), None);
        first.send(sent(9)).unwrap();
        assert_eq!(answers.next().await, (1, Outcome::from(sent(9))));
        assert_eq!(answers.next().await, (2, refused));
        assert_eq!(answers.next().now_or_never(), None);
    }

    #[tokio::test]
    async fn a_core_that_is_gone_or_slow_is_busy() {
        let (mut answers, now) = (Answers::default(), Instant::now());
        let busy = Outcome::from(Err(SendError::Busy));
        let (dropped, receiver) = oneshot::channel();
        answers.wait(1, receiver, now);
        drop(dropped);
        assert_eq!(answers.next().await, (1, busy.clone()));

        let (_slow, receiver) = oneshot::channel();
        answers.wait(2, receiver, now + Duration::from_secs(14));
        assert_eq!(answers.expired(now), None);
        assert_eq!(answers.expired(now + Duration::from_secs(14)), Some((2, busy)));
        assert_eq!(answers.len(), 0);
    }
}
