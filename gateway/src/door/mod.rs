//! The door: what every HTTP request meets, from top to bottom, and where it goes.

mod access_log;
mod client;
mod demo;
mod health;
mod linger;
mod preflight;
mod rate;
mod rest;
mod upgrade;
mod visit;

use crate::{admission::Admission, config::GatewayConfig, drain::Drain, protocols::Protocol, tls::Tls};
use access_log::AccessLog;
use http::{HeaderName, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use linger::Linger;
use meridian_link::{Body, CoreHandle, empty_body};
use preflight::NoContent;
use rate::AddressRates;
use std::{convert::Infallible, fmt, sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use tower::{ServiceBuilder, service_fn, util::BoxCloneSyncService};
use tower_http::{
    cors::{Any, CorsLayer},
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
};

pub(crate) use visit::{Room, Upgrade, Visit};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

type DoorService = BoxCloneSyncService<Request<Incoming>, Response<Body>, Infallible>;

/// What the connections of a gateway share.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) core: CoreHandle,
    pub(crate) config: Arc<GatewayConfig>,
    pub(crate) drain: Drain,
    /// One per connection that may be, WebSockets over HTTP/2 included.
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) tls: Option<Tls>,
    service: DoorService,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

impl Door {
    pub(crate) fn new(
        core: CoreHandle,
        config: Arc<GatewayConfig>,
        drain: Drain,
        permits: Arc<Semaphore>,
        tls: Option<Tls>,
    ) -> Self {
        let limits = Arc::new((Admission::new(&config), AddressRates::new(config.requests_per_second)));
        let routes = service_fn({
            let (core, config, drain) = (core.clone(), config.clone(), drain.clone());
            move |request: Request<Incoming>| {
                let (core, config, drain) = (core.clone(), config.clone(), drain.clone());
                let limits = limits.clone();
                async move { Ok::<_, Infallible>(route(request, &core, &config, &drain, &limits).await) }
            }
        });
        let trusted = config.clone();
        let service = ServiceBuilder::new()
            .map_request(drop_odd_request_id)
            .map_request(move |request| client::find(request, &trusted.trusted_proxies))
            .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
            .layer_fn(AccessLog::new)
            .layer(PropagateRequestIdLayer::new(REQUEST_ID))
            .layer_fn(NoContent::new)
            .layer(cors())
            .service(routes);
        Self { core, config, drain, permits, tls, service: BoxCloneSyncService::new(service) }
    }

    pub(crate) fn service(&self) -> DoorService {
        self.service.clone()
    }
}

async fn route(
    mut request: Request<Incoming>,
    core: &CoreHandle,
    config: &GatewayConfig,
    drain: &Drain,
    (admission, rates): &(Admission, AddressRates),
) -> Response<Body> {
    if let Some(refusal) = rates.refuse(&request) {
        return refusal;
    }
    match request.uri().path() {
        "/websocket" => upgrade::upgrade(&mut request, Protocol::Msync, drain, admission).await,
        "/ws/v1" => upgrade::upgrade(&mut request, Protocol::Json, drain, admission).await,
        // A tunnel to somewhere.
        _ if request.method() == Method::CONNECT => status(StatusCode::METHOD_NOT_ALLOWED),
        "/healthz" => health::alive(),
        "/readyz" => health::ready(core, drain),
        path => {
            let demo = config.demo.as_deref();
            if let Some(page) = demo.and_then(|app| demo::page(request.method(), path, app)) {
                return page;
            }
            let (head, body) = request.into_parts();
            let body = Linger::new(body, &head.headers).map_err(Into::into).boxed_unsync();
            rest::forward(Request::from_parts(head, body), core, config).await
        }
    }
}

/// An answer that says nothing more.
fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(empty_body());
    *response.status_mut() = status;
    response
}

/// A client's request id is kept when it is short and printable.
fn drop_odd_request_id<B>(mut request: Request<B>) -> Request<B> {
    let sane = |value: &[u8]| (1..=64).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic);
    if request.headers().get(REQUEST_ID).is_some_and(|value| !sane(value.as_bytes())) {
        request.headers_mut().remove(REQUEST_ID);
    }
    request
}

/// Every page may call: tokens travel in a header that pages set themselves, never in cookies.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::ACCEPT,
            header::RANGE,
            HeaderName::from_static("restrict-access"),
            HeaderName::from_static("share-secret"),
            HeaderName::from_static("x-requested-with"),
            REQUEST_ID,
        ])
        .expose_headers([
            header::CONTENT_RANGE,
            header::ACCEPT_RANGES,
            header::CONTENT_LENGTH,
            header::CONTENT_DISPOSITION,
            header::ETAG,
            header::RETRY_AFTER,
            REQUEST_ID,
        ])
        .max_age(Duration::from_secs(24 * 3600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sane_request_ids_are_kept() {
        let kept = |id: &[u8]| {
            let request = Request::builder().header(REQUEST_ID, id).body(()).unwrap();
            drop_odd_request_id(request).headers().contains_key(REQUEST_ID)
        };
        assert!(kept(b"7f3c-1"));
        assert!(!kept(b""));
        assert!(!kept(b"a b"));
        assert!(!kept("é".as_bytes()));
        assert!(!kept(&[b'a'; 65]));
    }
}
