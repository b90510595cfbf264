//! What a stranger can send as the payload of an item.

use meridian_types::{
    UserName,
    msync::{Jid, KeyValue, MessageBody, Meta, MucBody, Provision, StatisticsBody, key_value},
};
use prost::Message;
use serde::de::IgnoredAny;

/// Decodes payloads and does to a message body what the server does: reads it, parses the JSON in it, and completes
/// it by appending, on the promise that a later field replaces an earlier one.
pub fn body(bytes: &[u8]) {
    stable::<MucBody>(bytes);
    stable::<StatisticsBody>(bytes);
    stable::<Provision>(bytes);
    stable::<Meta>(bytes);
    stable::<MessageBody>(bytes);
    let Ok(body) = MessageBody::decode(bytes) else { return };

    let contents = body.contents.iter().flat_map(|content| content.params.iter().chain(&content.custom_exts));
    for text in body.ext.iter().chain(contents).filter_map(text).chain(body.meta.as_deref()) {
        // Deep nesting must be an error, not the end of the stack.
        let _ = serde_json::from_str::<IgnoredAny>(text);
    }
    for name in [&body.from, &body.to].into_iter().flatten().filter_map(|jid| jid.name.as_deref()) {
        let _ = UserName::parse(name.split_once('/').map_or(name, |(name, _)| name));
    }

    let sender = Jid { name: Some("alice".into()), ..Jid::default() };
    let more = MessageBody { from: Some(sender), ack_message_id: Some(7), ..MessageBody::default() };
    let whole = [bytes, &more.encode_to_vec()].concat();
    let completed = MessageBody::decode(&whole[..]).expect("a completed body can be decoded");
    assert_eq!((completed.from.unwrap_or_default().name(), completed.ack_message_id), ("alice", Some(7)));
    assert_eq!(completed.contents.len(), body.contents.len());
}

fn text(pair: &KeyValue) -> Option<&str> {
    match &pair.value {
        Some(key_value::Value::StringValue(text)) => Some(text),
        _ => None,
    }
}

/// Encoding what was decoded loses nothing that decoding sees.
fn stable<T: Message + Default>(bytes: &[u8]) {
    let Ok(decoded) = T::decode(bytes) else { return };
    let encoded = decoded.encode_to_vec();
    assert_eq!(encoded.len(), decoded.encoded_len());
    let again = T::decode(&encoded[..]).expect("what was encoded can be decoded");
    assert_eq!(again.encode_to_vec(), encoded);
}
