//! A preflight has no body, and says so: 204 where the CORS layer would say 200.

use futures_util::{FutureExt, TryFutureExt, future::BoxFuture};
use http::{Method, Request, Response, StatusCode};
use std::task::{Context, Poll};
use tower::Service;

#[derive(Clone, Debug)]
pub(super) struct NoContent<S>(S);

impl<S> NoContent<S> {
    pub(super) fn new(inner: S) -> Self {
        Self(inner)
    }
}

impl<S, B, R> Service<Request<B>> for NoContent<S>
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
        let preflight = request.method() == Method::OPTIONS;
        let response = self.0.call(request);
        response
            .map_ok(move |mut response| {
                if preflight && response.status() == StatusCode::OK {
                    *response.status_mut() = StatusCode::NO_CONTENT;
                }
                response
            })
            .boxed()
    }
}
