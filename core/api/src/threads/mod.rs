//! Threads: side conversations of a group, about one message.

pub(crate) mod life;
pub(crate) mod lists;
pub(crate) mod members;

use crate::{call::Call, error::ApiError, people::device};
use meridian_chat::{Actor, ChatError, GroupEntry, Identity, MucError, Outcome, ThreadAction};
use meridian_types::{MucId, MucKind, UserName};
use serde_json::{Value, json};

const NAME: usize = 64;

fn thread_id(call: &Call) -> Result<MucId, ApiError> {
    let id = MucId::parse(call.param("thread")).filter(|id| id.kind() == MucKind::Thread);
    id.ok_or_else(|| ApiError::from_thread(&MucError::NotFound))
}

/// The user who calls; `None` for the app.
fn asker(call: &Call) -> Option<&UserName> {
    match &call.caller {
        Some(Identity::User(user)) => Some(user),
        _ => None,
    }
}

fn actor(call: &Call) -> Actor {
    Actor { user: asker(call).cloned(), device: device(call) }
}

fn failure(error: ChatError) -> ApiError {
    match error {
        ChatError::Muc(error) => ApiError::from_thread(&error),
        other => other.into(),
    }
}

async fn act(call: &Call, id: MucId, action: ThreadAction) -> Result<Vec<Outcome>, ApiError> {
    call.state.chat.manage_thread(&call.app, id, actor(call), action).await.map_err(failure)
}

/// A thread as lists and details show it.
fn entity(thread: &GroupEntry) -> Value {
    let info = &thread.info;
    let mut entity = json!({
        "id": info.id.to_string(),
        "name": info.name,
        "owner": info.owner.as_str(),
        "created": info.created.0,
        "affiliations_count": thread.size,
    });
    if let Some(of) = info.thread {
        entity["msgId"] = of.message.to_string().into();
        entity["groupId"] = of.group.to_string().into();
    }
    entity
}

/// The name in a body.
fn name(fields: &serde_json::Map<String, Value>) -> Result<String, ApiError> {
    let name = crate::people::required(fields, "name")?;
    if name.chars().count() > NAME {
        return Err(ApiError::illegal_argument(format!("name is longer than {NAME} characters")));
    }
    Ok(name.to_owned())
}
