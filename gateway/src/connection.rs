//! One TCP connection: HTTP until it ends or becomes a WebSocket, then the session, in the same task.

use crate::{
    door::{Door, Visit},
    protocols::msync,
    stall::WriteDeadline,
    websocket::Socket,
};
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
    let connections = metrics::gauge!("gateway_connections");
    connections.increment(1.0);
    let _end = OnDrop(|| connections.decrement(1.0));
    // Fails only on a socket that is dead already.
    let _ = stream.set_nodelay(true);

    // Boxed apart, so that a session does not carry the size of the HTTP machinery.
    let visit = Arc::new(Visit::default());
    Box::pin(serve_http(stream, &door, visit.clone())).await;
    let Some(upgrade) = visit.take_upgrade() else { return };
    drop(visit);

    // The answer to the upgrade has been written when the HTTP part ends; the limit is for a client that left.
    let Ok(Ok(upgraded)) = timeout(door.config.write_timeout, upgrade).await else { return };
    let Ok(parts) = upgraded.downcast::<Stream>() else {
        tracing::error!("an upgraded connection has an unknown stream");
        return;
    };
    let Door { core, config, drain, .. } = door;
    let stream = parts.io.into_inner().into_inner();
    let socket = Socket::new(stream, parts.read_buf, config.max_frame_bytes, config.write_timeout).await;
    msync::serve(socket, core, config, drain, Some(peer.ip())).await;
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
    loop {
        tokio::select! {
            result = &mut connection => {
                if let Err(error) = result {
                    tracing::debug!(%error, "connection failed");
                }
                return;
            }
            // Later heads have the keep-alive time: one that trickles in costs no more than an idle connection.
            () = &mut first_head, if !visit.has_begun() => return,
            () = drain.begun(), if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Runs at the end of a scope, also when its task is aborted.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
