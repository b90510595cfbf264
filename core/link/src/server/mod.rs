//! The core's end of the link: a listener for edges. Sessions come over one long stream per edge; every other request
//! is REST.

mod outgoing;
mod stream;

use crate::{
    Body, BodyError, CoreHandle, empty_body,
    peer::{Secret, admit},
    tasks::Tasks,
    tls::Tls,
};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use outgoing::Outgoing;
use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::timeout,
};

/// Where an edge's sessions are.
pub(crate) const SESSIONS_PATH: &str = "/meridian.link/1/sessions";
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(2);
const EDGES: usize = 1024;
/// REST requests of one edge at a time.
const STREAMS: u32 = 4096;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What one end may send before the other has read it: of one request, and of a whole connection.
pub(crate) const STREAM_WINDOW: u32 = 1 << 20;
pub(crate) const CONNECTION_WINDOW: u32 = 16 << 20;
/// An edge that does not answer a ping for so long is gone.
const PING: Duration = Duration::from_secs(5);

/// Listens for edges.
#[derive(Debug)]
pub struct LinkServer {
    listener: TcpListener,
    secret: Secret,
    tls: Tls,
    sessions: Sessions,
}

/// How many sessions of edges a core has.
#[derive(Clone, Debug, Default)]
pub struct Sessions(Arc<AtomicU64>);

impl Sessions {
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn one(&self) -> Seated {
        self.0.fetch_add(1, Ordering::Relaxed);
        Seated(self.clone())
    }
}

#[derive(Debug)]
struct Seated(Sessions);

impl Drop for Seated {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl LinkServer {
    pub async fn bind(address: SocketAddr, secret: Secret, tls: Tls) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener, secret, tls, sessions: Sessions::default() })
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    #[must_use]
    pub fn sessions(&self) -> Sessions {
        self.sessions.clone()
    }

    /// Serves until dropped; what is in hand ends with it.
    pub async fn run(self, core: CoreHandle) {
        let room = Arc::new(Semaphore::new(EDGES));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let Ok(permit) = room.clone().acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let (secret, tls) = (self.secret.clone(), self.tls.clone());
                    let (core, sessions) = (core.clone(), self.sessions.clone());
                    connections.spawn(serve(stream, peer, (secret, tls), core, sessions, permit));
                }
                Err(error) => {
                    tracing::warn!(%error, "an edge's connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    (secret, tls): (Secret, Tls),
    core: CoreHandle,
    sessions: Sessions,
    _permit: OwnedSemaphorePermit,
) {
    let admitted = async {
        stream.set_nodelay(true)?;
        let mut stream = tls.accept(stream).await?;
        admit(&mut stream, &secret).await?;
        Ok::<_, io::Error>(stream)
    };
    let stream =
        match timeout(HANDSHAKE_DEADLINE, admitted).await.unwrap_or(Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => stream,
            Err(error) => {
                metrics::counter!("link_refused_total").increment(1);
                tracing::warn!(%peer, %error, "not an edge of this region");
                return;
            }
        };
    let tasks = Tasks::default();
    let respond = {
        let tasks = tasks.clone();
        service_fn(move |request| {
            let answer = answer(request, core.clone(), sessions.clone(), tasks.clone());
            async move { Ok::<_, Infallible>(answer.await) }
        })
    };
    let served = http2::Builder::new(tasks)
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .serve_connection(TokioIo::new(stream), respond)
        .await;
    if let Err(error) = served {
        tracing::debug!(%peer, %error, "an edge's connection ended");
    }
}

async fn answer(
    request: Request<Incoming>,
    core: CoreHandle,
    sessions: Sessions,
    tasks: Tasks,
) -> Response<Body> {
    if request.uri().path() == SESSIONS_PATH && request.method() == Method::POST {
        let (outgoing, out) = Outgoing::new();
        tasks.spawn(stream::serve(request.into_body(), core, sessions, out));
        return Response::new(outgoing.map_err(|never| match never {}).boxed_unsync());
    }
    if request.uri().path().starts_with("/meridian.link/") {
        let mut response = Response::new(empty_body());
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    }
    let (mut head, body) = request.into_parts();
    // HTTP/2 names the host in the address; what follows looks for the header.
    if let Some(authority) = head.uri.authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        head.headers.entry(header::HOST).or_insert(host);
    }
    let body = body.map_err(|error| -> BodyError { error.into() }).boxed_unsync();
    core.rest(Request::from_parts(head, body)).await
}
