//! Announcement, attributes of members, and who has read a message.

use super::{Fields, act_on_one, group_id, limited, seen_inside};
use crate::{
    body_reader::{self, LIST, SMALL},
    call::Call,
    envelope::{Envelope, now_ms},
    error::ApiError,
    handlers::Answer,
    people::{names, number},
    service::Body,
};
use meridian_chat::GroupAction;
use meridian_types::{MessageId, MucId, UserName};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const ANNOUNCEMENT: usize = 512;
const TARGETS: usize = 10;
const KEY_BYTES: usize = 16;
const VALUE_BYTES: usize = 512;
const KEYS: usize = 100;
const READERS: usize = 500;

/// `GET /chatgroups/{group}/announcement`
pub(crate) async fn announcement(call: Call, _body: Body) -> Answer {
    let id = group_id(&call)?;
    let group = seen_inside(&call, id).await?;
    let data = json!({ "announcement": group.info.announcement });
    Ok(Envelope::full(&call, &format!("/chatgroups/{id}/announcement")).data(data).into_response())
}

/// `POST /chatgroups/{group}/announcement`
pub(crate) async fn announce(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let text = limited(&fields, &["announcement"], ANNOUNCEMENT)?;
    let text = text.ok_or_else(|| ApiError::illegal_argument("announcement is required"))?;
    let id = group_id(&call)?;
    act_on_one(&call, id, GroupAction::Announce(text.to_owned())).await?;
    let data = json!({ "id": id.to_string(), "result": true });
    Ok(Envelope::full(&call, &format!("/chatgroups/{id}/announcement")).data(data).into_response())
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
    let action = GroupAction::Attributes { user, changes: changes.clone() };
    act_on_one(call, group_id(call)?, action).await?;
    Ok(Envelope::times_only(call).data(json!(changes)).into_response())
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
    let (id, user) = (group_id(&call)?, user(&call, "username")?);
    seen_inside(&call, id).await?;
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
    let id: MucId = group_id(&call)?;
    seen_inside(&call, id).await?;
    let all = call.state.chat.group_attributes(&call.app, id, &users, &keys).await?;
    let data: Fields = all.iter().map(|(user, attributes)| (user.to_string(), json!(attributes))).collect();
    Ok(Envelope::times_only(&call).data(data).into_response())
}

/// `GET /chatgroups/{group}/acks/{message}`
pub(crate) async fn readers(call: Call, _body: Body) -> Answer {
    let id = group_id(&call)?;
    seen_inside(&call, id).await?;
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
    Ok(Envelope::full(&call, &format!("/chatgroups/{id}/acks")).data(data).into_response())
}
