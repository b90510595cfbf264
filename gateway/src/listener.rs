//! The listener: takes connections within a limit, and owns them until they have ended.

use crate::{
    config::GatewayConfig,
    connection,
    door::Door,
    drain::{self, Drain, DrainSwitch},
    tls::{self, Reload, Tls},
};
use meridian_link::CoreHandle;
use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

/// How long to wait when the process or machine has run out of something.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);
/// Bytes of a connection that the kernel has not sent yet, above which it takes no more.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 16 * 1024;
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\nretry-after: 5\r\n\r\n";

/// A gateway that listens.
#[derive(Debug)]
pub struct Gateway {
    listener: TcpListener,
    address: SocketAddr,
    config: Arc<GatewayConfig>,
    core: CoreHandle,
    switch: DrainSwitch,
    drain: Drain,
    tls: Option<(Tls, Reload)>,
}

impl Gateway {
    /// Listens, so that from now on connections wait in the backlog. Serves nothing before [`Gateway::run`]. A
    /// certificate that cannot be used is an error of kind `InvalidInput` that says why.
    pub async fn bind(config: GatewayConfig, core: CoreHandle) -> io::Result<Self> {
        let tls = match config.tls.clone() {
            Some(files) => Some(tls::load(files, config.max_handshakes).await.map_err(unusable)?),
            None => None,
        };
        let listener = TcpListener::bind(config.listen).await?;
        keep_little_unsent(&listener)?;
        let address = listener.local_addr()?;
        let (switch, drain) = drain::drain();
        Ok(Self { listener, address, config: Arc::new(config), core, switch, drain, tls })
    }

    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` resolves; then refuses new connections, tells the others, and waits for them up to
    /// [`GatewayConfig::drain_timeout`].
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { listener, address, config, core, switch, drain, tls } = self;
        let permits = Arc::new(Semaphore::new(config.max_connections));
        let (tls, reload) = tls.unzip();
        let door = Door::new(core, config.clone(), drain, permits.clone(), tls);
        let mut connections = JoinSet::new();
        // Ends with this function.
        let mut certificates = JoinSet::new();
        if let Some(reload) = reload {
            certificates.spawn(reload.run(config.tls_reload_interval));
        }
        tracing::info!(%address, "gateway listens");

        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => match permits.clone().try_acquire_owned() {
                        Ok(permit) => {
                            let serve = connection::serve(stream, peer, door.clone());
                            connections.spawn(async move {
                                let _permit = permit;
                                serve.await;
                            });
                        }
                        Err(_) => turn_away(&stream, config.tls.is_some()),
                    },
                    Err(error) => pause_after(&error).await,
                },
                // An ended connection, or a panic in one, which the runtime has reported.
                Some(_) = connections.join_next() => {}
            }
        }

        drop(listener);
        switch.begin(connections.len(), config.drain_timeout.mul_f64(0.7));
        tracing::info!(connections = connections.len(), "gateway drains");
        let all_ended = async { while connections.join_next().await.is_some() {} };
        if timeout(config.drain_timeout, all_ended).await.is_err() {
            tracing::warn!(connections = connections.len(), "connections did not end in time");
            connections.shutdown().await;
        }
    }
}

/// Connections inherit it from their listener. What the kernel holds cannot be overtaken: a ping behind megabytes on a
/// slow line would be answered too late, and the client taken for dead.
#[cfg(target_os = "linux")]
fn keep_little_unsent(listener: &TcpListener) -> io::Result<()> {
    socket2::SockRef::from(listener).set_tcp_notsent_lowat(UNSENT)
}

#[cfg(not(target_os = "linux"))]
fn keep_little_unsent(_: &TcpListener) -> io::Result<()> {
    Ok(())
}

fn unusable(error: tls::CertificateError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

/// One write that may fail, so that a flood cannot make the listener wait.
fn turn_away(stream: &TcpStream, tls: bool) {
    metrics::counter!("gateway_connections_refused_total").increment(1);
    // A client that speaks TLS could not read it, and a handshake is more than one write.
    if !tls {
        let _ = stream.try_write(FULL);
    }
}

/// A connection that was reset before it was accepted costs nothing; anything else, such as no more file
/// descriptors, would fail again at once.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted) {
        tracing::error!(%error, "cannot accept connections");
        metrics::counter!("gateway_accept_errors_total").increment(1);
        sleep(EXHAUSTED_PAUSE).await;
    }
}
