//! The demo page: a small chat over the open JSON protocol, to see the server work. Only where it is switched on.

use http::{HeaderValue, Method, Response, StatusCode, header};
use meridian_link::{Body, bytes_body, empty_body};

const PAGE: &str = include_str!("index.html");
const SCRIPT: &str = include_str!("chat.js");
const STYLE: &str = include_str!("style.css");
/// Nothing but what this server serves.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page or a part of it; `None`: the path is not of the demo.
pub(super) fn page(method: &Method, path: &str, app_key: &str) -> Option<Response<Body>> {
    let (kind, text) = match path {
        "/" => ("text/html; charset=utf-8", PAGE.replace("{{app}}", &escaped(app_key))),
        "/demo/chat.js" => ("text/javascript; charset=utf-8", SCRIPT.to_owned()),
        "/demo/style.css" => ("text/css; charset=utf-8", STYLE.to_owned()),
        _ => return None,
    };
    let mut response = Response::new(match *method {
        Method::GET => bytes_body(text),
        Method::HEAD => empty_body(),
        _ => {
            let mut response = Response::new(empty_body());
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Some(response);
        }
    });
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Some(response)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_paths_are_served() {
        for path in ["/", "/demo/chat.js", "/demo/style.css"] {
            assert_eq!(page(&Method::GET, path, "demo#chat").unwrap().status(), 200, "{path}");
            assert_eq!(page(&Method::POST, path, "demo#chat").unwrap().status(), 405, "{path}");
        }
        assert!(page(&Method::GET, "/demo/chat/users", "demo#chat").is_none());
        assert_eq!(escaped("a\"<b&#c"), "a&quot;&lt;b&amp;#c");
    }
}
