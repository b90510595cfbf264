//! Probes: `/healthz` says that the process runs, `/readyz` that it can serve.

use crate::drain::Drain;
use http::{Response, StatusCode, header};
use meridian_link::{Body, CoreHandle, bytes_body};

pub(super) fn alive() -> Response<Body> {
    answer(StatusCode::OK, r#"{"status":"ok"}"#)
}

pub(super) fn ready(core: &CoreHandle, drain: &Drain) -> Response<Body> {
    if drain.has_begun() {
        answer(StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"draining"}"#)
    } else if core.is_ready() {
        answer(StatusCode::OK, r#"{"status":"ready"}"#)
    } else {
        answer(StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"not ready"}"#)
    }
}

fn answer(status: StatusCode, json: &'static str) -> Response<Body> {
    let mut response = Response::new(bytes_body(json));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    response
}
