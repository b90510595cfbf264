//! How a node opens a plugin: `blobs = "grpc://host:port"`.

use crate::{RemoteConfig, RemotePlugin};
use meridian_sdk::ports::{
    BackendUrl, Blobs, Bus, Directory, OpenError, OpenRequest, Opened, Reach, SoftState, Store,
};
use std::sync::Arc;

/// The factory for `NodeBuilder::blobs`.
pub async fn open_blobs(request: OpenRequest) -> Result<Opened<dyn Blobs>, OpenError> {
    let blobs = connect(&request.url).await?.blobs()?;
    Ok(Opened::<dyn Blobs>::new(Arc::new(blobs), reach(&request.url), true)
        .with_notes("over gRPC, as durable as the plugin is"))
}

/// The factory for `NodeBuilder::soft`.
pub async fn open_soft_state(request: OpenRequest) -> Result<Opened<dyn SoftState>, OpenError> {
    let soft = connect(&request.url).await?.soft_state()?;
    Ok(Opened::<dyn SoftState>::new(Arc::new(soft), reach(&request.url), false).with_notes("over gRPC"))
}

/// The factory for `NodeBuilder::bus`.
pub async fn open_bus(request: OpenRequest) -> Result<Opened<dyn Bus>, OpenError> {
    let bus = connect(&request.url).await?.bus()?;
    Ok(Opened::<dyn Bus>::new(Arc::new(bus), reach(&request.url), false).with_notes("over gRPC"))
}

/// The factory for `NodeBuilder::directory`.
pub async fn open_directory(request: OpenRequest) -> Result<Opened<dyn Directory>, OpenError> {
    let directory = connect(&request.url).await?.directory()?;
    Ok(Opened::<dyn Directory>::new(Arc::new(directory), reach(&request.url), false).with_notes("over gRPC"))
}

/// The factory for `NodeBuilder::store`.
pub async fn open_store(request: OpenRequest) -> Result<Opened<dyn Store>, OpenError> {
    let store = connect(&request.url).await?.store()?;
    Ok(Opened::<dyn Store>::new(Arc::new(store), reach(&request.url), true)
        .with_notes("over gRPC, as durable as the plugin is"))
}

async fn connect(url: &BackendUrl) -> Result<RemotePlugin, OpenError> {
    let address = address(url).ok_or("a plugin's URL is grpc://host:port, without anything else")?;
    Ok(RemotePlugin::connect(&format!("http://{address}"), RemoteConfig::default()).await?)
}

/// `host:port`. What the connection would not heed, as a password or a folder, is refused.
fn address(url: &BackendUrl) -> Option<&str> {
    let address = url.path().strip_prefix("//")?;
    let (host, port) = address.rsplit_once(':')?;
    let plain = url.parameters().next().is_none() && !host.is_empty() && !address.contains(['@', '/', '#']);
    (plain && port.parse::<u16>().is_ok()).then_some(address)
}

/// A plugin on a loopback address serves the cores of its machine alone.
fn reach(url: &BackendUrl) -> Reach {
    let host = url.path().trim_start_matches('/');
    let local = ["127.", "localhost", "[::1]"].iter().any(|name| host.starts_with(name));
    if local { Reach::Machine } else { Reach::Region }
}
