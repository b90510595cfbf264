//! Whether users are online, and what waits for them.

use crate::{
    body_reader::{self, LIST},
    call::Call,
    envelope::Envelope,
    error::ApiError,
    handlers::Answer,
    service::Body,
};
use meridian_types::{MessageId, UserName};
use serde_json::{Map, Value};

const MAX_BATCH: usize = 100;

/// `GET /users/{username}/status`
pub(crate) async fn status(call: Call, _body: Body) -> Answer {
    let user = call.path_user().await?;
    let online = call.state.chat.is_online(&call.app, &user.username).await;
    Ok(Envelope::plain(&call, pair(user.username.as_str(), word(online)), 0).into_response())
}

/// `POST /users/batch/status`. Unknown users are offline.
pub(crate) async fn batch_status(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, LIST, call.state.config.body_deadline).await?;
    let Some(names) = fields.get("usernames").and_then(Value::as_array).filter(|names| !names.is_empty())
    else {
        return Err(ApiError::illegal_argument("usernames is empty"));
    };
    if names.len() > MAX_BATCH {
        let text = format!("request body exceeds maximum limit, maximum limit is {MAX_BATCH}");
        return Err(ApiError::illegal_argument(text));
    }
    let mut data = Vec::with_capacity(names.len());
    for name in names {
        let text = name.as_str().ok_or_else(|| ApiError::illegal_argument("usernames must be strings"))?;
        data.push(match UserName::parse(text) {
            Ok(name) => pair(name.as_str(), word(call.state.chat.is_online(&call.app, &name).await)),
            Err(_) => pair(text, word(false)),
        });
    }
    Ok(Envelope::bare(&call, "get batch user status").data(data).into_response())
}

/// `GET /users/{username}/offline_msg_count`
pub(crate) async fn offline_count(call: Call, _body: Body) -> Answer {
    let user = call.path_user().await?;
    let count = call.state.chat.offline_count(&call.app, &user.username).await?;
    Ok(Envelope::plain(&call, pair(user.username.as_str(), count), 0).into_response())
}

/// `GET /users/{username}/offline_msg_status/{message}`. Unknown messages count as delivered.
pub(crate) async fn offline_status(call: Call, _body: Body) -> Answer {
    let user = call.path_user().await?;
    let text = call.param("message");
    let delivered = match text.parse() {
        Ok(id) => call.state.chat.is_delivered(&call.app, &user.username, MessageId(id)).await?,
        Err(_) => true,
    };
    let word = if delivered { "delivered" } else { "undelivered" };
    Ok(Envelope::plain(&call, pair(text, word), 0).into_response())
}

fn word(online: bool) -> &'static str {
    if online { "online" } else { "offline" }
}

fn pair(name: &str, value: impl Into<Value>) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), value.into())]))
}
