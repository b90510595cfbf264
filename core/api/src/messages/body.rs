//! The message JSON of REST, as the protobuf that clients read.
//!
//! Each kind sets exactly the fields that the client SDK reads for it; in particular `subType` stays absent on texts,
//! because clients test whether it is there.

use super::key_value::key_value;
use crate::error::ApiError;
use bytes::Bytes;
use meridian_chat::Target;
use meridian_types::{
    MucKind, UserName,
    msync::{
        Jid, KeyValue, MessageBody,
        message_body::{
            self, Content,
            content::{Size, SubType, Type},
        },
    },
};
use prost::Message;
use serde_json::{Map, Value};

const MAX_CUSTOM_EXTS: usize = 16;
const MAX_CUSTOM_EVENT: usize = 32;

type Fields = Map<String, Value>;

/// A message before it has a receiver.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Draft {
    content: Content,
    ext: Vec<KeyValue>,
}

impl Draft {
    /// Reads a body of the given type, and the `ext` beside it (an object, or absent).
    pub(crate) fn parse(kind: &str, body: &Fields, ext: Option<&Value>) -> Result<Self, ApiError> {
        let ext = match ext {
            None => Vec::new(),
            Some(Value::Object(fields)) => pairs(fields),
            Some(_) => return Err(ApiError::illegal_argument("ext must be an object")),
        };
        let content = match kind {
            "txt" => Content { text: Some(required(body, "msg")?), ..of(Type::Text) },
            "img" => image(body)?,
            "audio" => Content { duration: whole(body, "length")?, ..attachment(Type::Voice, body)? },
            "video" => video(body)?,
            "file" => attachment(Type::File, body)?,
            "loc" => location(body)?,
            "cmd" => command(body)?,
            "custom" => custom(body)?,
            _ => return Err(ApiError::illegal_argument("type is not a message type")),
        };
        Ok(Self { content, ext })
    }

    /// The serialised message of a user.
    pub(crate) fn encode(&self, from: &UserName, to: &Target) -> Bytes {
        let jid = |name: String| Jid { name: Some(name), ..Jid::default() };
        let kind = match to {
            Target::User(_) => message_body::Type::Chat,
            Target::Muc(id) if id.kind() == MucKind::Room => message_body::Type::Chatroom,
            Target::Muc(_) => message_body::Type::Groupchat,
        };
        let message = MessageBody {
            r#type: Some(kind.into()),
            from: Some(jid(from.to_string())),
            to: Some(jid(to.to_string())),
            contents: vec![self.content.clone()],
            ext: self.ext.clone(),
            ..MessageBody::default()
        };
        message.encode_to_vec().into()
    }
}

fn of(kind: Type) -> Content {
    Content { r#type: Some(kind.into()), ..Content::default() }
}

/// What all uploaded things have in common.
fn attachment(kind: Type, body: &Fields) -> Result<Content, ApiError> {
    Ok(Content {
        remote_path: Some(required(body, "url")?),
        display_name: optional(body, "filename")?,
        secret_key: optional(body, "secret")?,
        file_length: whole(body, "file_length")?,
        ..of(kind)
    })
}

fn image(body: &Fields) -> Result<Content, ApiError> {
    let is_gif = body.get("subType").is_some_and(|kind| kind == "sub_gif");
    Ok(Content {
        size: size(body)?,
        sub_type: is_gif.then(|| SubType::Gif.into()),
        thumbnail_remote_path: optional(body, "thumb")?,
        thumbnail_secret_key: optional(body, "thumb_secret")?,
        ..attachment(Type::Image, body)?
    })
}

fn video(body: &Fields) -> Result<Content, ApiError> {
    // The documented `size` of a video is that of its thumbnail; clients look in either place.
    let size = size(body)?;
    Ok(Content {
        duration: whole(body, "length")?,
        size,
        thumbnail_size: size,
        thumbnail_remote_path: optional(body, "thumb")?,
        thumbnail_secret_key: optional(body, "thumb_secret")?,
        ..attachment(Type::Video, body)?
    })
}

fn location(body: &Fields) -> Result<Content, ApiError> {
    let degrees =
        |name| number(body, name)?.ok_or_else(|| ApiError::illegal_argument(format!("{name} is required")));
    Ok(Content {
        latitude: Some(degrees("lat")?),
        longitude: Some(degrees("lng")?),
        address: Some(optional(body, "addr")?.unwrap_or_default()),
        building_name: optional(body, "buildingName")?,
        ..of(Type::Location)
    })
}

fn command(body: &Fields) -> Result<Content, ApiError> {
    let params = body.get("param").and_then(Value::as_object).map(pairs).unwrap_or_default();
    Ok(Content { action: Some(required(body, "action")?), params, ..of(Type::Command) })
}

fn custom(body: &Fields) -> Result<Content, ApiError> {
    let event = optional(body, "customEvent")?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'/' | b'.');
    if let Some(event) = &event
        && (event.is_empty() || event.len() > MAX_CUSTOM_EVENT || !event.bytes().all(allowed))
    {
        return Err(ApiError::illegal_argument("customEvent is not legal"));
    }
    // Sent as an object; histories show it as an array of objects of one key, and some callers send that back.
    let exts = match body.get("customExts") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Object(fields)) => pairs(fields),
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_object).flat_map(pairs).collect(),
        Some(_) => return Err(ApiError::illegal_argument("customExts must be an object")),
    };
    if exts.len() > MAX_CUSTOM_EXTS {
        return Err(ApiError::illegal_argument(format!("customExts has more than {MAX_CUSTOM_EXTS} pairs")));
    }
    Ok(Content { custom_event: event, custom_exts: exts, ..of(Type::Custom) })
}

fn pairs(fields: &Fields) -> Vec<KeyValue> {
    fields.iter().map(|(key, value)| key_value(key, value)).collect()
}

fn size(body: &Fields) -> Result<Option<Size>, ApiError> {
    match body.get("size") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(size)) => {
            Ok(Some(Size { width: number(size, "width")?, height: number(size, "height")? }))
        }
        Some(_) => Err(ApiError::illegal_argument("size must be an object")),
    }
}

fn optional(body: &Fields, name: &str) -> Result<Option<String>, ApiError> {
    Ok(crate::body_reader::text(body, name)?.map(str::to_owned))
}

fn required(body: &Fields, name: &str) -> Result<String, ApiError> {
    optional(body, name)?.ok_or_else(|| ApiError::illegal_argument(format!("{name} is required")))
}

/// A finite number, or the text of one.
fn number(body: &Fields, name: &str) -> Result<Option<f64>, ApiError> {
    let number = match body.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
    };
    let wrong = || ApiError::illegal_argument(format!("{name} must be a number"));
    number.filter(|number| number.is_finite()).map(Some).ok_or_else(wrong)
}

/// A whole number for a 32-bit field; out of range becomes the nearest.
fn whole(body: &Fields, name: &str) -> Result<Option<i32>, ApiError> {
    // `Length` is how one table of the documentation spells it.
    let capital = if name == "length" { number(body, "Length")? } else { None };
    Ok(number(body, name)?.or(capital).map(|number| number as i32))
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
