//! One TCP connection: HTTP until it ends or becomes a WebSocket, then the session, in the same task.

use crate::{
    door::{Door, Visit},
    gauge::Counted,
    protocols::msync,
    stall::WriteDeadline,
    websocket::Socket,
};
use futures_util::future::BoxFuture;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{net::SocketAddr, pin::pin, sync::Arc};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tower::Service;

type Stream = TokioIo<WriteDeadline<TcpStream>>;

pub(crate) async fn serve(stream: TcpStream, peer: SocketAddr, door: Door) {
    let _counted = Counted::one(metrics::gauge!("gateway_connections"));
    // Fails only on a socket that is dead already.
    let _ = stream.set_nodelay(true);

    let Some(socket) = until_websocket(stream, &door).await else { return };
    let Door { core, config, drain, .. } = door;
    msync::serve(socket, core, config, drain, Some(peer.ip())).await;
}

/// Serves HTTP; gives the WebSocket if the connection became one.
///
/// This and the session return boxes from plain functions: a future boxed where it is awaited would still take its
/// full size in the task, for as long as the connection lives.
fn until_websocket(stream: TcpStream, door: &Door) -> BoxFuture<'_, Option<Box<Socket<TcpStream>>>> {
    Box::pin(http_phase(stream, door))
}

async fn http_phase(stream: TcpStream, door: &Door) -> Option<Box<Socket<TcpStream>>> {
    let config = &door.config;
    let visit = Arc::new(Visit::default());
    serve_http(stream, door, visit.clone()).await;
    let upgrade = visit.take_upgrade()?;
    // The answer to the upgrade has been written when the HTTP part ends; the limit is for a client that left.
    let upgraded = timeout(config.write_timeout, upgrade).await.ok()?.ok()?;
    let Ok(parts) = upgraded.downcast::<Stream>() else {
        tracing::error!("an upgraded connection has an unknown stream");
        return None;
    };
    let stream = parts.io.into_inner().into_inner();
    let socket = Socket::new(stream, parts.read_buf, config.max_frame_bytes, config.write_timeout).await;
    Some(Box::new(socket))
}

async fn serve_http(stream: TcpStream, door: &Door, visit: Arc<Visit>) {
    let config = &door.config;
    let service = {
        let (door, visit) = (door.service(), visit.clone());
        service_fn(move |mut request| {
            visit.begin();
            request.extensions_mut().insert(visit.clone());
            // Ready at any time: every layer is.
            door.clone().call(request)
        })
    };
    let stream = TokioIo::new(WriteDeadline::new(stream, config.write_timeout));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.keep_alive)
        .max_header_size(config.max_header_bytes)
        .max_buf_size(config.max_header_bytes.max(64 * 1024))
        .serve_connection(stream, service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut drain = door.drain.clone();
    let mut draining = false;
    let mut first_head = pin!(sleep(config.header_timeout));
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
