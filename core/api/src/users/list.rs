//! All users of an app.

use crate::{
    call::Call,
    envelope::{Envelope, user_entity},
    error::ApiError,
    handlers::Answer,
    service::Body,
};
use meridian_chat::ChatError;

const DEFAULT_LIMIT: usize = 10;
const MAX_LIMIT: usize = 100;

/// `GET /users?limit&cursor`
pub(crate) async fn list(call: Call, _body: Body) -> Answer {
    let page = call.state.chat.users(&call.app, call.request.query.get("cursor"), limit(&call)?).await?;
    let entities: Vec<_> = page.items.iter().map(user_entity).collect();
    let count = entities.len();
    let envelope = Envelope::full(&call, "/users").params().entities(entities).count(count);
    Ok(envelope.cursor(page.cursor).into_response())
}

/// `DELETE /users?limit`: the oldest ones.
pub(crate) async fn delete_oldest(call: Call, _body: Body) -> Answer {
    let page = call.state.chat.users(&call.app, call.request.query.get("cursor"), limit(&call)?).await?;
    let mut entities = Vec::with_capacity(page.items.len());
    for user in &page.items {
        match call.state.chat.delete_user(&call.app, &user.username).await {
            Ok(user) => entities.push(user_entity(&user)),
            // Somebody else was faster.
            Err(ChatError::UserNotFound) => {}
            Err(other) => return Err(other.into()),
        }
    }
    let count = entities.len();
    let envelope = Envelope::full(&call, "/users").params().entities(entities).count(count);
    Ok(envelope.cursor(page.cursor).into_response())
}

fn limit(call: &Call) -> Result<usize, ApiError> {
    let Some(text) = call.request.query.get("limit") else {
        return Ok(DEFAULT_LIMIT);
    };
    let limit: usize = text.parse().map_err(|_| ApiError::illegal_argument("limit must be a number"))?;
    Ok(limit.clamp(1, MAX_LIMIT))
}
