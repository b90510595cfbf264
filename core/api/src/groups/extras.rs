//! Announcement, attributes of members, and who has read a message.

use super::{
    Fields, act_on_one, actor, answer, asker, failure, group_id, limited, seen_by_member, seen_inside,
};
use crate::{
    body_reader::{self, LIST, SMALL},
    call::Call,
    envelope::{Envelope, now_ms},
    error::ApiError,
    handlers::Answer,
    people::{names, number},
    service::Body,
};
use http::StatusCode;
use meridian_chat::{ChatError, GroupAction, MucError, Role};
use meridian_types::{MessageId, MucId, UserName};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const ANNOUNCEMENT: usize = 512;
const TARGETS: usize = 10;
const KEY_BYTES: usize = 16;
const VALUE_BYTES: usize = 512;
const KEYS: usize = 100;
const READERS: usize = 500;
/// What client SDKs know the errors of members' attributes by.
const NO_PERMISSION: u32 = 60002;
const NOT_IN_GROUP: u32 = 60003;

/// `GET /chatgroups/{group}/announcement`
pub(crate) async fn announcement(call: Call, _body: Body) -> Answer {
    let id = group_id(&call)?;
    let group = seen_inside(&call, id).await?;
    let data = json!({ "announcement": group.info.announcement });
    Ok(answer(&call, id, "announcement").data(data).into_response())
}

/// `POST /chatgroups/{group}/announcement`
pub(crate) async fn announce(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let text = limited(&fields, &["announcement"], ANNOUNCEMENT)?;
    let text = text.ok_or_else(|| ApiError::illegal_argument("announcement is required"))?;
    let id = group_id(&call)?;
    act_on_one(&call, id, GroupAction::Announce(text.to_owned())).await?;
    let data = json!({ "id": id.to_string(), "result": true });
    Ok(answer(&call, id, "announcement").data(data).into_response())
}

fn user(call: &Call, name: &str) -> Result<UserName, ApiError> {
    UserName::parse(call.param(name)).map_err(|_| ApiError::not_found())
}

/// `PUT /metadata/chatgroup/{group}/user/{username}`
pub(crate) async fn set(call: Call, body: Body) -> Answer {
    let user = user(&call, "username")?;
    write(&call, user, body).await
}

/// `PUT /sdk/metadata/chatgroup/{group}/user/{peer}`
pub(crate) async fn set_by_client(call: Call, body: Body) -> Answer {
    let user = user(&call, "peer")?;
    write(&call, user, body).await
}

async fn write(call: &Call, user: UserName, body: Body) -> Answer {
    let fields = body_reader::object(body, LIST, call.state.config.body_deadline).await?;
    let changes = attributes(&fields)?;
    let id = place(call)?;
    let action = GroupAction::Attributes { user, changes: changes.clone() };
    let done = call.state.chat.manage_group(&call.app, id, actor(call), action).await;
    done.map_err(coded(call, id))?;
    Ok(Envelope::times_only(call).data(json!(changes)).into_response())
}

/// The group of a path on which the client SDK goes by [`coded`] numbers.
fn place(call: &Call) -> Result<MucId, ApiError> {
    group_id(call).map_err(|error| error.with_code(NOT_IN_GROUP))
}

/// The client SDK takes errors on paths without "chatgroups" for those of a room, unless a number tells.
fn coded(call: &Call, id: MucId) -> impl Fn(ChatError) -> ApiError {
    let failure = failure(call, id);
    move |error| match error {
        ChatError::Muc(MucError::NotMember { user }) => {
            let text = format!("user: {user} doesn't exist in group: {id}");
            ApiError::new(StatusCode::NOT_FOUND, "service_resource_not_found", text).with_code(NOT_IN_GROUP)
        }
        error @ ChatError::Muc(MucError::NotFound) => failure(error).with_code(NOT_IN_GROUP),
        error @ ChatError::Muc(MucError::NotPermitted { .. }) => failure(error).with_code(NO_PERMISSION),
        other => failure(other),
    }
}

/// A private group shows nothing to those who are not in.
async fn check_reader(call: &Call, id: MucId) -> Result<(), ApiError> {
    let group = call.state.chat.group(&call.app, id, asker(call)).await.map_err(coded(call, id))?;
    match asker(call) {
        Some(user) if group.role == Role::Outsider && !group.info.public => {
            Err(coded(call, id)(MucError::NotMember { user: user.clone() }.into()))
        }
        _ => Ok(()),
    }
}

fn attributes(fields: &Fields) -> Result<BTreeMap<String, String>, ApiError> {
    let wrong = || ApiError::illegal_argument("metaData must be an object of texts");
    let given = fields.get("metaData").and_then(Value::as_object).ok_or_else(wrong)?;
    if given.is_empty() || given.len() > KEYS {
        return Err(ApiError::illegal_argument(format!("metaData must have 1 to {KEYS} attributes")));
    }
    let mut attributes = BTreeMap::new();
    for (key, value) in given {
        let value = value.as_str().ok_or_else(wrong)?;
        if key.is_empty() || key.len() > KEY_BYTES {
            let text = format!("a key of an attribute has 1 to {KEY_BYTES} bytes");
            return Err(ApiError::illegal_argument(text).with_code(60006));
        }
        if value.len() > VALUE_BYTES {
            let text = format!("exceeds chatgroup user metadata single value limit: {VALUE_BYTES} bytes");
            return Err(ApiError::illegal_argument(text).with_code(60010));
        }
        attributes.insert(key.clone(), value.to_owned());
    }
    Ok(attributes)
}

/// `GET /metadata/chatgroup/{group}/user/{username}`
pub(crate) async fn of_one(call: Call, _body: Body) -> Answer {
    let (id, user) = (place(&call)?, user(&call, "username")?);
    check_reader(&call, id).await?;
    let mut all = call.state.chat.group_attributes(&call.app, id, std::slice::from_ref(&user), &[]).await?;
    Ok(Envelope::times_only(&call).data(json!(all.remove(&user).unwrap_or_default())).into_response())
}

/// `POST /metadata/chatgroup/{group}/get`, and under `/sdk`
pub(crate) async fn of_many(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let users = names(fields.get("targets"), "targets", TARGETS)?;
    let keys = match fields.get("properties") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(keys)) if keys.len() <= KEYS => {
            let keys: Option<Vec<String>> = keys.iter().map(|key| Some(key.as_str()?.to_owned())).collect();
            keys.ok_or_else(|| ApiError::illegal_argument("properties must be texts"))?
        }
        Some(_) => return Err(ApiError::illegal_argument("properties must be a list of texts")),
    };
    let id = place(&call)?;
    check_reader(&call, id).await?;
    let mut all = call.state.chat.group_attributes(&call.app, id, &users, &keys).await?;
    // Clients look into the answer for everybody whom they asked for.
    let of = |user: &UserName| (user.to_string(), json!(all.remove(user).unwrap_or_default()));
    let data: Fields = users.iter().map(of).collect();
    Ok(Envelope::times_only(&call).data(data).into_response())
}

/// `GET /chatgroups/{group}/acks/{message}`
pub(crate) async fn readers(call: Call, _body: Body) -> Answer {
    let id = group_id(&call)?;
    seen_by_member(&call, id).await?;
    let message = call.param("message").parse().map(MessageId).map_err(|_| ApiError::not_found())?;
    let limit = number(&call, "limit", READERS, READERS)?;
    let key = call.request.query.get("key");
    let page = call.state.chat.group_readers(&call.app, id, message, key, limit).await?;
    let total = call.state.chat.group_reader_count(&call.app, id, message).await?;
    let users: Vec<&str> = page.items.iter().map(|(user, _)| user.as_str()).collect();
    let data = json!({
        "ackmid": message.to_string(),
        "is_last": page.cursor.is_none(),
        "next_key": page.cursor.unwrap_or_default(),
        "timestamp": now_ms(),
        "total": total,
        "userlist": users,
    });
    Ok(answer(&call, id, "acks").data(data).into_response())
}
