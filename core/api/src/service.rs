//! The pipeline every request goes through: route, app, token, rate, handler.

use crate::{
    ApiConfig,
    auth::authorize,
    call::{Call, Params, Request},
    envelope::{error_response, flat},
    error::ApiError,
    files::thumbnail::Thumbnailer,
    handlers::{Answer, AppHandler, Handler},
    query::Query,
    rate::{COUNTED, Group, RateLimits},
    router::{Match, Route, Router},
};
use bytes::Bytes;
use http::{HeaderValue, Method, Response, header};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use meridian_chat::{App, Chat, ChatError, Identity};
use meridian_types::AppKey;
use serde_json::json;
use std::{error::Error as StdError, sync::Arc, time::Instant};

/// A streaming body; the same type as the link's, which this crate must not know.
pub type Body = UnsyncBoxBody<Bytes, Box<dyn StdError + Send + Sync>>;

pub(crate) fn bytes_body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// The REST surface of one core. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Api {
    state: Arc<State>,
}

/// What every call shares.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) chat: Chat,
    pub(crate) config: ApiConfig,
    pub(crate) thumbnails: Thumbnailer,
    router: Router,
    limits: RateLimits,
}

/// A handler with the app and the caller it may run for.
type Checked = (AppHandler, Arc<App>, Option<Identity>);

impl Api {
    /// # Panics
    ///
    /// When the built-in table of routes is broken, which a unit test rules out.
    #[must_use]
    pub fn new(chat: Chat, config: ApiConfig) -> Self {
        let router = Router::load().expect("the built-in table of routes is valid");
        let state = State {
            chat,
            thumbnails: Thumbnailer::new(config.thumbnail_workers, config.thumbnail_wait),
            router,
            limits: RateLimits::new(config.rate_buckets),
            config,
        };
        Self { state: Arc::new(state) }
    }

    /// Answers one request. Never fails: every error has the documented shape.
    pub async fn handle(&self, request: http::Request<Body>) -> Response<Body> {
        let started = Instant::now();
        let (parts, body) = request.into_parts();
        let method = parts.method.clone();
        let path = parts.uri.path().to_owned();
        let found = self.state.router.find(&method, &path);
        let (label, answer) = match found {
            Match::Found(route, params) => {
                let request = Request {
                    method: parts.method,
                    query: Query::parse(parts.uri.query()),
                    uri: parts.uri,
                    headers: parts.headers,
                    params,
                    started,
                };
                (route.template, self.answer(route, request, body).await)
            }
            Match::Methods(methods) => ("(method)", Ok(other_method(&method, &methods, started))),
            Match::Nothing => ("(none)", Err(ApiError::not_found())),
        };
        let mut response = answer.unwrap_or_else(|error| {
            log(label, &error);
            error_response(&error, started)
        });
        if method == Method::HEAD {
            *response.body_mut() = bytes_body(Bytes::new());
        }
        let status = response.status().as_str().to_owned();
        metrics::counter!("api_requests_total", "route" => label, "status" => status).increment(1);
        metrics::histogram!("api_request_seconds", "route" => label).record(started.elapsed().as_secs_f64());
        response
    }

    async fn answer(&self, route: &Route, request: Request, body: Body) -> Answer {
        if let Some(Handler::Server(handler)) = route.handler {
            return handler(Arc::clone(&self.state), request).await;
        }
        let (handler, app, caller) = self.check(route, &request).await?;
        handler(Call { state: Arc::clone(&self.state), app, caller, request }, body).await
    }

    /// The checks before a handler may run.
    async fn check(&self, route: &Route, request: &Request) -> Result<Checked, ApiError> {
        let app = self.state.app(&request.params, request.uri.path()).await?;
        let user = if route.auth.names_user() { request.params.get("username") } else { "" };
        let caller = authorize(&self.state, &app, route.auth, &request.headers, user).await?;
        self.state.take(&app, route.rate, 1).await?;
        match route.handler {
            Some(Handler::App(handler)) => Ok((handler, app, caller)),
            _ => Err(ApiError::not_implemented(&format!("{} {}", route.method, route.template))),
        }
    }
}

impl State {
    async fn app(&self, params: &Params, path: &str) -> Result<Arc<App>, ApiError> {
        let (org, app) = (params.get("org"), params.get("app"));
        let missing = || ApiError::app_not_found(org, app, path);
        let key = AppKey::new(org, app).map_err(|_| missing())?;
        self.chat.app(&key).await.map_err(|error| match error {
            ChatError::AppNotFound => missing(),
            other => other.into(),
        })
    }

    pub(crate) async fn take(&self, app: &App, group: Group, cost: u32) -> Result<(), ApiError> {
        let (tenant, factor) = (app.tenant, app.settings.rate_factor);
        if factor > 0
            && let Some(report) = self.limits.report(tenant, group, factor, Instant::now())
        {
            let counter = report.counter();
            let sum = self.chat.count(&counter, report.calls(), COUNTED).await;
            self.limits.reported(&report, sum);
        }
        if self.limits.take(tenant, group, factor, cost, Instant::now()) {
            Ok(())
        } else {
            Err(ApiError::reach_limit())
        }
    }
}

/// The answer on a path that exists, but not with this method.
fn other_method(method: &Method, methods: &[&Method], started: Instant) -> Response<Body> {
    let mut response = if method == Method::OPTIONS {
        flat(&json!({}))
    } else {
        error_response(&ApiError::method_not_allowed(), started)
    };
    let mut names: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    names.push("OPTIONS");
    if let Ok(allow) = HeaderValue::try_from(names.join(", ")) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// Failures of the server are logged here, once; those of callers are only counted.
fn log(route: &str, error: &ApiError) {
    if !error.status.is_server_error() || error.status == http::StatusCode::NOT_IMPLEMENTED {
        return;
    }
    let mut cause = error.source.as_ref().map(|error| error as &dyn StdError);
    let mut causes = String::new();
    while let Some(error) = cause {
        causes.push_str(": ");
        causes.push_str(&error.to_string());
        cause = error.source();
    }
    tracing::warn!(route, status = error.status.as_u16(), "request failed{causes}");
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use futures_util::FutureExt;
    use serde_json::Value;

    /// The JSON of an answer whose body is whole.
    pub(crate) fn read_json(response: Response<Body>) -> Value {
        let collected = response.into_body().collect().now_or_never().unwrap().unwrap();
        serde_json::from_slice(&collected.to_bytes()).unwrap()
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        let response = other_method(&Method::PATCH, &[&Method::GET, &Method::DELETE], Instant::now());
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()[header::ALLOW], "GET, DELETE, HEAD, OPTIONS");
        assert_eq!(read_json(response)["error"], "method not allowed");
        let response = other_method(&Method::OPTIONS, &[&Method::POST], Instant::now());
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[header::ALLOW], "POST, OPTIONS");
    }
}
