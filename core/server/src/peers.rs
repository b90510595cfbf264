//! The chat logic's way to other cores, over the link.

use async_trait::async_trait;
use bytes::Bytes;
use meridian_chat::{Chat, PeerError, Peers};
use meridian_link::peer::{CallError, PeerClient, PeerHandler};

/// Calls other cores.
#[derive(Debug)]
pub struct ChatPeers(pub PeerClient);

#[async_trait]
impl Peers for ChatPeers {
    async fn call(&self, address: &str, request: Bytes) -> Result<Bytes, PeerError> {
        self.0.call(address, request).await.map_err(|error| match error {
            CallError::NotSent => PeerError::NotSent,
            CallError::Lost => PeerError::Lost,
        })
    }
}

/// Answers other cores.
#[derive(Debug)]
pub struct PeerService(pub Chat);

#[async_trait]
impl PeerHandler for PeerService {
    async fn answer(&self, request: Bytes) -> Bytes {
        self.0.serve_peer(&request).await
    }
}
