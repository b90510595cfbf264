//! The node's side: a contract that is a call to a plugin.

mod blobs;
mod bus;
mod directory;
mod queue;
mod soft;
mod store;

pub use blobs::RemoteBlobs;
pub use bus::RemoteBus;
pub use directory::RemoteDirectory;
pub use soft::RemoteSoftState;
pub use store::RemoteStore;

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
        .await
        .map_err(|error| no_handshake(address, &config, &error))?;
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

    /// The plugin's bus. `Unsupported` when it serves none.
    pub fn bus(&self) -> Result<RemoteBus> {
        self.serves("bus").map(|()| RemoteBus::new(self.clone()))
    }

    /// The plugin's directory. `Unsupported` when it serves none.
    pub fn directory(&self) -> Result<RemoteDirectory> {
        self.serves("directory").map(|()| RemoteDirectory::new(self.clone()))
    }

    /// The plugin's store. `Unsupported` when it serves none.
    pub fn store(&self) -> Result<RemoteStore> {
        self.serves("store").map(|()| RemoteStore::new(self.clone()))
    }

    fn serves(&self, contract: &str) -> Result<()> {
        if self.contracts.iter().any(|served| served == contract) {
            return Ok(());
        }
        let message = format!("{} serves {:?}, not {contract:?}", self.described, self.contracts);
        Err(Error::new(ErrorKind::Unsupported, "connect", message))
    }
}

/// One line for whoever reads why a node does not start: the place and the cause at the bottom.
fn no_handshake(address: &str, config: &RemoteConfig, error: &Error) -> Error {
    // Its `Describe`, if it has one, is of another version's package.
    if error.kind() == ErrorKind::Unsupported {
        let message =
            format!("what answers at {address} does not speak version {PROTOCOL} of the plugin protocol");
        return Error::new(error.kind(), error.verb(), message);
    }
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    let why = cause.map_or_else(|| format!("no answer within {:?}", config.call), ToString::to_string);
    let message = format!("no plugin answers at {address}: {why}");
    Error::new(error.kind(), error.verb(), message)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{
        DescribeResponse,
        plugin_server::{Plugin, PluginServer},
    };
    use meridian_sdk::async_trait;
    use tokio::{io::AsyncWriteExt, net::TcpListener};
    use tonic::{
        service::Routes,
        transport::server::{Server, TcpIncoming},
    };

    /// A plugin of a version to come.
    struct Newer;

    #[async_trait]
    impl Plugin for Newer {
        async fn describe(
            &self,
            _: Request<DescribeRequest>,
        ) -> std::result::Result<Response<DescribeResponse>, Status> {
            Ok(Response::new(DescribeResponse { protocol: PROTOCOL + 1, ..DescribeResponse::default() }))
        }
    }

    async fn refusal(routes: Routes) -> (ErrorKind, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let incoming = TcpIncoming::from(listener);
        let served = tokio::spawn(Server::builder().add_routes(routes).serve_with_incoming(incoming));
        let error = RemotePlugin::connect(&address, RemoteConfig::default()).await.unwrap_err();
        served.abort();
        (error.kind(), error.to_string().replace(&address, "ADDRESS"))
    }

    #[tokio::test]
    async fn another_version_is_refused_with_both_numbers() {
        let (kind, words) = refusal(Routes::new(PluginServer::new(Newer))).await;
        assert_eq!(kind, ErrorKind::Unsupported);
        let expected = "the plugin at ADDRESS speaks version 2 of the protocol, this node version 1";
        assert_eq!(words, format!("connect: Unsupported: {expected}"));
    }

    #[tokio::test]
    async fn a_grpc_server_that_is_no_plugin_is_refused() {
        let (kind, words) = refusal(Routes::default()).await;
        assert_eq!(kind, ErrorKind::Unsupported);
        let expected = "what answers at ADDRESS does not speak version 1 of the plugin protocol";
        assert_eq!(words, format!("connect: Unsupported: {expected}"));
    }

    #[tokio::test]
    async fn a_server_that_speaks_no_grpc_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            }
        });
        let error = RemotePlugin::connect(&address, RemoteConfig::default()).await.unwrap_err();
        served.abort();
        assert!(error.is_retryable(), "{error}");
        assert!(error.to_string().contains(&format!("no plugin answers at {address}: ")), "{error}");
    }
}
