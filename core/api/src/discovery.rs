//! `GET /easemob/server.json`: where clients find REST and the socket. This node serves both on one address, so the
//! answer is the address that was asked.

use crate::{
    call::Request,
    envelope::{flat, now_ms},
    error::ApiError,
    handlers::Answer,
    service::State,
};
use http::uri::Authority;
use meridian_chat::{App, ChatError};
use meridian_types::AppKey;
use serde_json::{Value, json};
use std::sync::Arc;

/// How long clients may keep the document, in milliseconds.
const VALID_MS: u64 = 24 * 3600 * 1000;

pub(crate) async fn document(state: Arc<State>, request: Request) -> Answer {
    let app = app(&state, &request).await?;
    let mut document = describe(request.scheme(), request.host(), now_ms() + VALID_MS)
        .ok_or_else(|| ApiError::illegal_argument("the Host header is missing or malformed"))?;
    if let Some(app) = app {
        document["app_key"] = app.key.as_str().into();
    }
    Ok(flat(&document))
}

/// The app asked for, by key or by id; `None` when the request names none.
async fn app(state: &State, request: &Request) -> Result<Option<Arc<App>>, ApiError> {
    let missing = |text: &str| {
        let (org, app) = text.split_once('#').unwrap_or((text, ""));
        ApiError::app_not_found(org, app, request.uri.path())
    };
    if let Some(text) = request.query.get("app_key") {
        let key = AppKey::parse(text).map_err(|_| missing(text))?;
        return match state.chat.app(&key).await {
            Ok(app) => Ok(Some(app)),
            Err(ChatError::AppNotFound) => Err(missing(text)),
            Err(other) => Err(other.into()),
        };
    }
    if let Some(id) = request.query.get("app_id") {
        let apps = state.chat.apps().await?;
        return apps.into_iter().find(|app| app.uuid == id).map(Some).ok_or_else(|| missing(id));
    }
    Ok(None)
}

/// The document for one address, or `None` when it is none.
fn describe(scheme: &str, host: &str, valid_before: u64) -> Option<Value> {
    let authority: Authority = host.parse().ok()?;
    if authority.host().is_empty() || host.contains('@') {
        return None;
    }
    let secure = scheme == "https";
    let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 }).to_string();
    // Clients read the port, and every flag, as text.
    let hosts = |protocol: &str| json!({ "hosts": [{ "protocol": protocol, "domain": authority.host(), "port": port, "channel": "direct" }] });
    let socket = if secure { "wss" } else { "ws" };
    Some(json!({
        "deploy_name": "meridian",
        "file_version": "1",
        "valid_before": valid_before,
        "rest": hosts(scheme),
        "msync-wx": hosts(scheme),
        "msync-ws": hosts(socket),
        "enableReportLogs": "false",
        "reportInterval": "300000",
        "enableDataReport": "false",
        "enableMd5Check": "false",
        "uploadinparts_enable": "false",
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_asked_is_the_address_answered() {
        let document = describe("http", "127.0.0.1:8080", 7).unwrap();
        let rest = &document["rest"]["hosts"][0];
        assert_eq!(
            (&rest["protocol"], &rest["domain"], &rest["port"]),
            (&json!("http"), &json!("127.0.0.1"), &json!("8080"))
        );
        assert_eq!(document["msync-ws"]["hosts"][0]["protocol"], "ws");
        assert_eq!(document["msync-wx"]["hosts"][0]["protocol"], "http");
        assert_eq!(document["valid_before"], 7);

        let document = describe("https", "im.example.org", 7).unwrap();
        assert_eq!(document["msync-ws"]["hosts"][0]["port"], "443");
        assert_eq!(document["msync-ws"]["hosts"][0]["protocol"], "wss");
        assert_eq!(describe("http", "[::1]:80", 7).unwrap()["rest"]["hosts"][0]["domain"], "[::1]");
    }

    #[test]
    fn flags_are_text() {
        let document = describe("http", "localhost", 7).unwrap();
        for flag in ["enableReportLogs", "enableDataReport", "uploadinparts_enable"] {
            assert_eq!(document[flag], "false", "{flag}");
        }
    }

    #[test]
    fn a_bad_host_is_refused() {
        for host in ["", "a b", "a/b", "user@host", ":80"] {
            assert!(describe("http", host, 7).is_none(), "{host}");
        }
    }
}
