//! The content of messages as JSON, as REST, histories and the JSON protocol show it.

use crate::{
    MucId,
    msync::{
        KeyValue, MessageBody,
        key_value::{self, ValueType},
        message_body::{
            Content,
            content::{Size, SubType, Type},
        },
    },
    notice::LastMessage,
};
use prost::Message;
use serde_json::{Map, Number, Value, json};

type Fields = Map<String, Value>;

/// A content as a client reads it: what [`read`] would take.
#[must_use]
pub fn write(content: &Content) -> Value {
    let mut out = Fields::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            out.insert(name.to_owned(), value);
        }
    };
    let text = |text: &Option<String>| text.clone().map(Value::String);
    let size =
        |size: &Option<Size>| size.map(|size| json!({ "width": size.width(), "height": size.height() }));
    let kind = Type::try_from(content.r#type.unwrap_or_default()).unwrap_or(Type::Text);
    let combined = matches!(kind, Type::Text | Type::Combine)
        && content.sub_type == Some(SubType::Combine.into())
        || kind == Type::Combine;
    let name = match kind {
        _ if combined => "combine",
        Type::Text | Type::Combine => "txt",
        Type::Image => "img",
        Type::Video => "video",
        Type::Location => "loc",
        Type::Voice => "audio",
        Type::File => "file",
        Type::Command => "cmd",
        Type::Custom => "custom",
    };
    put("type", Some(name.into()));
    match kind {
        _ if combined => {
            put("compatibleText", text(&content.text));
            put("title", text(&content.title));
            put("summary", text(&content.summary));
            put("combineLevel", content.combine_level.map(Value::from));
        }
        Type::Text | Type::Combine => put("msg", Some(content.text().into())),
        Type::Location => {
            put("lat", content.latitude.and_then(Number::from_f64).map(Value::Number));
            put("lng", content.longitude.and_then(Number::from_f64).map(Value::Number));
            put("addr", text(&content.address));
            put("buildingName", text(&content.building_name));
        }
        Type::Command => {
            put("action", Some(content.action().into()));
            put("param", (!content.params.is_empty()).then(|| Value::Object(fields(&content.params))));
        }
        Type::Custom => {
            put("customEvent", text(&content.custom_event));
            put("customExts", Some(Value::Object(fields(&content.custom_exts))));
        }
        Type::Image | Type::Video | Type::Voice | Type::File => {}
    }
    if combined || matches!(kind, Type::Image | Type::Video | Type::Voice | Type::File) {
        put("url", text(&content.remote_path));
        put("filename", text(&content.display_name));
        put("secret", text(&content.secret_key));
        put("file_length", content.file_length.map(Value::from));
        put("length", content.duration.map(Value::from));
        put("size", size(&content.size));
        put("thumb", text(&content.thumbnail_remote_path));
        put("thumb_secret", text(&content.thumbnail_secret_key));
        let is_gif = kind == Type::Image && content.sub_type == Some(SubType::Gif.into());
        put("subType", is_gif.then(|| "sub_gif".into()));
    }
    Value::Object(out)
}

/// Attributes as JSON.
#[must_use]
pub fn fields(pairs: &[KeyValue]) -> Fields {
    pairs.iter().map(|pair| (pair.key().to_owned(), value(pair))).collect()
}

fn value(pair: &KeyValue) -> Value {
    use key_value::Value::{DoubleValue, FloatValue, StringValue, VarintValue};
    match (&pair.value, pair.r#type.map(ValueType::try_from)) {
        (Some(VarintValue(number)), Some(Ok(ValueType::Bool))) => Value::Bool(*number != 0),
        (Some(VarintValue(number)), _) => Value::from(*number),
        (Some(FloatValue(number)), _) => {
            Number::from_f64(f64::from(*number)).map_or(Value::Null, Value::Number)
        }
        (Some(DoubleValue(number)), _) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
        (Some(StringValue(text)), Some(Ok(ValueType::JsonString))) => {
            serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()))
        }
        (Some(StringValue(text)), _) => Value::String(text.clone()),
        (None, _) => Value::Null,
    }
}

/// The last message of a thread as histories show it; `None` when it cannot be read.
#[must_use]
pub fn last_message(thread: MucId, last: &LastMessage) -> Option<Value> {
    let body = MessageBody::decode(&last.body[..]).ok()?;
    let (to, from) = (thread.to_string(), last.from.as_str());
    Some(json!({
        "id": last.id.to_string(),
        "timestamp": last.at.0,
        "from": from,
        "to": to,
        "payload": {
            "from": from,
            "to": to,
            "type": "groupchat",
            "ext": fields(&body.ext),
            "bodies": body.contents.iter().map(write).collect::<Vec<_>>(),
        },
    }))
}
