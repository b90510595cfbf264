//! Reads a `MessageBody` and checks what could harm a receiver. The bytes are forwarded verbatim: what has to be added
//! is appended, since a later field of a serialised message completes or replaces an earlier one.

use crate::Target;
use bytes::{BufMut, Bytes, BytesMut};
use meridian_types::{
    EntryKind, MessageId, MucKind, UserName,
    msync::{
        Jid, KeyValue, MessageBody,
        key_value::{self, ValueType},
        message_body::{Content, Type},
    },
    session::SendError,
};
use prost::Message;
use serde::{Deserialize, Serialize};

/// What the server needs to know of a body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ReadBody {
    pub(crate) kind: EntryKind,
    /// The message that a receipt or recall is about, or that an edit changes.
    pub(crate) target: Option<MessageId>,
    /// `Content.type` of the first content.
    pub(crate) content_type: i32,
    /// What the reader of a group's message says with the receipt.
    #[serde(default)]
    pub(crate) ack: Option<String>,
    /// The bytes to keep and forward.
    pub(crate) bytes: Bytes,
}

/// The type of a message that is sent there.
fn message_type(to: &Target) -> Type {
    match to {
        Target::User(_) => Type::Chat,
        Target::Muc(id) if id.kind() == MucKind::Room => Type::Chatroom,
        Target::Muc(_) => Type::Groupchat,
    }
}

/// Reads a body sent by `sender` to `to`.
pub(crate) fn read(bytes: &Bytes, sender: &UserName, to: &Target) -> Result<ReadBody, SendError> {
    let body = MessageBody::decode(bytes.clone()).map_err(|_| SendError::Malformed)?;
    let kind = match body.r#type() {
        message if message == message_type(to) => EntryKind::Message,
        Type::DeliverAck => EntryKind::DeliveryReceipt,
        Type::ReadAck => EntryKind::ReadReceipt,
        Type::ChannelAck => EntryKind::ConversationRead,
        Type::Recall => EntryKind::Recall,
        Type::Edit => EntryKind::Edit,
        Type::Normal | Type::Chat | Type::Groupchat | Type::Chatroom => return Err(SendError::Malformed),
    };
    let target = match kind {
        EntryKind::DeliveryReceipt | EntryKind::ReadReceipt | EntryKind::Recall => {
            Some(body.ack_message_id.ok_or(SendError::Malformed)?)
        }
        EntryKind::Edit => Some(body.edit_message_id.ok_or(SendError::Malformed)?),
        _ => None,
    };
    check_json(&body)?;
    let has_content = !body.contents.is_empty();
    if !has_content && matches!(kind, EntryKind::Message | EntryKind::Edit) {
        return Err(SendError::Malformed);
    }
    let missing = MessageBody {
        from: missing_party(body.from.as_ref(), sender.as_str())?,
        to: missing_party(body.to.as_ref(), &to.to_string())?,
        // Receivers read the first content of everything, receipts included.
        contents: if has_content { Vec::new() } else { vec![Content::default()] },
        ..MessageBody::default()
    };
    Ok(ReadBody {
        kind,
        target: target.map(MessageId),
        content_type: body.contents.first().map_or(0, |content| content.r#type.unwrap_or_default()),
        ack: body.ack_content.filter(|_| kind == EntryKind::ReadReceipt),
        bytes: appended(bytes, &missing),
    })
}

/// A body with fields of `more` added (or, for single values, replaced).
pub(crate) fn appended(bytes: &Bytes, more: &MessageBody) -> Bytes {
    let added = more.encoded_len();
    if added == 0 {
        return bytes.clone();
    }
    let mut whole = BytesMut::with_capacity(bytes.len() + added);
    whole.put_slice(bytes);
    whole.put_slice(&more.encode_to_vec());
    whole.freeze()
}

/// The body of a recall that came by REST.
pub(crate) fn compose_recall(from: &UserName, to: &Target, target: MessageId) -> Bytes {
    let party = |name: String| Some(Jid { name: Some(name), ..Jid::default() });
    MessageBody {
        r#type: Some(Type::Recall as i32),
        from: party(from.to_string()),
        to: party(to.to_string()),
        contents: vec![Content::default()],
        ack_message_id: Some(target.0),
        ..MessageBody::default()
    }
    .encode_to_vec()
    .into()
}

/// A party that the sender left out; an error when it names somebody else.
fn missing_party(party: Option<&Jid>, wanted: &str) -> Result<Option<Jid>, SendError> {
    let name = party.and_then(|party| party.name.as_deref()).unwrap_or_default();
    if name.is_empty() {
        return Ok(Some(Jid { name: Some(wanted.to_owned()), ..Jid::default() }));
    }
    // A device may follow the name.
    let name = name.split_once('/').map_or(name, |(name, _)| name);
    if name.eq_ignore_ascii_case(wanted) { Ok(None) } else { Err(SendError::WrongSender) }
}

/// Receivers parse these texts without a guard: one that is not JSON would break their whole batch.
fn check_json(body: &MessageBody) -> Result<(), SendError> {
    let in_contents =
        body.contents.iter().flat_map(|content| content.params.iter().chain(&content.custom_exts));
    let texts = body.ext.iter().chain(in_contents).filter_map(json_text);
    let receipt = body.r#type() == Type::ReadAck;
    let receipt_texts = body.ext.iter().filter(|_| receipt).filter_map(string_value);
    let meta = body.meta.as_deref().filter(|meta| !meta.is_empty());
    let valid = texts.chain(receipt_texts).chain(meta).all(is_valid_json);
    if valid { Ok(()) } else { Err(SendError::Malformed) }
}

fn json_text(pair: &KeyValue) -> Option<&str> {
    (pair.r#type == Some(ValueType::JsonString as i32)).then(|| string_value(pair).unwrap_or_default())
}

fn string_value(pair: &KeyValue) -> Option<&str> {
    match &pair.value {
        Some(key_value::Value::StringValue(text)) => Some(text),
        _ => None,
    }
}

/// Whether a text is one JSON value, not nested deeper than 127. Only building the value counts the depth; skipping it
/// does not.
fn is_valid_json(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people() -> (UserName, UserName) {
        (UserName::parse("alice").unwrap(), UserName::parse("bob").unwrap())
    }

    fn text() -> MessageBody {
        MessageBody {
            r#type: Some(Type::Chat as i32),
            from: Some(Jid { name: Some("alice".into()), ..Jid::default() }),
            to: Some(Jid { name: Some("bob".into()), ..Jid::default() }),
            contents: vec![Content { text: Some("hi".into()), ..Content::default() }],
            ..MessageBody::default()
        }
    }

    fn read_bytes(bytes: &Bytes) -> Result<ReadBody, SendError> {
        let (alice, bob) = people();
        read(bytes, &alice, &Target::User(bob))
    }

    fn read_as(body: &MessageBody) -> Result<ReadBody, SendError> {
        read_bytes(&body.encode_to_vec().into())
    }

    #[test]
    fn the_type_fits_the_target() {
        let id = meridian_types::MucId::parse("77").unwrap();
        let (alice, _) = people();
        let to = Some(Jid { name: Some("77".into()), ..Jid::default() });
        let body = |kind: Type| MessageBody { r#type: Some(kind as i32), to: to.clone(), ..text() };
        let sent = |kind| read(&body(kind).encode_to_vec().into(), &alice, &Target::Muc(id));
        assert_eq!(sent(Type::Groupchat).unwrap().kind, EntryKind::Message);
        for wrong in [Type::Chat, Type::Chatroom, Type::Normal] {
            assert_eq!(sent(wrong), Err(SendError::Malformed));
        }
        assert_eq!(
            read_as(&MessageBody { r#type: Some(Type::Groupchat as i32), ..text() }),
            Err(SendError::Malformed)
        );
    }

    #[test]
    fn a_whole_body_stays_as_it_is() {
        let body = text();
        assert_eq!(read_as(&body).unwrap().bytes, body.encode_to_vec());
    }

    #[test]
    fn unknown_fields_are_kept() {
        let mut bytes = text().encode_to_vec();
        bytes.extend([0xf8, 0x06, 0x01]);
        assert_eq!(read_bytes(&bytes.clone().into()).unwrap().bytes, bytes);
    }

    #[test]
    fn a_missing_sender_is_added_and_a_wrong_one_refused() {
        let read = read_as(&MessageBody { from: None, ..text() }).unwrap();
        let body = MessageBody::decode(read.bytes).unwrap();
        assert_eq!(body.from.unwrap().name.as_deref(), Some("alice"));
        let forged = Some(Jid { name: Some("mallory".into()), ..Jid::default() });
        assert_eq!(read_as(&MessageBody { from: forged, ..text() }), Err(SendError::WrongSender));
    }

    #[test]
    fn what_would_break_a_receiver_is_refused() {
        let json = |text: &str| KeyValue {
            key: Some("k".into()),
            r#type: Some(ValueType::JsonString as i32),
            value: Some(key_value::Value::StringValue(text.into())),
        };
        assert!(read_as(&MessageBody { ext: vec![json("{\"a\":[1]}")], ..text() }).is_ok());
        assert!(read_as(&MessageBody { ext: vec![json("{oops")], ..text() }).is_err());
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read_as(&MessageBody { ext: vec![json(&nested(100))], ..text() }).is_ok());
        assert!(read_as(&MessageBody { ext: vec![json(&nested(2000))], ..text() }).is_err());
        assert!(read_as(&MessageBody { meta: Some("{oops".into()), ..text() }).is_err());
        assert!(read_as(&MessageBody { contents: vec![], ..text() }).is_err());
        assert!(read_as(&MessageBody { r#type: Some(Type::Recall as i32), ..text() }).is_err());
        assert!(read_bytes(&Bytes::from_static(b"\xff\xff")).is_err());
    }

    #[test]
    fn a_receipt_gets_the_content_that_receivers_read() {
        let body = MessageBody {
            r#type: Some(Type::ReadAck as i32),
            contents: vec![],
            ack_message_id: Some(9),
            ..text()
        };
        let read = read_as(&body).unwrap();
        assert_eq!((read.kind, read.target), (EntryKind::ReadReceipt, Some(MessageId(9))));
        assert_eq!(MessageBody::decode(read.bytes).unwrap().contents.len(), 1);
    }
}
