//! A directory behind a plugin.

use super::{RemotePlugin, unary};
use crate::{
    proto::{AnnounceRequest, NodesRequest, WithdrawRequest, directory_client::DirectoryClient},
    wire::{from_node, millis, to_leases},
};
use meridian_sdk::{
    Result, async_trait,
    ports::{Directory, Lease, NodeId, NodeInfo},
};
use std::time::Duration;
use tonic::transport::Channel;

/// A directory that a plugin keeps.
#[derive(Clone, Debug)]
pub struct RemoteDirectory {
    plugin: RemotePlugin,
    client: DirectoryClient<Channel>,
}

impl RemoteDirectory {
    pub(super) fn new(plugin: RemotePlugin) -> Self {
        let client = DirectoryClient::new(plugin.channel.clone());
        Self { plugin, client }
    }

    fn patience(&self) -> Duration {
        self.plugin.config.call
    }
}

#[async_trait]
impl Directory for RemoteDirectory {
    fn describe(&self) -> String {
        self.plugin.described.clone()
    }

    async fn announce(&self, node: &NodeInfo, ttl: Duration) -> Result<Vec<Lease>> {
        const VERB: &str = "announce";
        let message = AnnounceRequest { node: Some(from_node(node.clone())), ttl_ms: millis(ttl) };
        let mut client = self.client.clone();
        let answer =
            unary(
                VERB,
                true,
                self.patience(),
                message,
                |request| async move { client.announce(request).await },
            );
        to_leases(VERB, answer.await?.leases)
    }

    async fn withdraw(&self, node: NodeId) -> Result<()> {
        let message = WithdrawRequest { id: node.0 };
        let mut client = self.client.clone();
        let answer = unary("withdraw", true, self.patience(), message, |request| async move {
            client.withdraw(request).await
        });
        answer.await?;
        Ok(())
    }

    async fn nodes(&self) -> Result<Vec<Lease>> {
        const VERB: &str = "nodes";
        let mut client = self.client.clone();
        let answer = unary(VERB, false, self.patience(), NodesRequest {}, |request| async move {
            client.nodes(request).await
        });
        to_leases(VERB, answer.await?.leases)
    }
}
