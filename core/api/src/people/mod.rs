//! What surrounds a person: contacts, block list, attributes, presence, mutes and push settings.

pub(crate) mod attributes;
pub(crate) mod blocks;
pub(crate) mod contacts;
pub(crate) mod mutes;
pub(crate) mod presence;
pub(crate) mod push;
pub(crate) mod silent;
pub(crate) mod templates;

use crate::{call::Call, error::ApiError};
use meridian_chat::{ChatError, User};
use meridian_types::{Resource, UserName};
use serde_json::{Map, Value};

/// The device that acts; the user's other devices are told.
pub(crate) fn device(call: &Call) -> Option<Resource> {
    call.request.query.get("resource").and_then(|text| Resource::parse(text).ok())
}

/// Another user whom the path names. A name that nobody can have is nobody's.
pub(crate) async fn peer(call: &Call, name: &str) -> Result<User, ApiError> {
    let name = UserName::parse(call.param(name)).map_err(|_| ChatError::UserNotFound)?;
    Ok(call.state.chat.user(&call.app, &name).await?)
}

/// A list of names in a body: some, and not too many.
pub(crate) fn names(list: Option<&Value>, field: &str, limit: usize) -> Result<Vec<UserName>, ApiError> {
    let wrong = || ApiError::illegal_argument(format!("{field} must be a list of 1 to {limit} names"));
    let list = list.and_then(Value::as_array).filter(|list| !list.is_empty() && list.len() <= limit);
    let texts = list.ok_or_else(wrong)?.iter().map(|name| name.as_str().ok_or_else(wrong));
    let mut names: Vec<UserName> = Vec::new();
    for text in texts {
        let name = UserName::parse(text?).map_err(|_| ChatError::UserNotFound)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// A number of the query within bounds.
pub(crate) fn number(call: &Call, name: &str, default: usize, max: usize) -> Result<usize, ApiError> {
    let Some(text) = call.request.query.get(name) else { return Ok(default) };
    let number: usize =
        text.parse().map_err(|_| ApiError::illegal_argument(format!("{name} must be a number")))?;
    match number {
        1.. if number <= max => Ok(number),
        _ => Err(ApiError::illegal_argument(format!("{name} must be between 1 and {max}"))),
    }
}

pub(crate) fn required<'f>(fields: &'f Map<String, Value>, name: &str) -> Result<&'f str, ApiError> {
    let text = crate::body_reader::text(fields, name)?.filter(|text| !text.is_empty());
    text.ok_or_else(|| ApiError::illegal_argument(format!("{name} is required")))
}
