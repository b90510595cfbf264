//! Beginning, naming and ending threads.

use super::{act, actor, asker, entity, failure, name, thread_id};
use crate::{
    body_reader::{self, SMALL},
    call::Call,
    envelope::Envelope,
    error::ApiError,
    handlers::Answer,
    people::required,
    service::Body,
};
use meridian_chat::{ChatError, MucError, Role, ThreadAction};
use meridian_types::{MessageId, MucId, MucKind, UserName};
use serde_json::{Value, json};

/// Ids come as texts or numbers.
fn number(fields: &serde_json::Map<String, Value>, name: &str) -> Result<String, ApiError> {
    match fields.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        _ => Err(ApiError::illegal_argument(format!("{name} is required"))),
    }
}

/// `POST /thread`
pub(crate) async fn create(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let text = number(&fields, "group_id")?;
    let group = MucId::parse(&text).filter(|id| id.kind() == MucKind::Group);
    let group = group.ok_or_else(|| ApiError::group_not_found(&text))?;
    let message = number(&fields, "msg_id")?.parse().map(MessageId);
    let message = message.map_err(|_| ApiError::from_thread(&MucError::NoMessage))?;
    let owner = required(&fields, "owner")?;
    let owner = UserName::parse(owner).map_err(|error| ApiError::user_name(owner, error))?;
    if asker(&call).is_some_and(|user| user != &owner) {
        return Err(ApiError::no_right());
    }
    let created =
        call.state.chat.create_thread(&call.app, actor(&call), (group, message), name(&fields)?, owner);
    let id = created.await.map_err(|error| match error {
        ChatError::Muc(MucError::NotFound) => ApiError::group_not_found(&text),
        other => failure(other),
    })?;
    Ok(Envelope::full(&call, "/thread").data(json!({ "thread_id": id.to_string() })).into_response())
}

/// `GET /thread/{thread}`
pub(crate) async fn get(call: Call, _body: Body) -> Answer {
    let id = thread_id(&call)?;
    let thread = call.state.chat.thread(&call.app, id, asker(&call)).await.map_err(failure)?;
    check_in_group(&call, &thread).await?;
    Ok(Envelope::full(&call, "/thread").data(entity(&thread)).into_response())
}

/// Only members of its group see a thread.
pub(super) async fn check_in_group(call: &Call, thread: &meridian_chat::GroupEntry) -> Result<(), ApiError> {
    let (Some(user), Some(of)) = (asker(call), thread.info.thread) else { return Ok(()) };
    let group = call.state.chat.group(&call.app, of.group, Some(user)).await.map_err(failure)?;
    match group.role {
        Role::Outsider => Err(ApiError::from_thread(&MucError::NotMember { user: user.clone() })),
        _ => Ok(()),
    }
}

/// `PUT /thread/{thread}`
pub(crate) async fn rename(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let name = name(&fields)?;
    act(&call, thread_id(&call)?, ThreadAction::Rename(name.clone())).await?;
    Ok(Envelope::full(&call, "/thread").data(json!({ "name": name })).into_response())
}

/// `DELETE /thread/{thread}`
pub(crate) async fn destroy(call: Call, _body: Body) -> Answer {
    act(&call, thread_id(&call)?, ThreadAction::Destroy).await?;
    Ok(Envelope::full(&call, "/thread").data(json!({ "status": "ok" })).into_response())
}
