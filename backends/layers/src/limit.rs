//! So many calls at once, so many waiting, and not for long. A backend that is slow gets no more work than it can
//! take, and its callers learn of it in bounded time.
//!
//! The place of a blob that is read is kept until its stream is dropped: it may hold a connection of the backend.

use crate::{Attempt, Call, Layer};
use async_trait::async_trait;
use futures_util::StreamExt;
use meridian_ports::{BlobStream, Error, ErrorKind, Result};
use std::{sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bounds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LimitConfig {
    /// Calls at once.
    pub calls: usize,
    /// Calls that may wait for a place; one more is `Busy` at once.
    pub waiting: usize,
    /// The longest wait for a place; then `Busy`.
    pub wait: Duration,
}

impl Default for LimitConfig {
    fn default() -> Self {
        Self { calls: 256, waiting: 4096, wait: Duration::from_secs(2) }
    }
}

/// Bounds the calls at once. See the module's docs.
#[derive(Debug)]
pub struct Limit {
    config: LimitConfig,
    places: Arc<Semaphore>,
    waiting: Semaphore,
}

impl Limit {
    #[must_use]
    pub fn new(config: LimitConfig) -> Self {
        let bounded = |permits: usize| permits.min(Semaphore::MAX_PERMITS);
        let (places, waiting) = (bounded(config.calls), bounded(config.waiting));
        Self { config, places: Arc::new(Semaphore::new(places)), waiting: Semaphore::new(waiting) }
    }

    async fn place(&self, call: Call) -> Result<OwnedSemaphorePermit> {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Ok(place);
        }
        let busy = |message: String| Error::new(ErrorKind::Busy, call.verb, message);
        let Ok(_waiting) = self.waiting.try_acquire() else {
            return Err(busy(format!("{} calls wait already", self.config.waiting)));
        };
        match tokio::time::timeout(self.config.wait, self.places.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            // The second cannot be: nobody closes the semaphore.
            Err(_) | Ok(Err(_)) => Err(busy(format!(
                "{} calls at once, and none ended within {:?}",
                self.config.calls, self.config.wait
            ))),
        }
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self::new(LimitConfig::default())
    }
}

#[async_trait]
impl Layer for Limit {
    async fn around<'a, T: Send + 'a>(&'a self, call: Call, attempt: Attempt<'a, T>) -> Result<T> {
        let _place = self.place(call).await?;
        attempt().await
    }

    async fn open<'a>(
        &'a self,
        call: Call,
        attempt: Attempt<'a, Option<BlobStream>>,
    ) -> Result<Option<BlobStream>> {
        let place = self.place(call).await?;
        let content = attempt().await?;
        Ok(content.map(|content| {
            content
                .map(move |piece| {
                    let _held = &place;
                    piece
                })
                .boxed()
        }))
    }
}
