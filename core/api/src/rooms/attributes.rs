//! Attributes of a room: what its members write on it for all.

use crate::{
    body_reader,
    call::Call,
    envelope::Envelope,
    error::ApiError,
    groups::{Fields, actor, asker, failure, group_id, limited, seen},
    handlers::Answer,
    service::Body,
};
use meridian_chat::{
    AttributeAction, AttributeError, AttributesOutcome, ChatError, MucError, Role, RoomAttributes,
};
use meridian_types::UserName;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const AT_ONCE: usize = 10;
/// As many as a room may have.
const ASKED: usize = 100;
const KEY: usize = 128;
const VALUE: usize = 4096;
const EXT: usize = 1024;
/// Ten attributes of the greatest size, in any script.
const BODY: usize = 192 * 1024;

/// What happens to an attribute when who wrote it leaves.
const DELETE: &str = "DELETE";
const NO_DELETE: &str = "NO_DELETE";

/// `POST /metadata/chatroom/{room}`: without keys, or without a body, all.
pub(crate) async fn get(call: Call, body: Body) -> Answer {
    let bytes = body_reader::bytes(body, body_reader::LIST, call.state.config.body_deadline).await?;
    let fields = match bytes.iter().all(u8::is_ascii_whitespace) {
        true => Fields::new(),
        false => serde_json::from_slice(&bytes).map_err(|error| ApiError::json_parse(error.to_string()))?,
    };
    let keys = match fields.get("keys") {
        None | Some(Value::Null) => Vec::new(),
        list => keys(list, ASKED)?,
    };
    let id = group_id(&call)?;
    let room = seen(&call, id).await?;
    if let (Some(user), Role::Outsider) = (asker(&call), room.role) {
        return Err(ApiError::not_in_room(user));
    }
    let attributes =
        call.state.chat.room_attributes(&call.app, id, &keys).await.map_err(failure(&call, id))?;
    Ok(Envelope::full(&call, &path(&call)).data(json!(attributes)).into_response())
}

/// `PUT /metadata/chatroom/{room}/user/{username}`
pub(crate) async fn set(call: Call, body: Body) -> Answer {
    write(&call, body, false).await
}

/// `PUT /metadata/chatroom/{room}/user/{username}/forced`: also those of others.
pub(crate) async fn set_forced(call: Call, body: Body) -> Answer {
    write(&call, body, true).await
}

/// `DELETE /metadata/chatroom/{room}/user/{username}`
pub(crate) async fn remove(call: Call, body: Body) -> Answer {
    erase(&call, body, false).await
}

/// `DELETE /metadata/chatroom/{room}/user/{username}/forced`: also those of others.
pub(crate) async fn remove_forced(call: Call, body: Body) -> Answer {
    erase(&call, body, true).await
}

async fn write(call: &Call, body: Body, forced: bool) -> Answer {
    let fields = body_reader::object(body, BODY, call.state.config.body_deadline).await?;
    let wrong = || ApiError::illegal_argument("metaData must be an object of texts");
    let given = fields.get("metaData").and_then(Value::as_object).ok_or_else(wrong)?;
    if given.is_empty() || given.len() > AT_ONCE {
        return Err(ApiError::illegal_argument(format!("metaData must have 1 to {AT_ONCE} attributes")));
    }
    let (mut values, mut refused) = (BTreeMap::new(), Fields::new());
    for (key, value) in given {
        let value = value.as_str().ok_or_else(wrong)?;
        if !is_legal(key) {
            refused.insert(shown(key), ILLEGAL.into());
        } else if value.chars().count() > VALUE {
            refused.insert(key.clone(), format!("the value is exceeding maximum limit {VALUE}").into());
        } else {
            values.insert(key.clone(), value.to_owned());
        }
    }
    let auto_delete = match body_reader::text(&fields, "autoDelete")? {
        None | Some(DELETE) => true,
        Some(NO_DELETE) => false,
        Some(_) => {
            let text = format!("autoDelete can only be '{DELETE}' or '{NO_DELETE}'");
            return Err(ApiError::illegal_argument(text));
        }
    };
    let ext = limited(&fields, &["notificationExt"], EXT)?.unwrap_or_default().to_owned();
    change(call, (forced, AttributeAction::Set { values, auto_delete, ext }), refused).await
}

async fn erase(call: &Call, body: Body, forced: bool) -> Answer {
    let fields = body_reader::object(body, body_reader::SMALL, call.state.config.body_deadline).await?;
    let keys = keys(fields.get("keys"), AT_ONCE)?;
    if keys.is_empty() {
        return Err(ApiError::illegal_argument(format!("keys must be a list of 1 to {AT_ONCE} texts")));
    }
    let (legal, illegal): (Vec<String>, Vec<String>) = keys.into_iter().partition(|key| is_legal(key));
    let refused = illegal.iter().map(|key| (shown(key), ILLEGAL.into())).collect();
    change(call, (forced, AttributeAction::Remove { keys: legal }), refused).await
}

/// The words that client SDKs look for.
const ILLEGAL: &str = "the key is not Legal";

fn is_legal(key: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=KEY).contains(&key.len()) && key.bytes().all(is_allowed)
}

/// A key from outside is repeated, but not without a bound.
fn shown(key: &str) -> String {
    key.chars().take(KEY).collect()
}

fn keys(list: Option<&Value>, limit: usize) -> Result<Vec<String>, ApiError> {
    let wrong = || ApiError::illegal_argument(format!("keys must be a list of at most {limit} texts"));
    let list = list.and_then(Value::as_array).filter(|list| list.len() <= limit).ok_or_else(wrong)?;
    let mut keys: Vec<String> = Vec::with_capacity(list.len());
    for key in list {
        let key = key.as_str().ok_or_else(wrong)?;
        if !keys.iter().any(|known| known == key) {
            keys.push(key.to_owned());
        }
    }
    Ok(keys)
}

/// In whose name; the app may name anybody, also who has no account.
fn user(call: &Call) -> Result<UserName, ApiError> {
    let user = UserName::parse(call.param("username")).map_err(|_| ApiError::not_found())?;
    match asker(call) {
        Some(caller) if caller != &user => Err(ApiError::no_right()),
        _ => Ok(user),
    }
}

fn path(call: &Call) -> String {
    format!("/metadata/chatroom/{}", call.param("room"))
}

async fn change(call: &Call, (forced, action): (bool, AttributeAction), refused: Fields) -> Answer {
    let (id, user) = (group_id(call)?, user(call)?);
    let change = RoomAttributes { user, forced, action };
    let changed = call.state.chat.change_room_attributes(&call.app, id, actor(call), change).await;
    let AttributesOutcome { done, failed } = changed.map_err(|error| match error {
        ChatError::Muc(MucError::NotMember { user }) => ApiError::not_in_room(&user),
        other => failure(call, id)(other),
    })?;
    let mut errors = refused;
    errors.extend(failed.into_iter().map(|(key, error)| (key, words(error).into())));
    let data = json!({ "successKeys": done, "errorKeys": errors });
    Ok(Envelope::full(call, &path(call)).data(data).into_response())
}

/// The words that client SDKs look for.
fn words(error: AttributeError) -> String {
    match error {
        AttributeError::NotOwn => "the attribute is not part of you".to_owned(),
        AttributeError::TooMany { limit } => {
            format!(
                "the number of attributes of this single chatroom exceeds the user defined limit, {limit}"
            )
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_of_few_characters() {
        for legal in ["a", "A_b.c-9", &"x".repeat(128)] {
            assert!(is_legal(legal), "{legal}");
        }
        for illegal in ["", "a b", "ä", "a/b", &"x".repeat(129)] {
            assert!(!is_legal(illegal), "{illegal}");
        }
    }

    /// Client SDKs tell errors by parts of these.
    #[test]
    fn errors_have_the_words_that_are_looked_for() {
        assert!(words(AttributeError::NotOwn).contains("is not part of you"));
        let many = words(AttributeError::TooMany { limit: 100 });
        assert!(many.contains("exceeds the user defined limit") && many.contains("single chatroom"));
        assert!(ILLEGAL.contains("is not Legal"));
    }
}
