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
