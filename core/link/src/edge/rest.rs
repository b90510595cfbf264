//! REST to whichever core is ready; both bodies stream.

use super::pool::Pool;
use crate::{Body, BodyError, bytes_body, empty_body};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header, uri};
use http_body::Body as _;
use http_body_util::BodyExt;
use std::{
    future::{Ready, poll_fn, ready},
    sync::Arc,
    time::Duration,
};
use tokio::time::timeout;
use tower::{
    BoxError, Service, ServiceBuilder,
    retry::{
        Policy,
        budget::{Budget, TpsBudget},
    },
    service_fn,
    util::BoxCloneSyncService,
};

/// Requests of this edge that are under way; one more is refused at once.
const AT_ONCE: usize = 4096;
/// What a second attempt may add to the load: a tenth, and ten a second.
const RETRY_PERIOD: Duration = Duration::from_secs(10);
const RETRIES_PER_SECOND: u32 = 10;
const RETRY_SHARE: f32 = 0.1;
const ATTEMPTS: u32 = 3;
const NO_CORE_DEADLINE: Duration = Duration::from_secs(5);
/// Of one connection alone (RFC 9110, 7.6.1).
const OF_THE_CONNECTION: [HeaderName; 5] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
    HeaderName::from_static("keep-alive"),
];

type Way = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

pub(super) struct Rest(Way);

impl Rest {
    pub(super) fn new(pool: Arc<Pool>) -> Self {
        let to_core = service_fn(move |request| forward(pool.clone(), request));
        let service =
            ServiceBuilder::new().load_shed().concurrency_limit(AT_ONCE).retry(Again::new()).service(to_core);
        Self(BoxCloneSyncService::new(service))
    }

    pub(super) async fn call(&self, request: Request<Body>) -> Response<Body> {
        let mut way = self.0.clone();
        let answer = match poll_fn(|cx| way.poll_ready(cx)).await {
            Ok(()) => way.call(request).await,
            Err(error) => Err(error),
        };
        answer.unwrap_or_else(|error| {
            tracing::warn!(%error, "a request reached no core");
            unavailable()
        })
    }
}

async fn forward(pool: Arc<Pool>, request: Request<Body>) -> Result<Response<Body>, BoxError> {
    let Ok(core) = timeout(NO_CORE_DEADLINE, pool.choose()).await else { return Ok(unavailable()) };
    let (mut head, body) = request.into_parts();
    OF_THE_CONNECTION.iter().for_each(|name| drop(head.headers.remove(name)));
    head.uri = absolute(&head.uri, &head.headers)?;
    head.headers.remove(header::HOST);
    head.version = http::Version::HTTP_2;
    let response = core.rest().send_request(Request::from_parts(head, body)).await?;
    let (mut head, body) = response.into_parts();
    head.version = http::Version::HTTP_11;
    let body = body.map_err(|error| -> BodyError { error.into() }).boxed_unsync();
    Ok(Response::from_parts(head, body))
}

/// HTTP/2 has the host in the address.
fn absolute(uri: &Uri, headers: &HeaderMap) -> Result<Uri, BoxError> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority: uri::Authority = match uri.authority() {
        Some(authority) => authority.clone(),
        None => host.and_then(|host| host.parse().ok()).unwrap_or(uri::Authority::from_static("core")),
    };
    let path = uri.path_and_query().cloned().unwrap_or(uri::PathAndQuery::from_static("/"));
    Ok(Uri::builder().scheme("http").authority(authority).path_and_query(path).build()?)
}

/// Tries again what may be done twice and has no body, when no core answered at all.
#[derive(Clone)]
struct Again {
    budget: Arc<TpsBudget>,
    left: u32,
}

impl Again {
    fn new() -> Self {
        let budget = Arc::new(TpsBudget::new(RETRY_PERIOD, RETRIES_PER_SECOND, RETRY_SHARE));
        Self { budget, left: ATTEMPTS - 1 }
    }
}

impl Policy<Request<Body>, Response<Body>, BoxError> for Again {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _request: &mut Request<Body>,
        result: &mut Result<Response<Body>, BoxError>,
    ) -> Option<Self::Future> {
        if result.is_ok() {
            self.budget.deposit();
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        self.budget.withdraw().then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        let repeatable = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if !repeatable || !request.body().is_end_stream() {
            return None;
        }
        let mut again = Request::new(empty_body());
        *again.method_mut() = request.method().clone();
        *again.uri_mut() = request.uri().clone();
        *again.headers_mut() = request.headers().clone();
        *again.extensions_mut() = request.extensions().clone();
        Some(again)
    }
}

/// JSON, because the SDK never settles a promise on anything else.
fn unavailable() -> Response<Body> {
    let json = r#"{"error":"service_unavailable","error_description":"no core can serve now"}"#;
    let mut response = Response::new(bytes_body(json));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
