//! Contacts and invitations.

use super::{device, names, number, peer};
use crate::{
    body_reader::{self, LIST, SMALL},
    call::Call,
    envelope::{Envelope, user_entity},
    error::ApiError,
    handlers::Answer,
    service::Body,
};
use meridian_chat::{Contact, Identity};
use meridian_types::UserName;
use serde_json::{Value, json};

const REMARK_CHARS: usize = 100;
const REASON_BYTES: usize = 1024;
const PAGE: usize = 50;
const IMPORT: usize = 10;
const CHECK: usize = 100;

/// `POST /users/{username}/contacts/users/{peer}`
pub(crate) async fn add(call: Call, _body: Body) -> Answer {
    let user = call.path_user().await?;
    let friend = peer(&call, "peer").await?;
    call.state.chat.add_contact(&call.app, &user.username, &friend.username, true).await?;
    let path = format!("/users/{}/contacts", user.uuid);
    Ok(Envelope::full(&call, &path).entities(vec![user_entity(&friend)]).into_response())
}

/// `DELETE /users/{username}/contacts/users/{peer}`
pub(crate) async fn remove(call: Call, _body: Body) -> Answer {
    let user = call.path_user().await?;
    let friend = peer(&call, "peer").await?;
    let removed = call.state.chat.remove_contact(&call.app, &user.username, &friend.username, device(&call));
    removed.await?;
    let path = format!("/users/{}/contacts", user.uuid);
    Ok(Envelope::full(&call, &path).entities(vec![user_entity(&friend)]).data(json!({})).into_response())
}

/// `DELETE /contacts/users/{member}`
pub(crate) async fn clear(call: Call, _body: Body) -> Answer {
    let user = peer(&call, "member").await?;
    let count = call.state.chat.clear_contacts(&call.app, &user.username).await?;
    Ok(Envelope::full(&call, "/contacts/users").count(count).into_response())
}

/// `GET /users/{username}/contacts/users`
pub(crate) async fn list(call: Call, _body: Body) -> Answer {
    let user = call.path_user().await?;
    let page = call.state.chat.contacts(&call.app, &user.username, None, None).await?;
    let names: Vec<Value> = page.items.iter().map(|contact| contact.username.as_str().into()).collect();
    let mut envelope = Envelope::plain(&call, names, page.items.len());
    if call.request.query.is_true("needReturnRemark") {
        envelope = envelope.entities(page.items.iter().map(|contact| entity(&call, contact)).collect());
    }
    Ok(envelope.into_response())
}

/// `GET /user/{username}/contacts`, and under `/users`
pub(crate) async fn page(call: Call, _body: Body) -> Answer {
    let default = number(&call, "pageSize", 10, PAGE)?;
    let limit = number(&call, "limit", default, PAGE)?;
    let user = call.path_user().await?;
    let cursor = call.request.query.get("cursor");
    let page = call.state.chat.contacts(&call.app, &user.username, cursor, Some(limit)).await?;
    let contacts: Vec<Value> = page.items.iter().map(|contact| entity(&call, contact)).collect();
    let mut data = json!({ "contacts": contacts });
    if let Some(cursor) = &page.cursor {
        data["cursor"] = cursor.as_str().into();
    }
    Ok(Envelope::plain(&call, data, page.items.len()).cursor(page.cursor).into_response())
}

/// The documented form has null where there is no remark; the client SDK hands it on and expects text.
fn entity(call: &Call, contact: &Contact) -> Value {
    let remark = match (&contact.remark, &call.caller) {
        (Some(remark), _) => remark.as_str().into(),
        (None, Some(Identity::User(_))) => "".into(),
        (None, _) => Value::Null,
    };
    json!({ "username": contact.username.as_str(), "remark": remark })
}

/// `PUT /user/{username}/contacts/users/{peer}`, and under `/users`
pub(crate) async fn remark(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let remark = body_reader::text(&fields, "remark")?;
    let remark = remark.ok_or_else(|| ApiError::illegal_argument("remark is required"))?;
    if remark.chars().count() > REMARK_CHARS {
        return Err(ApiError::illegal_argument(format!("remark length must less than {REMARK_CHARS}")));
    }
    let user = call.path_user().await?;
    let friend = peer(&call, "peer").await?;
    call.state.chat.set_remark(&call.app, &user.username, &friend.username, remark).await?;
    let envelope = Envelope::bare(&call, "put").set("status", "ok").set("uri", call.request.url());
    Ok(envelope.data(json!({})).into_response())
}

/// `POST /users/{username}/contacts/import?isSendNotice`
pub(crate) async fn import(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let wrong = || ApiError::illegal_argument(format!("usernames must be a list of 1 to {IMPORT} names"));
    let list = fields.get("usernames").and_then(Value::as_array).ok_or_else(wrong)?;
    let names: Option<Vec<String>> = list.iter().map(|name| Some(name.as_str()?.to_owned())).collect();
    let names = names.filter(|names| (1..=IMPORT).contains(&names.len())).ok_or_else(wrong)?;
    let user = call.path_user().await?;
    let told = call.request.query.get("isSendNotice").is_none_or(|text| !text.eq_ignore_ascii_case("false"));
    let imported = call.state.chat.import_contacts(&call.app, &user.username, &names, told).await?;
    let data = json!({
        "success": imported.done,
        "NotExistFailed": imported.not_found,
        "maxLimitFailed": imported.over_limit,
        "UnKnowFailed": imported.failed,
    });
    Ok(Envelope::bare(&call, "post").set("status", "ok").data(data).into_response())
}

/// `POST /contacts/check`
pub(crate) async fn check(call: Call, body: Body) -> Answer {
    let (user, names) = checked(&call, body).await?;
    let found = call.state.chat.are_contacts(&call.app, &user, &names).await?;
    Ok(relations(&call, &names, &found, ["not_friend", "friend"]))
}

/// The body of both checks.
pub(super) async fn checked(call: &Call, body: Body) -> Result<(UserName, Vec<UserName>), ApiError> {
    let fields = body_reader::object(body, LIST, call.state.config.body_deadline).await?;
    let user = body_reader::text(&fields, "username")?.filter(|text| !text.trim().is_empty());
    let user = user.ok_or_else(|| ApiError::illegal_argument("username cannot be blank"))?;
    let user = UserName::parse(user).map_err(|error| ApiError::user_name(user, error))?;
    let size = fields.get("check_list").and_then(Value::as_array).map_or(0, Vec::len);
    if !(1..=CHECK).contains(&size) {
        return Err(ApiError::illegal_argument("check_list size must be between 1 and 100"));
    }
    Ok((user, names(fields.get("check_list"), "check_list", CHECK)?))
}

pub(super) fn relations(
    call: &Call,
    names: &[UserName],
    found: &[bool],
    words: [&str; 2],
) -> http::Response<Body> {
    let entity = |(name, found): (&UserName, &bool)| json!({ "username": name.as_str(), "relation": words[usize::from(*found)] });
    let entities = names.iter().zip(found).map(entity).collect();
    Envelope::plain(call, json!({}), names.len()).entities(entities).into_response()
}

/// `POST /users/{username}/contacts/apply`
pub(crate) async fn apply(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let asked = names(fields.get("usernames"), "usernames", 1)?;
    let reason = body_reader::text(&fields, "reason")?.unwrap_or_default();
    if reason.len() > REASON_BYTES {
        return Err(ApiError::illegal_argument(format!("reason is longer than {REASON_BYTES} bytes")));
    }
    let user = call.path_user().await?;
    for peer in &asked {
        call.state.chat.invite_contact(&call.app, &user.username, peer, reason).await?;
    }
    Ok(Envelope::plain(&call, json!({}), 0).into_response())
}

/// `POST /users/{username}/contacts/accept/users/{peer}`
pub(crate) async fn accept(call: Call, _body: Body) -> Answer {
    let user = call.path_user().await?;
    let friend = peer(&call, "peer").await?;
    call.state.chat.accept_contact(&call.app, &user.username, &friend.username).await?;
    Ok(Envelope::plain(&call, json!({}), 0).into_response())
}

/// `POST /users/{username}/contacts/decline/users/{peer}`
pub(crate) async fn decline(call: Call, _body: Body) -> Answer {
    let user = call.path_user().await?;
    let friend = peer(&call, "peer").await?;
    call.state.chat.decline_contact(&call.app, &user.username, &friend.username).await?;
    Ok(Envelope::plain(&call, json!({}), 0).into_response())
}
