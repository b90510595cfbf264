//! Block lists.

use super::{contacts, device, names, number, peer};
use crate::{
    body_reader::{self, LIST},
    call::Call,
    envelope::{Envelope, user_entity},
    handlers::Answer,
    service::Body,
};
use meridian_types::UserName;
use serde_json::Value;

const PAGE: usize = 50;
const AT_ONCE: usize = 500;

/// `POST /users/{username}/blocks/users`, and `/sdk/user/{username}/blocks`
pub(crate) async fn add(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, LIST, call.state.config.body_deadline).await?;
    let people = names(fields.get("usernames"), "usernames", AT_ONCE)?;
    let user = call.path_user().await?;
    let device = device(&call);
    let blocked = call.state.chat.block(&call.app, &user.username, &people, device.as_ref()).await?;
    let data: Vec<Value> = blocked.iter().map(|name| name.as_str().into()).collect();
    let count = data.len();
    Ok(Envelope::plain(&call, data, count).into_response())
}

/// `GET /users/{username}/blocks/users`
pub(crate) async fn list(call: Call, _body: Body) -> Answer {
    let limit = match call.request.query.get("pageSize") {
        Some(_) => Some(number(&call, "pageSize", PAGE, PAGE)?),
        None => None,
    };
    let user = call.path_user().await?;
    let cursor = call.request.query.get("cursor");
    let page = call.state.chat.blocked(&call.app, &user.username, cursor, limit).await?;
    let count = page.items.len();
    Ok(Envelope::plain(&call, page.items, count).cursor(page.cursor).into_response())
}

/// `DELETE /users/{username}/blocks/users/{peer}`
pub(crate) async fn remove(call: Call, _body: Body) -> Answer {
    let user = call.path_user().await?;
    let blocked = peer(&call, "peer").await?;
    let one = [blocked.username.clone()];
    call.state.chat.unblock(&call.app, &user.username, &one, device(&call).as_ref()).await?;
    let path = format!("/users/{}/blocks", user.uuid);
    Ok(Envelope::full(&call, &path).entities(vec![user_entity(&blocked)]).into_response())
}

/// `DELETE /sdk/user/{username}/blocks`
pub(crate) async fn remove_many(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, LIST, call.state.config.body_deadline).await?;
    let people = names(fields.get("usernames"), "usernames", AT_ONCE)?;
    let user = call.path_user().await?;
    call.state.chat.unblock(&call.app, &user.username, &people, device(&call).as_ref()).await?;
    let data: Vec<Value> = people.iter().map(UserName::as_str).map(Value::from).collect();
    let count = data.len();
    Ok(Envelope::plain(&call, data, count).into_response())
}

/// `POST /blocks/check`
pub(crate) async fn check(call: Call, body: Body) -> Answer {
    let (user, names) = contacts::checked(&call, body).await?;
    let found = call.state.chat.are_blocked(&call.app, &user, &names).await?;
    Ok(contacts::relations(&call, &names, &found, ["not_blacklist", "blacklist"]))
}
