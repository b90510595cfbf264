//! How a node opens a plugin: `blobs = "grpc://host:port"`.

use crate::{RemoteConfig, RemotePlugin};
use meridian_sdk::ports::{BackendUrl, Blobs, OpenError, OpenRequest, Opened, Reach, SoftState};
use std::sync::Arc;

/// The factory for `NodeBuilder::blobs`.
pub async fn open_blobs(request: OpenRequest) -> Result<Opened<dyn Blobs>, OpenError> {
    let blobs = connect(&request.url).await?.blobs()?;
    Ok(Opened::<dyn Blobs>::new(Arc::new(blobs), reach(&request.url), true).with_notes("over gRPC"))
}

/// The factory for `NodeBuilder::soft`.
pub async fn open_soft_state(request: OpenRequest) -> Result<Opened<dyn SoftState>, OpenError> {
    let soft = connect(&request.url).await?.soft_state()?;
    Ok(Opened::<dyn SoftState>::new(Arc::new(soft), reach(&request.url), false).with_notes("over gRPC"))
}

async fn connect(url: &BackendUrl) -> Result<RemotePlugin, OpenError> {
    if url.parameters().next().is_some() {
        return Err("a grpc URL has no parameters".into());
    }
    Ok(RemotePlugin::connect(&format!("http:{}", url.path()), RemoteConfig::default()).await?)
}

/// A plugin on a loopback address serves the cores of its machine alone.
fn reach(url: &BackendUrl) -> Reach {
    let host = url.path().trim_start_matches('/');
    let local = ["127.", "localhost", "[::1]"].iter().any(|name| host.starts_with(name));
    if local { Reach::Machine } else { Reach::Region }
}
