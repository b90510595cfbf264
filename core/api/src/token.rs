//! Tokens: the grants, and when a token ends.

use crate::{
    auth::bearer,
    body_reader::{self, SMALL},
    call::Call,
    envelope::{flat, user_entity},
    error::ApiError,
    handlers::Answer,
    service::Body,
};
use http::StatusCode;
use meridian_chat::{ChatError, Identity, IssuedToken, TokenError};
use meridian_types::{NameError, UserName};
use serde_json::{Map, Value, json};

/// The longest life of a token that ends, in seconds: a hundred years, so that sums of times stay far from any limit.
const MAX_TTL: u64 = 100 * 365 * 24 * 3600;

/// `POST /token`
pub(crate) async fn grant(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let ttl = body_reader::number(&fields, "ttl")?.map(|ttl| ttl.min(MAX_TTL));
    let issued = match body_reader::text(&fields, "grant_type")? {
        Some("client_credentials") => app_token(&call, &fields, ttl).await?,
        Some("password") => password(&call, &fields, ttl).await?,
        Some("inherit") => inherit(&call, &fields, ttl).await?,
        // Its bearer is signed with a certificate that this server does not have.
        Some("agora") => return Err(TokenError::Revoked.into()),
        _ => return Err(ApiError::illegal_argument("grant_type is not supported")),
    };
    let mut answer = json!({ "access_token": issued.token, "expires_in": issued.expires_in_s });
    match &issued.user {
        Some(user) => answer["user"] = user_entity(user),
        None => answer["application"] = call.app.uuid.as_str().into(),
    }
    Ok(flat(&answer))
}

async fn app_token(
    call: &Call,
    fields: &Map<String, Value>,
    ttl: Option<u64>,
) -> Result<IssuedToken, ApiError> {
    let id = body_reader::text(fields, "client_id")?.unwrap_or_default();
    let secret = body_reader::text(fields, "client_secret")?.unwrap_or_default();
    Ok(call.state.chat.app_token(&call.app, id, secret, ttl).await?)
}

async fn password(
    call: &Call,
    fields: &Map<String, Value>,
    ttl: Option<u64>,
) -> Result<IssuedToken, ApiError> {
    let name = body_reader::text(fields, "username")?.unwrap_or_default();
    let password = body_reader::text(fields, "password")?.unwrap_or_default();
    // Nobody has a name that breaks the rules.
    let name = UserName::parse(name).map_err(|_| ApiError::from_grant(ChatError::UserNotFound))?;
    let issued = call.state.chat.user_token_by_password(&call.app, &name, password, ttl).await;
    issued.map_err(ApiError::from_grant)
}

async fn inherit(
    call: &Call,
    fields: &Map<String, Value>,
    ttl: Option<u64>,
) -> Result<IssuedToken, ApiError> {
    let bearer = bearer(&call.request.headers)?.ok_or_else(ApiError::no_right)?;
    if call.state.chat.identify(&call.app, bearer).await? != Identity::App {
        return Err(ApiError::no_right());
    }
    let text = body_reader::text(fields, "username")?.unwrap_or_default();
    let auto_create = body_reader::flag(fields, "autoCreateUser")?;
    let name = UserName::parse(text).map_err(|error| match error {
        NameError::Empty => ApiError::illegal_argument("username is required"),
        error if auto_create => ApiError::user_name(text, error),
        _ => ApiError::from_entity(ChatError::UserNotFound),
    })?;
    let issued = call.state.chat.user_token(&call.app, &name, auto_create, ttl).await;
    issued.map_err(|error| match error {
        ChatError::UserExists => {
            let text = "concurrency create app user failed";
            ApiError::new(StatusCode::CONFLICT, "concurrent_operation_error", text)
        }
        other => ApiError::from_entity(other),
    })
}

/// `GET /sdk/users/{username}/token/expires`: when the token that asks ends.
pub(crate) async fn expiry(call: Call, _body: Body) -> Answer {
    let token = bearer(&call.request.headers)?.ok_or_else(ApiError::missing_token)?;
    let ends = call.state.chat.token_expiry(&call.app, token).await?;
    Ok(flat(&json!({ "expire_timestamp": ends })))
}

/// `POST …/client/logs`: taken and thrown away. No client is asked to send any.
pub(crate) async fn client_logs(call: Call, body: Body) -> Answer {
    const LOG_LIMIT: usize = 2 * 1024 * 1024;
    body_reader::bytes(body, LOG_LIMIT, call.state.config.body_deadline).await?;
    Ok(flat(&json!({ "status": "ok" })))
}

/// Tokens for calls, which another server carries; this one knows none.
pub(crate) async fn rtc(_call: Call, _body: Body) -> Answer {
    Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden_op", "service not open!"))
}
