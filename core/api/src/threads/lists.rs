//! Lists of threads, and what was said last.

use super::{asker, entity, failure};
use crate::{
    body_reader::{self, SMALL},
    call::Call,
    envelope::Envelope,
    error::ApiError,
    handlers::Answer,
    people::number,
    service::Body,
};
use meridian_chat::{ChatError, MucError, Role};
use meridian_types::{MucId, MucKind, content::last_message};
use serde_json::{Value, json};

const PAGE: usize = 50;
const ASKED: usize = 20;

pub(super) fn properties(cursor: Option<String>) -> Value {
    cursor.map_or_else(|| json!({}), |cursor| json!({ "cursor": cursor }))
}

/// The newest first, unless the caller wants it otherwise.
fn order(call: &Call) -> Result<bool, ApiError> {
    match call.request.query.get("sort") {
        None | Some("desc") => Ok(true),
        Some("asc") => Ok(false),
        Some(_) => Err(ApiError::illegal_argument("sort must be asc or desc")),
    }
}

fn answer(call: &Call, rows: Vec<Value>, cursor: Option<String>) -> Answer {
    let envelope = Envelope::full(call, "/threads").entities(rows);
    Ok(envelope.set("properties", properties(cursor)).into_response())
}

fn group(call: &Call) -> Result<MucId, ApiError> {
    let text = call.param("group");
    let id = MucId::parse(text).filter(|id| id.kind() == MucKind::Group);
    id.ok_or_else(|| ApiError::group_not_found(text))
}

/// `GET /thread?limit&cursor&sort`
pub(crate) async fn all(call: Call, _body: Body) -> Answer {
    if asker(&call).is_some() {
        return Err(ApiError::no_right());
    }
    let (limit, backwards) = (number(&call, "limit", PAGE, PAGE)?, order(&call)?);
    let cursor = call.request.query.get("cursor");
    let page = call.state.chat.threads(&call.app, cursor, limit, backwards).await?;
    let rows = page.items.iter().map(|id| json!({ "id": id.to_string() })).collect();
    answer(&call, rows, page.cursor)
}

/// `GET /threads/chatgroups/{group}`
pub(crate) async fn of_group(call: Call, _body: Body) -> Answer {
    let (limit, backwards) = (number(&call, "limit", PAGE, PAGE)?, order(&call)?);
    let id = group(&call)?;
    let seen = call.state.chat.group(&call.app, id, asker(&call)).await.map_err(failure)?;
    if let (Some(user), Role::Outsider) = (asker(&call), seen.role) {
        return Err(ApiError::from_thread(&MucError::NotMember { user: user.clone() }));
    }
    let cursor = call.request.query.get("cursor");
    let page = call.state.chat.threads_of_group(&call.app, id, cursor, limit, backwards).await?;
    answer(&call, page.items.iter().map(entity).collect(), page.cursor)
}

/// `GET /threads/user/{username}`
pub(crate) async fn joined(call: Call, _body: Body) -> Answer {
    joined_in(&call, None).await
}

/// `GET /threads/chatgroups/{group}/user/{username}`
pub(crate) async fn joined_of_group(call: Call, _body: Body) -> Answer {
    let id = group(&call)?;
    joined_in(&call, Some(id)).await
}

async fn joined_in(call: &Call, group: Option<MucId>) -> Answer {
    let range = (number(call, "limit", PAGE, PAGE)?, order(call)?);
    let user = call.path_user().await?.username;
    let cursor = call.request.query.get("cursor");
    let page = call.state.chat.joined_threads(&call.app, &user, group, cursor, range).await?;
    answer(call, page.items.iter().map(entity).collect(), page.cursor)
}

/// `POST /thread/message`: the last message of up to 20 threads.
pub(crate) async fn last(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let wrong = || ApiError::illegal_argument(format!("threadIds must be a list of 1 to {ASKED} ids"));
    let ids = fields.get("threadIds").and_then(Value::as_array).ok_or_else(wrong)?;
    if ids.is_empty() || ids.len() > ASKED {
        return Err(wrong());
    }
    let Some(user) = asker(&call) else { return Err(ApiError::no_right()) };
    let mut rows = Vec::with_capacity(ids.len());
    for text in ids {
        let text = text.as_str().ok_or_else(wrong)?;
        let Some(id) = MucId::parse(text).filter(|id| id.kind() == MucKind::Thread) else { continue };
        let last = match call.state.chat.last_of_thread(&call.app, id, user).await {
            Ok(last) => last,
            // One that is gone, or not to be seen, is left out.
            Err(ChatError::Muc(_)) => continue,
            Err(other) => return Err(other.into()),
        };
        let last = last.and_then(|last| last_message(id, &last));
        rows.push(json!({ "thread_id": id.to_string(), "last_message": last.unwrap_or_else(|| json!({})) }));
    }
    Ok(Envelope::full(&call, "/thread/message").entities(rows).into_response())
}
