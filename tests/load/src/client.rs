//! One connection: login, frames out, frames in. Small on purpose: no heartbeat, no reconnection, no decoding beyond
//! what a workload looks at.

use crate::{
    uplink,
    wire::{Frame, Malformed},
};
use anyhow::{Context, bail};
use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Error, Message, protocol::WebSocketConfig},
};

const BUFFER: usize = 4096;
const LOGIN_DEADLINE: Duration = Duration::from_secs(60);

/// Who logs in, with what, from where.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) listen: SocketAddr,
    pub(crate) tls: Tls,
    pub(crate) app_key: String,
    pub(crate) user: String,
    pub(crate) token: String,
    pub(crate) resource: String,
    /// The local address to connect from, for more connections than one address has ports.
    pub(crate) source: Option<IpAddr>,
}

/// How connections are encrypted; by default not at all.
#[derive(Clone, Default)]
pub(crate) struct Tls(Option<TlsConnector>);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.0.is_some()).finish()
    }
}

impl Tls {
    /// Trusts servers whose certificate for `localhost` comes from an authority, a PEM file.
    pub(crate) fn of_authority(file: &Path) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(file).context("cannot read the authority")? {
            roots.add(certificate?)?;
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self(Some(TlsConnector::from(Arc::new(config)))))
    }

    async fn connect(&self, stream: TcpStream) -> anyhow::Result<Box<dyn Wire>> {
        Ok(match &self.0 {
            None => Box::new(stream),
            Some(tls) => Box::new(tls.connect(ServerName::try_from("localhost")?, stream).await?),
        })
    }
}

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A connection that is logged in.
pub(crate) struct Connection {
    socket: WebSocketStream<Box<dyn Wire>>,
    dirty: bool,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Connection {
    /// Logs in and asks for the list of what is owed: the addresses of queues that hold something.
    pub(crate) async fn open(login: &Login) -> anyhow::Result<(Self, Vec<Bytes>)> {
        let opened = timeout(LOGIN_DEADLINE, Self::log_in(login)).await.context("not done in time");
        opened.and_then(|done| done).with_context(|| format!("login of {}", login.user))
    }

    async fn log_in(login: &Login) -> anyhow::Result<(Self, Vec<Bytes>)> {
        let stream = connect(login.listen, login.source).await.context("cannot connect")?;
        let stream = login.tls.connect(stream).await.context("no TLS")?;
        let config = WebSocketConfig::default().read_buffer_size(BUFFER).write_buffer_size(BUFFER);
        let url = format!("ws://{}/websocket", login.listen);
        let (socket, _) = client_async_with_config(url, stream, Some(config)).await?;
        let mut connection = Self { socket, dirty: false };

        connection.feed(uplink::login(&login.app_key, &login.user, &login.token, &login.resource)).await?;
        connection.flush().await?;
        match Frame::read(&connection.next().await?)? {
            Frame::Provision { refusal: None } => {}
            Frame::Provision { refusal: Some(refusal) } => bail!("refused: {}", refusal.reason),
            _ => bail!("refused with something that is no answer to a login"),
        }
        connection.feed(uplink::unread()).await?;
        connection.flush().await?;
        let frame = connection.next().await?;
        let Frame::Unread { queues } = Frame::read(&frame)? else { bail!("UNREAD was not answered first") };
        let queues = queues.into_iter().map(Bytes::copy_from_slice).collect();
        Ok((connection, queues))
    }

    /// Puts a frame into the buffer; [`Self::flush`] sends it at the latest.
    pub(crate) async fn feed(&mut self, frame: Bytes) -> anyhow::Result<()> {
        self.dirty = true;
        self.socket.feed(Message::Binary(frame)).await.map_err(ended)
    }

    pub(crate) async fn flush(&mut self) -> anyhow::Result<()> {
        if self.dirty {
            self.socket.flush().await.map_err(ended)?;
            self.dirty = false;
        }
        Ok(())
    }

    /// The next frame. Answers pings on the way. Cancel-safe.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Bytes> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Binary(frame))) => return Ok(frame),
                Some(Ok(Message::Close(Some(close)))) => bail!("closed by the server: {}", close.reason),
                Some(Ok(Message::Close(None))) | None => bail!("closed by the server"),
                Some(Ok(Message::Text(_))) => return Err(Malformed.into()),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return Err(ended(error)),
            }
        }
    }

    /// The next frame, if one is there already.
    pub(crate) fn ready(&mut self) -> Option<anyhow::Result<Bytes>> {
        self.next().now_or_never()
    }

    /// What every client does with a frame that asks for an answer: acknowledge a batch, pull what is announced.
    pub(crate) async fn follow_up(&mut self, frame: &Frame<'_>) -> anyhow::Result<()> {
        match frame {
            Frame::Delivery(delivery) if !delivery.is_last => {
                // Without a key the SDK acknowledges with zero.
                let key = Some(delivery.next_key.unwrap_or(0));
                self.feed(uplink::pull(delivery.queue, key)).await
            }
            Frame::Notice { queue } => self.feed(uplink::pull(queue, None)).await,
            _ => Ok(()),
        }
    }
}

/// One text for the same cause, so that a thousand connections that end at once are one line.
fn ended(error: Error) -> anyhow::Error {
    match error {
        Error::Io(_) | Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(_) => {
            anyhow::anyhow!("connection lost")
        }
        other => other.into(),
    }
}

async fn connect(listen: SocketAddr, source: Option<IpAddr>) -> std::io::Result<TcpStream> {
    let socket = if listen.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let stream = socket.connect(listen).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
