//! One line and two measurements per request. Never a query (it may hold a secret), a header or a name of a person.

use super::REQUEST_ID;
use crate::address::Peer;
use futures_util::future::{BoxFuture, FutureExt};
use http::{Request, Response, Version};
use std::{
    task::{Context, Poll},
    time::Instant,
};
use tower::Service;

const HEALTH: &str = "health";

#[derive(Clone, Debug)]
pub(super) struct AccessLog<S>(S);

impl<S> AccessLog<S> {
    pub(super) fn new(inner: S) -> Self {
        Self(inner)
    }
}

impl<S, B, R> Service<Request<B>> for AccessLog<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    R: 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let begun = Instant::now();
        let method = request.method().clone();
        let area = area(request.uri().path());
        let protocol = protocol(request.version());
        let tls = request.extensions().get::<Peer>().is_some_and(|peer| peer.tls);
        let id = request.headers().get(REQUEST_ID).cloned();
        let response = self.0.call(request);
        async move {
            let response = response.await?;
            let status = response.status().as_u16();
            let elapsed = begun.elapsed();
            metrics::counter!("gateway_requests_total", "area" => area, "status" => status.to_string())
                .increment(1);
            metrics::histogram!("gateway_request_seconds", "area" => area).record(elapsed.as_secs_f64());
            // Probes come every few seconds and say nothing new.
            if area != HEALTH {
                tracing::info!(
                    %method,
                    area,
                    protocol,
                    tls,
                    status,
                    duration_ms = elapsed.as_millis(),
                    request_id = id.as_ref().and_then(|id| id.to_str().ok()),
                    "request"
                );
            }
            Ok(response)
        }
        .boxed()
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "h2",
        Version::HTTP_10 => "http/1.0",
        _ => "http/1.1",
    }
}

/// What a path is about, from a fixed set: paths themselves name people and are endless.
fn area(path: &str) -> &'static str {
    const AREAS: [&str; 12] = [
        "token",
        "users",
        "user",
        "messages",
        "chatfiles",
        "chatgroups",
        "chatrooms",
        "thread",
        "reaction",
        "metadata",
        "presence",
        "sdk",
    ];
    match path {
        "/websocket" | "/ws/v1" => return "websocket",
        "/healthz" | "/readyz" => return HEALTH,
        _ => {}
    }
    let third = path.split('/').nth(3).unwrap_or_default();
    AREAS.into_iter().find(|area| *area == third).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_come_from_a_fixed_set() {
        assert_eq!(area("/websocket"), "websocket");
        assert_eq!(area("/org/app/users/alice"), "users");
        assert_eq!(area("/org/app/chatfiles"), "chatfiles");
        assert_eq!(area("/org/app/alice"), "other");
        assert_eq!(area("/"), "other");
        assert_eq!(area(""), "other");
    }
}
