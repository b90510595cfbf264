//! Presence. Answers have only `result`, and numbers in it are texts.

use super::{names, number};
use crate::{
    body_reader::{self, LIST, SMALL},
    call::Call,
    envelope::flat,
    error::ApiError,
    handlers::Answer,
    service::Body,
};
use futures_util::{StreamExt, stream};
use meridian_chat::{ChatError, Identity, PresenceRecord};
use meridian_types::{MucId, MucKind, Resource, UserName};
use serde_json::{Map, Value, json};

const PEOPLE: usize = 100;
const LONGEST: u64 = 30 * 24 * 3600;
const PAGE: usize = 500;
const PAGES: usize = 100_000;

fn check_open(call: &Call) -> Result<(), ApiError> {
    match call.app.settings.presence_enabled {
        true => Ok(()),
        false => Err(ApiError::not_open("the app not open presence")),
    }
}

fn result(value: impl Into<Value>) -> Answer {
    Ok(flat(&json!({ "result": value.into() })))
}

/// `POST /users/{username}/presence/{resource}/{status}`
pub(crate) async fn publish(call: Call, body: Body) -> Answer {
    check_open(&call)?;
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let ext = body_reader::text(&fields, "ext")?;
    let ext = ext.ok_or_else(|| ApiError::illegal_argument("ext cannot be null"))?;
    if ext.len() > call.app.settings.presence_ext_limit {
        // The client SDK compares the text, with its blank.
        return Err(ApiError::illegal_argument("ext is too big "));
    }
    let resource = Resource::parse(call.param("resource"));
    let resource = resource.map_err(|_| ApiError::illegal_argument("resource not exist"))?;
    let status = call.param("status").parse::<i32>();
    let status = status.map_err(|_| ApiError::illegal_argument("status must be a number"))?;
    let user = call.path_user().await?;
    let published =
        call.state.chat.publish_presence(&call.app, &user.username, &resource, status.into(), ext);
    published.await?;
    result("ok")
}

/// `POST /users/{username}/presence/{expiry}`
pub(crate) async fn subscribe(call: Call, body: Body) -> Answer {
    check_open(&call)?;
    let seconds = call.param("expiry").parse::<u64>().ok().filter(|seconds| (1..=LONGEST).contains(seconds));
    let seconds = seconds
        .ok_or_else(|| ApiError::illegal_argument(format!("expiry must be between 1 and {LONGEST}")))?;
    let people = usernames(&call, body, "too many sub presence").await?;
    let user = call.path_user().await?;
    let records = call.state.chat.follow_presence(&call.app, &user.username, &people, seconds).await;
    let records = records.map_err(|error| match error {
        ChatError::Oneself => ApiError::illegal_argument("you can't sub yourself"),
        ChatError::SubscriptionLimit { .. } => ApiError::illegal_argument("too many sub presence"),
        other => other.into(),
    })?;
    result(records.iter().map(|read| record(read, true)).collect::<Vec<_>>())
}

/// `POST /users/{username}/presence`
pub(crate) async fn get(call: Call, body: Body) -> Answer {
    check_open(&call)?;
    let people = usernames(&call, body, "too many get presences").await?;
    call.path_user().await?;
    let records = call.state.chat.presences(&call.app, &people).await?;
    let for_client = matches!(call.caller, Some(Identity::User(_)));
    result(records.iter().map(|read| record(read, for_client)).collect::<Vec<_>>())
}

async fn usernames(call: &Call, body: Body, too_many: &'static str) -> Result<Vec<UserName>, ApiError> {
    let fields = body_reader::object(body, LIST, call.state.config.body_deadline).await?;
    let size = fields.get("usernames").and_then(Value::as_array).map_or(0, Vec::len);
    match size {
        0 => Err(ApiError::illegal_argument("usernames is empty")),
        1..=PEOPLE => names(fields.get("usernames"), "usernames", PEOPLE),
        _ => Err(ApiError::illegal_argument(too_many)),
    }
}

fn record(record: &PresenceRecord, with_expiry: bool) -> Value {
    let status: Map<String, Value> =
        record.status.iter().map(|(device, number)| (device.clone(), number.to_string().into())).collect();
    let never = record.last_time == 0 && record.ext.is_empty() && status.is_empty();
    let mut value = json!({
        "uid": record.user.as_str(),
        "last_time": record.last_time.to_string(),
        "ext": record.ext,
        "status": if never { json!([]) } else { Value::Object(status) },
    });
    if with_expiry {
        value["expiry"] = record.expiry.to_string().into();
    }
    value
}

/// `DELETE /users/{username}/presence`: a list, or an object with one.
pub(crate) async fn unsubscribe(call: Call, body: Body) -> Answer {
    check_open(&call)?;
    let json = body_reader::json(body, LIST, call.state.config.body_deadline).await?;
    let list = match &json {
        Value::Object(fields) => fields.get("users").or_else(|| fields.get("usernames")),
        other => Some(other),
    };
    let names: Option<Vec<String>> = list
        .and_then(Value::as_array)
        .and_then(|list| list.iter().map(|name| name.as_str().map(str::to_lowercase)).collect());
    let names = names.filter(|names| !names.is_empty());
    let names = names.ok_or_else(|| ApiError::illegal_argument("usernames is empty"))?;
    if names.len() > PEOPLE {
        return Err(ApiError::illegal_argument("too many unsub presence"));
    }
    let user = call.path_user().await?;
    call.state.chat.unfollow_presence(&call.app, &user.username, &names).await?;
    result("ok")
}

/// `GET /users/{username}/presence/sublist?pageNum&pageSize`
pub(crate) async fn subscriptions(call: Call, _body: Body) -> Answer {
    check_open(&call)?;
    let size = number(&call, "pageSize", 1, PAGE)?;
    let page = number(&call, "pageNum", 1, PAGES)?;
    let user = call.path_user().await?;
    let all = call.state.chat.presence_subscriptions(&call.app, &user.username).await?;
    let shown = all.iter().skip((page - 1) * size).take(size);
    let list: Vec<Value> = shown
        .map(|subscription| json!({ "uid": subscription.user, "expiry": subscription.expiry.to_string() }))
        .collect();
    result(json!({ "totalnum": all.len().to_string(), "sublist": list }))
}

/// Members that are asked for, one by one.
const ASKED: usize = 10_000;
const AT_ONCE: usize = 64;

/// `GET /presence/online/{group_id}/type/{type}`: how many members are connected. The id says what it is.
pub(crate) async fn online_in_group(call: Call, _body: Body) -> Answer {
    check_open(&call)?;
    if !matches!(call.param("type"), "0" | "1") {
        return Err(ApiError::illegal_argument("Type must be 0 or 1."));
    }
    let text = call.param("group_id");
    let missing = || ApiError::group_not_found(text);
    let id = MucId::parse(text).filter(|id| id.kind() == MucKind::Group).ok_or_else(missing)?;
    let (chat, app) = (&call.state.chat, &call.app);
    let failed = |error: ChatError| match error {
        ChatError::Muc(error) => ApiError::from_group(&error, text, false),
        other => other.into(),
    };
    if chat.group(app, id, None).await.map_err(failed)?.size > ASKED as u64 {
        return Err(ApiError::illegal_argument(format!("the group has more than {ASKED} members")));
    }
    let members = chat.group_members(app, id, None, ASKED, false).await.map_err(failed)?.items;
    let asked = stream::iter(members).map(|member| async move { chat.is_online(app, &member.user).await });
    let online = asked.buffer_unordered(AT_ONCE).filter(|online| std::future::ready(*online)).count().await;
    result(json!(online))
}
