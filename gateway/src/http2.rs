//! HTTP/2: many requests and WebSockets (RFC 8441) over one connection.
//!
//! Each stream has a task, and the connection owns them: what hyper and the door start here ends here. A connection on
//! which nothing happens costs what its limits allow, so these are small.

mod stream_stall;
mod tasks;

use crate::{
    address::Peer,
    connection::session,
    door::{Door, Room, Upgrade, Visit},
    websocket::{Pieces, Socket},
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use hyper::{server::conn::http2, service::service_fn, upgrade::OnUpgrade};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use stream_stall::Watched;
use tasks::Tasks;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep_until, timeout},
};
use tower::Service;

/// What a client may send of one body, and of all, before somebody reads it.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// What may wait to be sent on one stream.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams that a client opened and reset before they were looked at, and streams that the client did wrong. More is
/// an attack, and ends the connection.
const RESET_STREAMS: usize = 32;

/// Serves requests until the connection ends, and then waits for its WebSockets to notice.
pub(crate) fn serve<S>(stream: S, peer: Peer, door: &Door, first_head_by: Instant) -> BoxFuture<'_, ()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Box::pin(async move {
        let websockets = Tasks::new();
        serve_streams(stream, peer, door, first_head_by, &websockets).await;
        // Without their connection they end, each in its own time limits.
        poll_fn(|cx| websockets.poll_empty(cx)).await;
    })
}

async fn serve_streams<S>(stream: S, peer: Peer, door: &Door, first_head_by: Instant, websockets: &Tasks)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let config = &door.config;
    let streams = Tasks::new();
    let begun = Arc::new(AtomicBool::new(false));
    let room = Arc::new(Room::new(config.max_stream_websockets, door.permits.clone()));
    let service = {
        let (door, begun, websockets) =
            (door.clone(), begun.clone(), websockets.spawner(config.write_timeout));
        service_fn(move |mut request| {
            begun.store(true, Ordering::Relaxed);
            let visit = Arc::new(Visit::within(room.clone()));
            request.extensions_mut().insert(visit.clone());
            request.extensions_mut().insert(peer);
            // Ready at any time: every layer is.
            let response = door.service().call(request);
            let (door, websockets) = (door.clone(), websockets.clone());
            async move {
                let response = response.await;
                if let Some(upgrade) = visit.take_upgrade() {
                    websockets.spawn(websocket(upgrade, door));
                }
                response.map(|response| response.map(Watched::new))
            }
        })
    };
    let connection = http2::Builder::new(streams.spawner(config.write_timeout))
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(config.max_streams)
        .max_header_list_size(u32::try_from(config.max_header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESET_STREAMS)
        .max_local_error_reset_streams(RESET_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(config.ping_interval)
        .keep_alive_timeout(config.write_timeout)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut drain = door.drain.clone();
    let mut closing = false;
    let mut waiting = true;
    let mut deadline = pin!(sleep_until(first_head_by));
    loop {
        tokio::select! {
            result = &mut connection => {
                if let Err(error) = result {
                    tracing::debug!(%error, "connection failed");
                }
                return;
            }
            never = streams.reap() => match never {},
            never = websockets.reap() => match never {},
            () = &mut deadline => {
                let idle_since = streams.idle_since().zip(websockets.idle_since());
                let now = Instant::now();
                match idle_since.map(|(one, other)| one.max(other) + config.keep_alive) {
                    _ if waiting && !begun.load(Ordering::Relaxed) => return,
                    // The client was told, and has nothing that it could still wait for.
                    Some(until) if until <= now && closing => return,
                    Some(until) if until <= now => {
                        closing = true;
                        connection.as_mut().graceful_shutdown();
                        deadline.as_mut().reset(now + config.header_timeout);
                    }
                    Some(until) => deadline.as_mut().reset(until),
                    None => deadline.as_mut().reset(now + config.keep_alive),
                }
                waiting = false;
            }
            () = drain.begun(), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// A WebSocket on one stream, from the answer to its handshake to its end.
async fn websocket(upgrade: Upgrade, door: Door) {
    let Upgrade { stream, caller, places } = upgrade;
    let _places = places;
    if let Some(socket) = open(stream, &door).await {
        session(socket, door, caller).await;
    }
}

type Stream = Pieces<TokioIo<hyper::upgrade::Upgraded>>;

/// Boxed like the HTTP part of a connection, and for the same reason.
fn open(stream: OnUpgrade, door: &Door) -> BoxFuture<'_, Option<Box<Socket<Stream>>>> {
    Box::pin(async move {
        let config = &door.config;
        let upgraded = timeout(config.write_timeout, stream).await.ok()?.ok()?;
        let stream = Pieces(TokioIo::new(upgraded));
        let socket = Socket::new(stream, Bytes::new(), config.max_frame_bytes, config.write_timeout).await;
        Some(Box::new(socket))
    })
}
