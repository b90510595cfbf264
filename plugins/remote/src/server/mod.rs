//! The plugin's side, for plugins in Rust and for tests: any backend of a contract, served.

mod blobs;
mod soft;

use crate::{
    PROTOCOL,
    proto::{
        DescribeRequest, DescribeResponse,
        blobs_server::BlobsServer,
        plugin_server::{Plugin, PluginServer as DescribeServer},
        soft_state_server::SoftStateServer,
    },
};
use meridian_sdk::{
    async_trait,
    ports::{Blobs, SoftState},
};
use std::sync::Arc;
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

/// Why serving ended.
pub type ServeError = tonic::transport::Error;

/// Calls at once on one connection; more wait in the client.
const CALLS: u32 = 1024;

/// A plugin: a name, a version, and the contracts that it serves.
#[derive(Clone, Debug)]
pub struct PluginServer {
    name: String,
    version: String,
    blobs: Option<Arc<dyn Blobs>>,
    soft: Option<Arc<dyn SoftState>>,
}

impl PluginServer {
    #[must_use]
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self { name: name.into(), version: version.into(), blobs: None, soft: None }
    }

    #[must_use]
    pub fn blobs(self, blobs: Arc<dyn Blobs>) -> Self {
        Self { blobs: Some(blobs), ..self }
    }

    #[must_use]
    pub fn soft_state(self, soft: Arc<dyn SoftState>) -> Self {
        Self { soft: Some(soft), ..self }
    }

    /// Serves until `stop` ends, then until open calls have ended.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError> {
        let blobs = self.blobs.clone().map(|blobs| BlobsServer::new(blobs::Served(blobs)));
        let soft = self.soft.clone().map(|soft| SoftStateServer::new(soft::Served(soft)));
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        Server::builder()
            .max_concurrent_streams(CALLS)
            .add_service(DescribeServer::new(self))
            .add_optional_service(blobs)
            .add_optional_service(soft)
            .serve_with_incoming_shutdown(incoming, stop)
            .await
    }
}

#[async_trait]
impl Plugin for PluginServer {
    async fn describe(&self, _: Request<DescribeRequest>) -> Result<Response<DescribeResponse>, Status> {
        let contracts = [self.blobs.as_ref().map(|_| "blobs"), self.soft.as_ref().map(|_| "soft")];
        Ok(Response::new(DescribeResponse {
            protocol: PROTOCOL,
            name: self.name.clone(),
            version: self.version.clone(),
            contracts: contracts.into_iter().flatten().map(str::to_owned).collect(),
        }))
    }
}
