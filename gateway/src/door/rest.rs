//! REST goes to the core. Bodies stream both ways; the head of the answer has a deadline.

use crate::config::GatewayConfig;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use meridian_link::{Body, CoreHandle, bytes_body};
use tokio::time::timeout;

pub(super) async fn forward(
    request: Request<Body>,
    core: &CoreHandle,
    config: &GatewayConfig,
) -> Response<Body> {
    let limit = if is_upload(&request) { config.upload_timeout } else { config.rest_timeout };
    match timeout(limit, core.rest(request)).await {
        Ok(response) => response,
        Err(_) => {
            tracing::warn!(limit_ms = limit.as_millis(), "the core did not answer a request in time");
            unavailable()
        }
    }
}

fn is_upload<B>(request: &Request<B>) -> bool {
    matches!(*request.method(), Method::POST | Method::PUT)
        && request.uri().path().split('/').any(|segment| segment == "chatfiles")
}

/// JSON, because the SDK never settles a promise on anything else; 503 because it knows that number.
fn unavailable() -> Response<Body> {
    let json = r#"{"error":"service_unavailable","error_description":"the server did not answer in time"}"#;
    let mut response = Response::new(bytes_body(json));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads_have_more_time() {
        let upload = |method: Method, path: &str| {
            is_upload(&Request::builder().method(method).uri(path).body(()).unwrap())
        };
        assert!(upload(Method::POST, "/org/app/chatfiles?chat-type=CHAT"));
        assert!(upload(Method::POST, "/org/app/sdk/chatfiles/part-upload"));
        assert!(!upload(Method::GET, "/org/app/chatfiles/1"));
        assert!(!upload(Method::POST, "/org/app/users"));
    }
}
