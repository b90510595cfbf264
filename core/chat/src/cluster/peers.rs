//! The way to another core; `core/server` builds it.

use async_trait::async_trait;
use bytes::Bytes;
use std::fmt::Debug;

/// Other cores of the region.
#[async_trait]
pub trait Peers: Debug + Send + Sync + 'static {
    /// Asks the core at an address and gives its answer, which is what its [`Chat::serve_peer`] gave. Bounded: gives up
    /// after ten seconds.
    ///
    /// [`Chat::serve_peer`]: crate::Chat::serve_peer
    async fn call(&self, address: &str, request: Bytes) -> Result<Bytes, PeerError>;
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The request did not leave.
    #[error("the core cannot be reached")]
    NotSent,
    /// The request may have been served.
    #[error("the core did not answer")]
    Lost,
}
