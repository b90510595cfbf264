//! The content of messages: JSON of clients, and the protobuf that is kept and that SDKs read. Names as in REST.
//!
//! Each kind sets exactly the fields that the SDKs read for it; `subType` above all stays absent on texts, because they
//! test whether it is there.

use super::frame::{Chat, cut};
use bytes::Bytes;
use meridian_types::{
    MessageId, UserName,
    msync::{
        Jid, KeyValue, MessageBody,
        key_value::{self, ValueType},
        message_body::{
            self, Content,
            content::{Size, SubType, Type},
        },
    },
};
use prost::Message;
use serde_json::{Map, Number, Value};

pub(super) type Fields = Map<String, Value>;

/// The largest whole number that a client's number type holds exactly.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// What a body is about, beside its content.
#[derive(Clone, Copy, Debug)]
pub(super) enum About {
    Message,
    Edit(MessageId),
    Recall(MessageId),
    Delivered(MessageId),
    Read(MessageId),
    /// Everything of the conversation so far was read.
    ConversationRead,
}

/// A serialised message. `Err`: what is wrong with the body.
pub(super) fn encode(
    about: About,
    (from, chat, to): (&UserName, Chat, &str),
    content: Option<Content>,
    ext: Option<&Fields>,
) -> Bytes {
    let jid = |name: &str| Some(Jid { name: Some(name.to_owned()), ..Jid::default() });
    let (kind, ack, edit) = match about {
        About::Message => (message_type(chat), None, None),
        About::Edit(id) => (message_body::Type::Edit, None, Some(id.0)),
        About::Recall(id) => (message_body::Type::Recall, Some(id.0), None),
        About::Delivered(id) => (message_body::Type::DeliverAck, Some(id.0), None),
        About::Read(id) => (message_body::Type::ReadAck, Some(id.0), None),
        About::ConversationRead => (message_body::Type::ChannelAck, None, None),
    };
    let message = MessageBody {
        r#type: Some(kind.into()),
        from: jid(from.as_str()),
        to: jid(to),
        contents: content.into_iter().collect(),
        ext: ext.map(pairs).unwrap_or_default(),
        ack_message_id: ack,
        edit_message_id: edit,
        ..MessageBody::default()
    };
    message.encode_to_vec().into()
}

fn message_type(chat: Chat) -> message_body::Type {
    match chat {
        Chat::User => message_body::Type::Chat,
        Chat::Group => message_body::Type::Groupchat,
        Chat::Room => message_body::Type::Chatroom,
    }
}

/// Reads `{"type": "txt", …}`. `Err`: what is wrong with it.
pub(super) fn read(body: &Fields) -> Result<Content, String> {
    match body.get("type").and_then(Value::as_str) {
        Some("txt") => Ok(Content { text: Some(required(body, "msg")?), ..of(Type::Text) }),
        Some("img") => {
            let is_gif = body.get("subType").is_some_and(|kind| kind == "sub_gif");
            Ok(Content {
                size: size(body)?,
                sub_type: is_gif.then(|| SubType::Gif.into()),
                thumbnail_remote_path: optional(body, "thumb")?,
                thumbnail_secret_key: optional(body, "thumb_secret")?,
                ..attachment(Type::Image, body)?
            })
        }
        Some("audio") => Ok(Content { duration: whole(body, "length")?, ..attachment(Type::Voice, body)? }),
        Some("video") => {
            // The size of a video is that of its thumbnail; clients look in either place.
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
        Some("file") => attachment(Type::File, body),
        Some("loc") => {
            let degrees = |name| number(body, name)?.ok_or_else(|| format!("body.{name} is missing"));
            Ok(Content {
                latitude: Some(degrees("lat")?),
                longitude: Some(degrees("lng")?),
                address: Some(optional(body, "addr")?.unwrap_or_default()),
                building_name: optional(body, "buildingName")?,
                ..of(Type::Location)
            })
        }
        Some("cmd") => {
            let params = object(body, "param")?.map(pairs).unwrap_or_default();
            Ok(Content { action: Some(required(body, "action")?), params, ..of(Type::Command) })
        }
        Some("custom") => Ok(Content {
            custom_event: optional(body, "customEvent")?,
            custom_exts: object(body, "customExts")?.map(pairs).unwrap_or_default(),
            ..of(Type::Custom)
        }),
        Some("combine") => Ok(Content {
            text: Some(optional(body, "compatibleText")?.unwrap_or_default()),
            title: optional(body, "title")?,
            summary: optional(body, "summary")?,
            combine_level: whole(body, "combineLevel")?,
            // As the SDK sends it: a text with this mark.
            sub_type: Some(SubType::Combine.into()),
            ..attachment(Type::Text, body)?
        }),
        Some(other) => Err(cut(&format!("body.type {other:?} is no message type"))),
        None => Err("body.type is missing".into()),
    }
}

fn pairs(fields: &Fields) -> Vec<KeyValue> {
    fields.iter().map(|(key, value)| pair(key, value)).collect()
}

/// Typed as the SDK types it.
fn pair(key: &str, value: &Value) -> KeyValue {
    use key_value::Value::{DoubleValue, StringValue, VarintValue};
    let whole = |number: &Number| {
        let exact = |float: &f64| float.fract() == 0.0 && float.abs() <= MAX_EXACT;
        number.as_i64().or_else(|| number.as_f64().filter(exact).map(|float| float as i64))
    };
    let (kind, held) = match value {
        Value::Bool(flag) => (ValueType::Bool, VarintValue(i64::from(*flag))),
        Value::String(text) => (ValueType::String, StringValue(text.clone())),
        Value::Number(number) => match whole(number) {
            Some(whole) => (ValueType::Int, VarintValue(whole)),
            None => (ValueType::Double, DoubleValue(number.as_f64().unwrap_or_default())),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => {
            (ValueType::JsonString, StringValue(value.to_string()))
        }
    };
    KeyValue { key: Some(key.to_owned()), r#type: Some(kind.into()), value: Some(held) }
}

fn of(kind: Type) -> Content {
    Content { r#type: Some(kind.into()), ..Content::default() }
}

/// What all uploaded things have in common.
fn attachment(kind: Type, body: &Fields) -> Result<Content, String> {
    Ok(Content {
        remote_path: Some(required(body, "url")?),
        display_name: optional(body, "filename")?,
        secret_key: optional(body, "secret")?,
        file_length: whole(body, "file_length")?,
        ..of(kind)
    })
}

fn size(body: &Fields) -> Result<Option<Size>, String> {
    let Some(size) = object(body, "size")? else { return Ok(None) };
    Ok(Some(Size { width: number(size, "width")?, height: number(size, "height")? }))
}

fn object<'a>(body: &'a Fields, name: &str) -> Result<Option<&'a Fields>, String> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(fields)) => Ok(Some(fields)),
        Some(_) => Err(format!("body.{name} must be an object")),
    }
}

fn optional(body: &Fields, name: &str) -> Result<Option<String>, String> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("body.{name} must be a string")),
    }
}

fn required(body: &Fields, name: &str) -> Result<String, String> {
    optional(body, name)?.ok_or_else(|| format!("body.{name} is missing"))
}

fn number(body: &Fields, name: &str) -> Result<Option<f64>, String> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => Ok(number.as_f64()),
        Some(_) => Err(format!("body.{name} must be a number")),
    }
}

/// For a 32-bit field; out of range becomes the nearest.
fn whole(body: &Fields, name: &str) -> Result<Option<i32>, String> {
    Ok(number(body, name)?.map(|number| number as i32))
}
