//! Ends what takes too long.
//!
//! A write that was cut off may still happen: its error is `maybe_done`. An upload that was cut off did not, because a
//! dropped `put` stores nothing.

use crate::{Attempt, Call, Effect, Layer};
use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use meridian_ports::{BlobStream, Error, ErrorKind, Result};
use std::time::Duration;

/// How long a call may take.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TimeoutConfig {
    /// A read, and each wait for the next piece of a blob.
    pub read: Duration,
    pub write: Duration,
    /// A whole upload: it goes at the pace of whoever sends.
    pub upload: Duration,
}

impl Default for TimeoutConfig {
    fn default() -> Self {
        Self {
            read: Duration::from_secs(5),
            write: Duration::from_secs(10),
            upload: Duration::from_secs(3600),
        }
    }
}

/// Gives up on calls after a time. See the module's docs.
#[derive(Debug, Default)]
pub struct Timeout {
    config: TimeoutConfig,
}

impl Timeout {
    #[must_use]
    pub fn new(config: TimeoutConfig) -> Self {
        Self { config }
    }
}

#[async_trait]
impl Layer for Timeout {
    async fn around<'a, T: Send + 'a>(&'a self, call: Call, attempt: Attempt<'a, T>) -> Result<T> {
        let patience = match call.effect {
            Effect::Read => self.config.read,
            Effect::Write => self.config.write,
            Effect::Upload => self.config.upload,
        };
        match tokio::time::timeout(patience, attempt()).await {
            Ok(result) => result,
            Err(_) => {
                let error =
                    Error::new(ErrorKind::Timeout, call.verb, format!("no answer within {patience:?}"));
                Err(if call.effect == Effect::Write { error.maybe_done() } else { error })
            }
        }
    }

    async fn open<'a>(
        &'a self,
        call: Call,
        attempt: Attempt<'a, Option<BlobStream>>,
    ) -> Result<Option<BlobStream>> {
        let content = self.around(call, attempt).await?;
        let patience = self.config.read;
        Ok(content.map(|content| pieces_within(patience, call.verb, content)))
    }
}

/// The time runs only while a reader waits: a slow reader does not end its blob. An error is the stream's last word.
fn pieces_within(patience: Duration, verb: &'static str, content: BlobStream) -> BlobStream {
    let next = move |content: Option<BlobStream>| async move {
        let mut content = content?;
        match tokio::time::timeout(patience, content.next()).await {
            Ok(piece) => piece.map(|piece| (piece, Some(content))),
            Err(_) => {
                let message = format!("no next piece within {patience:?}");
                Some((Err(Error::new(ErrorKind::Timeout, verb, message)), None))
            }
        }
    };
    stream::unfold(Some(content), next).boxed()
}
