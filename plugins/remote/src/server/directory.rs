//! A directory, served.

use crate::{
    proto::{
        AnnounceRequest, AnnounceResponse, NodesRequest, NodesResponse, WithdrawRequest, WithdrawResponse,
        directory_server::Directory as Service,
    },
    wire::{LEASE_MS, from_lease, to_node, to_status},
};
use meridian_sdk::{
    Error, ErrorKind, async_trait,
    ports::{Directory, NodeId},
};
use std::{sync::Arc, time::Duration};
use tonic::{Request, Response, Status};

#[derive(Debug)]
pub(super) struct Served(pub(super) Arc<dyn Directory>);

type Answer<T> = Result<Response<T>, Status>;

#[async_trait]
impl Service for Served {
    async fn announce(&self, request: Request<AnnounceRequest>) -> Answer<AnnounceResponse> {
        let AnnounceRequest { node, ttl_ms } = request.into_inner();
        let invalid = |message| to_status(&Error::new(ErrorKind::Invalid, "announce", message));
        let node = node.ok_or_else(|| invalid("there is no node"))?;
        if !LEASE_MS.contains(&ttl_ms) {
            return Err(invalid("a lease is 1 ms to 24 h long"));
        }
        let told = self.0.announce(&to_node(node), Duration::from_millis(ttl_ms)).await;
        let leases = told.map_err(|error| to_status(&error))?;
        Ok(Response::new(AnnounceResponse { leases: leases.into_iter().map(from_lease).collect() }))
    }

    async fn withdraw(&self, request: Request<WithdrawRequest>) -> Answer<WithdrawResponse> {
        self.0.withdraw(NodeId(request.get_ref().id)).await.map_err(|error| to_status(&error))?;
        Ok(Response::new(WithdrawResponse {}))
    }

    async fn nodes(&self, _: Request<NodesRequest>) -> Answer<NodesResponse> {
        let leases = self.0.nodes().await.map_err(|error| to_status(&error))?;
        Ok(Response::new(NodesResponse { leases: leases.into_iter().map(from_lease).collect() }))
    }
}
