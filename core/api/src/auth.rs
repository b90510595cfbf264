//! Who may call a route.

use crate::{call::is_uuid, error::ApiError, service::State};
use http::{HeaderMap, header};
use meridian_chat::{App, ChatError, Identity};
use meridian_types::UserName;

/// The auth column of the table. The app's own token may do everything that a named user may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuthClass {
    /// Open, or checked by the handler itself.
    None,
    App,
    /// The user whom the path names.
    Own,
    AppOrOwn,
    AppOrUser,
    /// Any user, who is then the one who acts.
    User,
}

impl AuthClass {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "none" => Self::None,
            "app" => Self::App,
            "self" => Self::Own,
            "app|self" => Self::AppOrOwn,
            "app|user" => Self::AppOrUser,
            "user" => Self::User,
            _ => return None,
        })
    }

    pub(crate) fn names_user(self) -> bool {
        matches!(self, Self::Own | Self::AppOrOwn)
    }
}

/// Checks the bearer against the class; `path_user` is the user whom the path names.
pub(crate) async fn authorize(
    state: &State,
    app: &App,
    class: AuthClass,
    headers: &HeaderMap,
    path_user: &str,
) -> Result<Option<Identity>, ApiError> {
    if class == AuthClass::None {
        return Ok(None);
    }
    let bearer = bearer(headers)?.ok_or_else(ApiError::missing_token)?;
    let identity = state.chat.identify(app, bearer).await?;
    let allowed = match (&identity, class) {
        (Identity::App, AuthClass::User) => false,
        (Identity::App, _) | (Identity::User(_), AuthClass::AppOrUser | AuthClass::User) => true,
        (Identity::User(_), AuthClass::App | AuthClass::None) => false,
        (Identity::User(user), AuthClass::Own | AuthClass::AppOrOwn) => {
            is_named(state, app, user, path_user).await?
        }
    };
    if allowed { Ok(Some(identity)) } else { Err(ApiError::no_right()) }
}

async fn is_named(state: &State, app: &App, user: &UserName, text: &str) -> Result<bool, ApiError> {
    if text.eq_ignore_ascii_case(user.as_str()) {
        return Ok(true);
    }
    if !is_uuid(text) {
        return Ok(false);
    }
    match state.chat.user_by_uuid(app, text).await {
        Ok(named) => Ok(&named.username == user),
        Err(ChatError::UserNotFound) => Ok(false),
        Err(other) => Err(other.into()),
    }
}

/// The bearer token, or `None` without an `Authorization` header.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| ApiError::illegal_token())?.trim();
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => {
            Ok(Some(token.trim()))
        }
        // Clients without a token send the bare word.
        _ if text.is_empty() || text.eq_ignore_ascii_case("bearer") => Ok(None),
        _ => Err(ApiError::illegal_token()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn of(value: &'static str) -> Result<Option<String>, &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
        bearer(&headers).map(|token| token.map(str::to_owned)).map_err(|error| error.error)
    }

    #[test]
    fn bearers_are_read() {
        assert_eq!(bearer(&HeaderMap::new()).unwrap(), None);
        assert_eq!(of("Bearer abc"), Ok(Some("abc".into())));
        assert_eq!(of("bearer  abc "), Ok(Some("abc".into())));
        assert_eq!(of("Bearer"), Ok(None));
        assert_eq!(of("Bearer "), Ok(None));
        assert_eq!(of(""), Ok(None));
        assert_eq!(of("Basic abc"), Err("unauthorized"));
        assert_eq!(of("abc"), Err("unauthorized"));
    }
}
