//! The bus: hints between cores.

use crate::Result;
use async_trait::async_trait;
use bytes::Bytes;
use std::fmt::Debug;

/// Publishing to whoever listens now. A hint may be dropped, and nobody may rely on it alone; it never waits for a
/// listener.
///
/// Topics are 1..=512 bytes of UTF-8, payloads at most 1 MiB; anything else is `Invalid`.
#[async_trait]
pub trait Bus: Debug + Send + Sync + 'static {
    /// The backend's name and version, for the boot table.
    fn describe(&self) -> String;

    /// Hands a payload over for every subscription of the topic, of this process too. Payloads that one task publishes
    /// to one topic arrive in that order. Gives when the hint is on its way or surely dropped; `Busy` when too much
    /// waits, `Unavailable` when the bus is away.
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<()>;

    /// Listens to a topic. When this returns, everything published from then on comes, as long as nothing is lost.
    /// Fails with `Unavailable` only when the bus is away; a subscription that was made survives that.
    async fn subscribe(&self, topic: &str) -> Result<Box<dyn Subscription>>;
}

/// An open subscription. Dropping it ends it.
#[async_trait]
pub trait Subscription: Debug + Send + 'static {
    /// The next thing. Waits as long as it takes, and never ends by itself: while the bus is away the subscription
    /// is restored again and again. Cancel-safe.
    async fn next(&mut self) -> Heard;
}

/// What a subscription hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Payload(Bytes),
    /// Something may have been lost since the last payload (the listener was slow, or the bus was away and is back).
    /// Comes once per loss, and never later than the next payload after it.
    Gap,
}
