//! A receiver: acknowledges everything as the SDK does, and notes what came, in the order in which it came.

use crate::{
    check::Numbered,
    client::Connection,
    errors::Errors,
    histogram::Histogram,
    report::Span,
    sender::PATIENCE,
    uplink::read_stamp,
    wire::{CHAT, Delivery, Frame, Item},
};
use bytes::Bytes;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};

#[derive(Debug)]
pub(crate) struct Receiver {
    connection: Connection,
    sender: String,
    span: Span,
    received: Received,
}

/// What a receiver has to tell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received {
    pub(crate) delivered: Vec<Numbered>,
    /// Delivered within the measured time.
    pub(crate) measured: u64,
    pub(crate) latency: Histogram,
    pub(crate) errors: Errors,
}

impl Receiver {
    pub(crate) fn new(connection: Connection, sender: String, span: Span) -> Self {
        Self { connection, sender, span, received: Received::default() }
    }

    /// Receives until the message whose number `last` tells has come, or too long after it was told.
    pub(crate) async fn run(mut self, last: oneshot::Receiver<u64>) -> Received {
        if let Err(error) = self.receive(last).await {
            self.received.errors.add(&format!("receiver: {error:#}"), 1);
        }
        self.received
    }

    async fn receive(&mut self, mut last: oneshot::Receiver<u64>) -> anyhow::Result<()> {
        let (mut wanted, mut deadline) = (None, None);
        while wanted.is_none_or(|wanted| self.highest() < wanted) {
            tokio::select! {
                told = &mut last, if wanted.is_none() => {
                    // A sender that is gone has nothing more to be waited for.
                    wanted = Some(told.unwrap_or(0));
                    deadline = Some(Instant::now() + PATIENCE);
                }
                Some(()) = async { sleep_until(deadline?).await; Some(()) } => return Ok(()),
                frame = self.connection.next() => self.take_ready(frame?).await?,
            }
        }
        Ok(())
    }

    fn highest(&self) -> u64 {
        self.received.delivered.last().map_or(0, |item| item.number)
    }

    async fn take_ready(&mut self, first: Bytes) -> anyhow::Result<()> {
        let mut next = Some(Ok(first));
        let now = Instant::now();
        while let Some(bytes) = next {
            let bytes = bytes?;
            let frame = Frame::read(&bytes)?;
            if let Frame::Delivery(delivery) = &frame {
                self.note(delivery, now)?;
            }
            self.connection.follow_up(&frame).await?;
            next = self.connection.ready();
        }
        self.connection.flush().await
    }

    fn note(&mut self, delivery: &Delivery<'_>, now: Instant) -> anyhow::Result<()> {
        let mut strange = None;
        delivery.each(|item| strange = self.item(item, now).or(strange.take()))?;
        match strange {
            None => Ok(()),
            Some(strange) => anyhow::bail!("an item that was not expected: {strange}"),
        }
    }

    /// Notes an item; gives what it is when it is none that this pair's sender sends.
    fn item(&mut self, item: Item<'_>, now: Instant) -> Option<String> {
        let stamp = read_stamp(item.text).filter(|_| item.namespace == CHAT && item.from == self.sender);
        let Some((number, due)) = stamp else {
            return Some(format!("namespace {} from {:?}", item.namespace, item.from));
        };
        let due = self.span.origin + due;
        self.received.delivered.push(Numbered { number, server_id: item.id });
        if self.span.measures(now) {
            self.received.measured += 1;
        }
        if self.span.measures(due) {
            self.received.latency.record(now.saturating_duration_since(due));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        scripted::{Scripted, connected},
        uplink::STAMP_LENGTH,
    };
    use std::time::Duration;

    async fn receiver() -> (Receiver, Scripted) {
        let (connection, server) = connected(None).await.unwrap();
        let span = Span::starting_now(Duration::ZERO, Duration::from_secs(60));
        (Receiver::new(connection, "alice".into(), span), server)
    }

    fn text(number: u64) -> String {
        let text = format!("{number:010} {:012} ", 0);
        assert_eq!(text.len(), STAMP_LENGTH);
        text
    }

    #[tokio::test]
    async fn everything_is_acknowledged_and_noted_as_it_came() {
        let (receiver, mut server) = receiver().await;
        let (tell_last, last) = oneshot::channel();
        let script = async {
            for (server_id, number, key) in [(20, 2, 7), (10, 1, 8), (10, 1, 9)] {
                assert_eq!(server.deliver(server_id, &text(number), key).await, Some(key));
            }
            tell_last.send(3).unwrap();
            assert_eq!(server.deliver(30, &text(3), 10).await, Some(10));
        };
        let (received, ()) = tokio::join!(receiver.run(last), script);
        let noted: Vec<_> = received.delivered.iter().map(|item| (item.number, item.server_id)).collect();
        assert_eq!(noted, [(2, 20), (1, 10), (1, 10), (3, 30)]);
        assert_eq!((received.measured, received.errors.total()), (4, 0));
    }

    #[tokio::test]
    async fn an_item_of_nobody_is_a_fault() {
        let (receiver, mut server) = receiver().await;
        let (_tell_last, last) = oneshot::channel();
        let script = async { server.deliver(20, "hello", 7).await };
        let (received, _) = tokio::join!(receiver.run(last), script);
        assert!(received.errors.to_string().contains("not expected"), "{}", received.errors);
    }
}
