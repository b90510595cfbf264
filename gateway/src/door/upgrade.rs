//! The WebSocket handshake (RFC 6455, 4.2).

use super::Visit;
use crate::drain::Drain;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use meridian_link::{Body, empty_body};
use std::sync::Arc;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Answers 101 and leaves the upgrade with the connection, or says why not. No sub-protocol and no extension is ever
/// accepted.
pub(super) fn upgrade<B>(request: &mut Request<B>, drain: &Drain) -> Response<Body> {
    if drain.has_begun() {
        return status(StatusCode::SERVICE_UNAVAILABLE);
    }
    let Some(key) = websocket_key(request) else {
        let mut response = status(StatusCode::UPGRADE_REQUIRED);
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return response;
    };
    let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) else {
        return status(StatusCode::BAD_REQUEST);
    };
    let Some(visit) = request.extensions().get::<Arc<Visit>>().cloned() else {
        return status(StatusCode::INTERNAL_SERVER_ERROR);
    };
    visit.leave_upgrade(hyper::upgrade::on(request));

    let mut response = status(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// The key of a well-formed handshake.
fn websocket_key<B>(request: &Request<B>) -> Option<HeaderValue> {
    let headers = request.headers();
    let fits = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && names(headers, header::CONNECTION, "upgrade")
        && names(headers, header::UPGRADE, "websocket")
        && headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| fits && key.len() == 24).cloned()
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

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(empty_body());
    *response.status_mut() = status;
    response
}
