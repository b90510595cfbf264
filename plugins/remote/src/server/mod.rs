//! The plugin's side, for plugins in Rust and for tests: any backend of a contract, served.

mod blobs;
mod bus;
mod directory;
mod soft;
mod store;

use crate::{
    PROTOCOL,
    proto::{
        DescribeRequest, DescribeResponse,
        blobs_server::BlobsServer,
        bus_server::BusServer,
        directory_server::DirectoryServer,
        plugin_server::{Plugin, PluginServer as DescribeServer},
        soft_state_server::SoftStateServer,
        store_server::StoreServer,
    },
};
use meridian_sdk::{
    async_trait,
    ports::{Blobs, Bus, Directory, SoftState, Store},
};
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::watch};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

/// Why serving ended.
pub type ServeError = tonic::transport::Error;

/// Calls at once on one connection; more wait in the client.
const CALLS: u32 = 1024;

/// How long a node may be silent before it is asked whether it lives, and to answer then: one that is gone without a
/// word leaves its subscriptions.
const SILENCE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(5);

/// A plugin: a name, a version, and the contracts that it serves.
#[derive(Clone, Debug)]
pub struct PluginServer {
    name: String,
    version: String,
    blobs: Option<Arc<dyn Blobs>>,
    soft: Option<Arc<dyn SoftState>>,
    bus: Option<Arc<dyn Bus>>,
    directory: Option<Arc<dyn Directory>>,
    store: Option<Arc<dyn Store>>,
}

impl PluginServer {
    #[must_use]
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        let (blobs, soft, bus, directory, store) = (None, None, None, None, None);
        Self { name: name.into(), version: version.into(), blobs, soft, bus, directory, store }
    }

    #[must_use]
    pub fn blobs(self, blobs: Arc<dyn Blobs>) -> Self {
        Self { blobs: Some(blobs), ..self }
    }

    #[must_use]
    pub fn soft_state(self, soft: Arc<dyn SoftState>) -> Self {
        Self { soft: Some(soft), ..self }
    }

    #[must_use]
    pub fn bus(self, bus: Arc<dyn Bus>) -> Self {
        Self { bus: Some(bus), ..self }
    }

    #[must_use]
    pub fn directory(self, directory: Arc<dyn Directory>) -> Self {
        Self { directory: Some(directory), ..self }
    }

    #[must_use]
    pub fn store(self, store: Arc<dyn Store>) -> Self {
        Self { store: Some(store), ..self }
    }

    /// Serves until `stop` ends, then until open calls have ended. Subscriptions are ended.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError> {
        let blobs = self.blobs.clone().map(|blobs| BlobsServer::new(blobs::Served(blobs)));
        let soft = self.soft.clone().map(|soft| SoftStateServer::new(soft::Served(soft)));
        let (running, stopping) = watch::channel(());
        let bus = self.bus.clone().map(|bus| BusServer::new(bus::Served { bus, stopping }));
        let store = self.store.clone().map(|store| StoreServer::new(store::Served(store)));
        let directory = self.directory.clone();
        let directory = directory.map(|directory| DirectoryServer::new(directory::Served(directory)));
        let stop = async move {
            stop.await;
            drop(running);
        };
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        Server::builder()
            .max_concurrent_streams(CALLS)
            .http2_keepalive_interval(Some(SILENCE))
            .http2_keepalive_timeout(Some(PATIENCE))
            .add_service(DescribeServer::new(self))
            .add_optional_service(blobs)
            .add_optional_service(soft)
            .add_optional_service(bus)
            .add_optional_service(directory)
            .add_optional_service(store)
            .serve_with_incoming_shutdown(incoming, stop)
            .await
    }
}

#[async_trait]
impl Plugin for PluginServer {
    async fn describe(&self, _: Request<DescribeRequest>) -> Result<Response<DescribeResponse>, Status> {
        let contracts = [
            self.blobs.as_ref().map(|_| "blobs"),
            self.soft.as_ref().map(|_| "soft"),
            self.bus.as_ref().map(|_| "bus"),
            self.directory.as_ref().map(|_| "directory"),
            self.store.as_ref().map(|_| "store"),
        ];
        Ok(Response::new(DescribeResponse {
            protocol: PROTOCOL,
            name: self.name.clone(),
            version: self.version.clone(),
            contracts: contracts.into_iter().flatten().map(str::to_owned).collect(),
        }))
    }
}
