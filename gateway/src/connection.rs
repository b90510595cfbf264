//! One TCP connection: HTTP until it ends or becomes a WebSocket, then the session, in the same task.

use crate::{
    address::Peer,
    door::{Door, Visit},
    gauge::Counted,
    http2,
    preface::{self, Protocol},
    protocols::{Caller, Protocol as Speaks, json, msync},
    stall::WriteDeadline,
    tls,
    websocket::Socket,
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tokio_rustls::server::TlsStream;
use tower::Service;

/// A connection that became a WebSocket, and whose it is.
enum Opened {
    Plain(Box<Socket<TcpStream>>, Caller),
    Tls(Box<Socket<TlsStream<WriteDeadline<TcpStream>>>>, Caller),
}

pub(crate) async fn serve(stream: TcpStream, peer: SocketAddr, mut door: Door) {
    door.drain = door.drain.somewhere();
    let _counted = Counted::one(metrics::gauge!("gateway_connections"));
    // Fails only on a socket that is dead already.
    let _ = stream.set_nodelay(true);

    let session = match until_websocket(stream, peer.ip(), &door).await {
        Some(Opened::Plain(socket, client)) => session(socket, door, client),
        Some(Opened::Tls(socket, client)) => session(socket, door, client),
        None => return,
    };
    session.await;
}

/// The session of a WebSocket, whatever carries it.
pub(crate) fn session<S>(socket: Box<Socket<S>>, door: Door, caller: Caller) -> BoxFuture<'static, ()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Door { core, config, drain, .. } = door;
    match caller.speaks {
        Speaks::Msync => msync::serve(socket, core, config, drain, Some(caller.address)),
        Speaks::Json => json::serve(socket, core, config, drain, Some(caller.address)),
    }
}

/// Serves HTTP; gives the WebSocket if the connection became one.
///
/// This and the session return boxes from plain functions: a future boxed where it is awaited would still take its
/// full size in the task, for as long as the connection lives.
fn until_websocket(stream: TcpStream, peer: IpAddr, door: &Door) -> BoxFuture<'_, Option<Opened>> {
    Box::pin(http_phase(stream, peer, door))
}

async fn http_phase(stream: TcpStream, peer: IpAddr, door: &Door) -> Option<Opened> {
    let config = &door.config;
    let guard = |stream| WriteDeadline::new(stream, config.write_timeout);
    let first_bytes_by = Instant::now() + config.header_timeout;
    let mut drain = door.drain.clone();
    let Some(tls) = &door.tls else {
        let peer = Peer { address: peer, tls: false };
        let (protocol, stream) = tokio::select! {
            read = timeout_at(first_bytes_by, preface::read(guard(stream))) => read.ok()?.ok()?,
            () = drain.begun() => return None,
        };
        if protocol == Protocol::Http2 {
            http2::serve(stream, peer, door, first_bytes_by).await;
            return None;
        }
        let (stream, read, caller) = http1(stream, peer, door, first_bytes_by).await?;
        let stream = stream.into_inner().into_inner();
        let socket = Socket::new(stream, read, config.max_frame_bytes, config.write_timeout).await;
        return Some(Opened::Plain(Box::new(socket), caller));
    };
    let peer = Peer { address: peer, tls: true };
    let stream = tokio::select! {
        stream = tls.accept(stream, guard, first_bytes_by) => stream?,
        () = drain.begun() => return None,
    };
    let first_head_by = Instant::now() + config.header_timeout;
    if tls::speaks_http2(&stream) {
        http2::serve(stream, peer, door, first_head_by).await;
        return None;
    }
    let (stream, read, caller) = http1(stream, peer, door, first_head_by).await?;
    let socket = Socket::new(stream, read, config.max_frame_bytes, config.write_timeout).await;
    Some(Opened::Tls(Box::new(socket), caller))
}

/// HTTP/1.1; gives the stream, what was read of it too much, and whose it is if it became a WebSocket.
fn http1<S>(
    stream: S,
    peer: Peer,
    door: &Door,
    first_head_by: Instant,
) -> BoxFuture<'_, Option<(S, Bytes, Caller)>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Box::pin(async move {
        let visit = Arc::new(Visit::default());
        serve_http1(stream, peer, door, visit.clone(), first_head_by).await;
        let upgrade = visit.take_upgrade()?;
        // The answer to the upgrade has been written when the HTTP part ends; the limit is for a client that left.
        let upgraded = timeout(door.config.write_timeout, upgrade.stream).await.ok()?.ok()?;
        let Ok(parts) = upgraded.downcast::<TokioIo<S>>() else {
            tracing::error!("an upgraded connection has an unknown stream");
            return None;
        };
        Some((parts.io.into_inner(), parts.read_buf, upgrade.caller))
    })
}

async fn serve_http1<S>(stream: S, peer: Peer, door: &Door, visit: Arc<Visit>, first_head_by: Instant)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let config = &door.config;
    let service = {
        let (door, visit) = (door.service(), visit.clone());
        service_fn(move |mut request| {
            visit.begin();
            request.extensions_mut().insert(visit.clone());
            request.extensions_mut().insert(peer);
            // Ready at any time: every layer is.
            door.clone().call(request)
        })
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.keep_alive)
        .max_header_size(config.max_header_bytes)
        .max_buf_size(config.max_header_bytes.max(64 * 1024))
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut drain = door.drain.clone();
    let mut draining = false;
    let mut first_head = pin!(sleep_until(first_head_by));
    let mut waiting = true;
    loop {
        tokio::select! {
            result = &mut connection => {
                if let Err(error) = result {
                    tracing::debug!(%error, "connection failed");
                }
                return;
            }
            // Later heads have the keep-alive time: one that trickles in costs no more than an idle connection.
            // A condition on the branch would be as old as the wait: the request may have come since.
            () = &mut first_head, if waiting => {
                if !visit.has_begun() {
                    return;
                }
                waiting = false;
            }
            () = drain.begun(), if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}
