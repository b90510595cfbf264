//! JSON answers: the envelope of successes and of errors.
//!
//! Most endpoints share one envelope; the ones that break the rule are listed in the documentation, and old SDKs parse
//! them as they are, so every shape has its own constructor here.

use crate::{
    call::Call,
    error::{ApiError, SERVICE_NOT_OPEN},
    service::{Body, bytes_body},
};
use http::{HeaderValue, Response, StatusCode, header};
use meridian_chat::User;
use serde_json::{Map, Value, json};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Builds one success answer.
#[derive(Debug)]
pub(crate) struct Envelope<'c> {
    call: &'c Call,
    fields: Map<String, Value>,
}

impl<'c> Envelope<'c> {
    /// The usual one: action, application, organization, path, uri, entities and the times.
    pub(crate) fn full(call: &'c Call, path: &str) -> Self {
        let key = &call.app.key;
        Self { call, fields: Map::new() }
            .action(&call.request.method.as_str().to_ascii_lowercase())
            .set("application", call.app.uuid.as_str())
            .set("applicationName", key.app())
            .set("organization", key.org())
            .set("path", path)
            .set("uri", call.request.url())
            .set("entities", json!([]))
    }

    /// The one of status, counts and disconnects: without application and organization.
    pub(crate) fn plain(call: &'c Call, data: impl Into<Value>, count: usize) -> Self {
        Self { call, fields: Map::new() }
            .action(&call.request.method.as_str().to_ascii_lowercase())
            .set("uri", call.request.url())
            .set("entities", json!([]))
            .set("data", data)
            .set("count", count)
    }

    /// Only an action and the times.
    pub(crate) fn bare(call: &'c Call, action: &str) -> Self {
        Self { call, fields: Map::new() }.action(action)
    }

    /// Nothing but what is set, and the times.
    pub(crate) fn times_only(call: &'c Call) -> Self {
        Self { call, fields: Map::new() }
    }

    pub(crate) fn action(self, action: &str) -> Self {
        self.set("action", action)
    }

    pub(crate) fn data(self, data: impl Into<Value>) -> Self {
        self.set("data", data)
    }

    pub(crate) fn entities(self, entities: Vec<Value>) -> Self {
        self.set("entities", entities)
    }

    pub(crate) fn count(self, count: usize) -> Self {
        self.set("count", count)
    }

    pub(crate) fn params(self) -> Self {
        let echo = self.call.request.query.echo();
        self.set("params", echo)
    }

    /// Clients loop until there is no cursor, so an empty one must not be written.
    pub(crate) fn cursor(self, cursor: Option<String>) -> Self {
        match cursor {
            Some(cursor) => self.set("cursor", cursor),
            None => self,
        }
    }

    pub(crate) fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let started = self.call.request.started;
        let mut fields = self.fields;
        times(&mut fields, started);
        response(StatusCode::OK, &Value::Object(fields))
    }
}

/// An answer without any envelope.
pub(crate) fn flat(value: &Value) -> Response<Body> {
    response(StatusCode::OK, value)
}

pub(crate) fn error_response(error: &ApiError, started: Instant) -> Response<Body> {
    let mut fields = Map::new();
    fields.insert("error".into(), error.error.into());
    fields.insert("exception".into(), error.exception().into());
    fields.insert("error_description".into(), error.description.as_ref().into());
    if let Some(code) = error.code {
        fields.insert("error_code".into(), code.into());
    }
    if error.error == SERVICE_NOT_OPEN {
        // Where the client SDK looks.
        fields.insert("result".into(), error.description.as_ref().into());
    }
    times(&mut fields, started);
    response(error.status, &Value::Object(fields))
}

fn times(fields: &mut Map<String, Value>, started: Instant) {
    fields.insert("timestamp".into(), now_ms().into());
    let spent = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    fields.insert("duration".into(), spent.into());
}

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn response(status: StatusCode, value: &Value) -> Response<Body> {
    let text = value.to_string();
    let length = text.len();
    let mut response = Response::new(bytes_body(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_LENGTH, length.into());
    // Answers hold tokens and private data; no proxy may keep them.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A user as answers show it.
pub(crate) fn user_entity(user: &User) -> Value {
    let mut entity = json!({
        "uuid": user.uuid,
        "type": "user",
        "created": user.created.0,
        "modified": user.modified.0,
        "username": user.username.as_str(),
        "activated": user.activated,
    });
    if let Some(nickname) = &user.nickname {
        entity["nickname"] = nickname.as_str().into();
    }
    entity
}

#[cfg(test)]
mod tests {
    use super::*;
    use meridian_types::{Millis, UserName};

    #[test]
    fn a_user_entity_has_the_documented_fields() {
        let mut user = User {
            uuid: "u".into(),
            username: UserName::parse("Ann").unwrap(),
            created: Millis(1),
            modified: Millis(2),
            activated: true,
            nickname: None,
        };
        let expected = json!({"uuid": "u", "type": "user", "created": 1, "modified": 2, "username": "ann",
            "activated": true});
        assert_eq!(user_entity(&user), expected);
        user.nickname = Some("A".into());
        assert_eq!(user_entity(&user)["nickname"], "A");
    }

    #[test]
    fn an_error_has_the_documented_fields() {
        let response = error_response(&ApiError::not_found(), Instant::now());
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        let body = crate::service::tests::read_json(response);
        for field in ["error", "exception", "error_description", "timestamp", "duration"] {
            assert!(body.get(field).is_some(), "{field}");
        }
        assert!(body.get("error_code").is_none());
    }
}
