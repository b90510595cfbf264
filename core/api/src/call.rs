//! A request on its way through the pipeline.

use crate::{error::ApiError, query::Query, service::State};
use http::{HeaderMap, Method, Uri, header};
use meridian_chat::{App, ChatError, Identity, User};
use meridian_types::UserName;
use std::{fmt, sync::Arc, time::Instant};

/// The parts of a request that every route has.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) query: Query,
    pub(crate) params: Params,
    pub(crate) started: Instant,
}

impl Request {
    /// `http` or `https`, as the client sees it: the gateway, which ends TLS, says so.
    pub(crate) fn scheme(&self) -> &'static str {
        let forwarded = self.headers.get("x-forwarded-proto").map(|value| value.as_bytes());
        let own = self.uri.scheme_str().map(str::as_bytes);
        match forwarded.or(own) {
            Some(b"https") => "https",
            _ => "http",
        }
    }

    /// Host and port that the client asked; empty when it named none.
    pub(crate) fn host(&self) -> &str {
        let header = self.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        header.or(self.uri.authority().map(http::uri::Authority::as_str)).unwrap_or_default()
    }

    /// The absolute URL without its query.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}{}", self.scheme(), self.host(), self.uri.path())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().map(str::trim)
    }
}

/// Headers and query hold tokens and secrets.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.uri.path())
            .finish_non_exhaustive()
    }
}

/// The values of a route's parameters.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Params(pub(crate) Vec<(&'static str, String)>);

impl Params {
    /// Empty when the route has no such parameter; a unit test of the table rules that out for handlers.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }
}

impl Params {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| *key == name)
    }
}

/// A request to an app, after the checks that the table asks for.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) state: Arc<State>,
    pub(crate) app: Arc<App>,
    /// `None` on routes without a check.
    pub(crate) caller: Option<Identity>,
    pub(crate) request: Request,
}

impl Call {
    pub(crate) fn param(&self, name: &str) -> &str {
        self.request.params.get(name)
    }

    /// The user that the path names, by name or by uuid.
    pub(crate) async fn path_user(&self) -> Result<User, ChatError> {
        let text = self.param("username");
        let by_name = match UserName::parse(text) {
            Ok(name) => self.state.chat.user(&self.app, &name).await,
            Err(_) => Err(ChatError::UserNotFound),
        };
        match by_name {
            Err(ChatError::UserNotFound) if is_uuid(text) => {
                self.state.chat.user_by_uuid(&self.app, text).await
            }
            other => other,
        }
    }

    /// Charges more than the one that every call costs.
    pub(crate) async fn charge(&self, group: crate::rate::Group, extra: u32) -> Result<(), ApiError> {
        self.state.take(&self.app, group, extra).await
    }
}

/// Whether a text could be one of the uuids that the server makes.
pub(crate) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_told_from_names() {
        assert!(is_uuid("123e4567-e89b-12d3-a456-426614174000"));
        assert!(!is_uuid("123e4567-e89b-12d3-a456-42661417400"));
        assert!(!is_uuid("123e4567-e89b-12d3-a456-42661417400g"));
        assert!(!is_uuid("alice"));
    }
}
