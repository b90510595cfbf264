//! The WebSocket handshake, of HTTP/1.1 (RFC 6455, 4.2) and of HTTP/2 (RFC 8441, 5).

use super::{Upgrade, Visit, status};
use crate::{
    address::ClientAddress,
    admission::{self, Admission},
    drain::Drain,
    protocols::{self, Caller},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::ext::Protocol;
use meridian_link::Body;
use std::sync::Arc;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// A well-formed handshake.
enum Handshake {
    /// Takes the whole connection. Holds the answer to the client's key.
    Http1(HeaderValue),
    /// Takes one stream.
    Http2,
}

/// Waits for the gateway's turn, answers "go on" and leaves the upgrade with the connection, or says why not. No
/// sub-protocol and no extension is ever accepted.
pub(super) async fn upgrade<B>(
    request: &mut Request<B>,
    speaks: protocols::Protocol,
    drain: &Drain,
    admission: &Admission,
) -> Response<Body> {
    if drain.has_begun() {
        return status(StatusCode::SERVICE_UNAVAILABLE);
    }
    let Some(handshake) = handshake(request) else { return upgrade_required(request.version()) };
    let extensions = request.extensions();
    let (Some(visit), Some(ClientAddress(client))) =
        (extensions.get::<Arc<Visit>>().cloned(), extensions.get().copied())
    else {
        return status(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let Ok(places) = visit.take_places() else {
        metrics::counter!("gateway_connections_refused_total").increment(1);
        return come_again();
    };
    let mut draining = drain.clone();
    let admitted = tokio::select! {
        admitted = admission.admit() => admitted.is_ok(),
        () = draining.begun() => false,
    };
    if !admitted {
        return come_again();
    }
    let caller = Caller { address: client, speaks };
    visit.leave_upgrade(Upgrade { stream: hyper::upgrade::on(request), caller, places });
    match handshake {
        Handshake::Http2 => status(StatusCode::OK),
        Handshake::Http1(accept) => {
            let mut response = status(StatusCode::SWITCHING_PROTOCOLS);
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
            response
        }
    }
}

fn handshake<B>(request: &Request<B>) -> Option<Handshake> {
    let headers = request.headers();
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return None;
    }
    match request.version() {
        Version::HTTP_2 => {
            let protocol = request.extensions().get::<Protocol>();
            let fits = request.method() == Method::CONNECT
                && protocol.is_some_and(|protocol| protocol.as_str().eq_ignore_ascii_case("websocket"));
            fits.then_some(Handshake::Http2)
        }
        Version::HTTP_11 => {
            let fits = request.method() == Method::GET
                && names(headers, header::CONNECTION, "upgrade")
                && names(headers, header::UPGRADE, "websocket");
            let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| fits && key.len() == 24)?;
            HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok().map(Handshake::Http1)
        }
        _ => None,
    }
}

/// Whether a comma-separated header holds a word, in any case.
fn names(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    let values = headers.get_all(name);
    values
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(word))
}

fn upgrade_required(version: Version) -> Response<Body> {
    let mut response = status(StatusCode::UPGRADE_REQUIRED);
    let headers = response.headers_mut();
    // HTTP/2 has no such headers.
    if version != Version::HTTP_2 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    }
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    response
}

fn come_again() -> Response<Body> {
    let mut response = status(StatusCode::SERVICE_UNAVAILABLE);
    response.headers_mut().insert(header::RETRY_AFTER, admission::retry_after().into());
    response
}
