//! The node's side: a contract that is a call to a plugin.

mod blobs;
mod soft;

pub use blobs::RemoteBlobs;
pub use soft::RemoteSoftState;

use crate::{
    PROTOCOL,
    proto::{DescribeRequest, plugin_client::PluginClient},
    wire,
};
use meridian_sdk::{Error, ErrorKind, Result};
use std::time::Duration;
use tonic::{
    Request, Response, Status,
    transport::{Channel, Endpoint},
};

/// Times of calls.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RemoteConfig {
    /// Making a connection.
    pub connect: Duration,
    /// A call; in streams, each wait for the plugin to take or give a piece.
    pub call: Duration,
    /// A whole upload or download.
    pub transfer: Duration,
}

impl Default for RemoteConfig {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            call: Duration::from_secs(10),
            transfer: Duration::from_secs(3600),
        }
    }
}

/// A plugin that answered the handshake. Its connection restores itself; clones share it.
#[derive(Clone, Debug)]
pub struct RemotePlugin {
    channel: Channel,
    config: RemoteConfig,
    described: String,
    contracts: Vec<String>,
}

impl RemotePlugin {
    /// Connects to `http://host:port` and asks the plugin what it is.
    ///
    /// `Unavailable` or `Timeout` when it does not answer, `Invalid` when the address is none, `Unsupported` when it
    /// speaks another version of the protocol.
    pub async fn connect(address: &str, config: RemoteConfig) -> Result<Self> {
        const VERB: &str = "connect";
        let endpoint = Endpoint::from_shared(address.to_owned()).map_err(|error| {
            Error::new(ErrorKind::Invalid, VERB, format!("{address:?} is no address")).with_source(error)
        })?;
        let channel = endpoint
            .connect_timeout(config.connect)
            // A peer that is gone without a word is noticed between calls too.
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5))
            .keep_alive_while_idle(true)
            .connect_lazy();
        let described = unary(VERB, false, config.call, DescribeRequest { protocol: PROTOCOL }, |request| {
            let mut client = PluginClient::new(channel.clone());
            async move { client.describe(request).await }
        })
        .await?;
        if described.protocol != PROTOCOL {
            let message = format!(
                "the plugin at {address} speaks version {} of the protocol, this node version {PROTOCOL}",
                described.protocol
            );
            return Err(Error::new(ErrorKind::Unsupported, VERB, message));
        }
        let words = |text: &str| text.chars().filter(|c| !c.is_control()).take(64).collect::<String>();
        let (name, version) = (words(&described.name), words(&described.version));
        Ok(Self {
            channel,
            config,
            described: format!("remote {name} {version}"),
            contracts: described.contracts,
        })
    }

    /// The plugin's blobs. `Unsupported` when it serves none.
    pub fn blobs(&self) -> Result<RemoteBlobs> {
        self.serves("blobs").map(|()| RemoteBlobs::new(self.clone()))
    }

    /// The plugin's soft state. `Unsupported` when it serves none.
    pub fn soft_state(&self) -> Result<RemoteSoftState> {
        self.serves("soft").map(|()| RemoteSoftState::new(self.clone()))
    }

    fn serves(&self, contract: &str) -> Result<()> {
        if self.contracts.iter().any(|served| served == contract) {
            return Ok(());
        }
        let message = format!("{} serves {:?}, not {contract:?}", self.described, self.contracts);
        Err(Error::new(ErrorKind::Unsupported, "connect", message))
    }
}

/// A call with a deadline on both sides.
pub(crate) async fn unary<I, O, F>(
    verb: &'static str,
    writes: bool,
    patience: Duration,
    message: I,
    call: impl FnOnce(Request<I>) -> F,
) -> Result<O>
where
    F: Future<Output = std::result::Result<Response<O>, Status>>,
{
    let mut request = Request::new(message);
    request.set_timeout(patience);
    within(verb, writes, patience, call(request)).await.map(Response::into_inner)
}

/// Waits for an answer, no longer than `patience`.
pub(crate) async fn within<T>(
    verb: &'static str,
    writes: bool,
    patience: Duration,
    answer: impl Future<Output = std::result::Result<T, Status>>,
) -> Result<T> {
    match tokio::time::timeout(patience, answer).await {
        Ok(answer) => answer.map_err(|status| wire::from_status(verb, writes, status)),
        Err(_) => {
            let error = Error::new(ErrorKind::Timeout, verb, format!("no answer within {patience:?}"));
            Err(if writes { error.maybe_done() } else { error })
        }
    }
}
