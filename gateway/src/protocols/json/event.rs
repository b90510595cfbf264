//! What clients are told.

use super::frame::Conversation;
use bytes::Bytes;
use meridian_link::{Attached, RoomError, RoomRequest, SendError, Sent, Standing};
use meridian_types::{
    Audience, Entry, EntryKind, MucId, MucKind, Notice, Position, Resource, UserName,
    content::{fields, write},
    msync::MessageBody,
    notice::ThreadChange,
    room::Priority,
};
use prost::Message;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Names of the frames that clients are sent.
#[cfg(test)]
pub(super) const SERVER_FRAMES: [&str; 20] = [
    "welcome",
    "message",
    "edited",
    "recalled",
    "receipt",
    "contact",
    "group",
    "thread",
    "room",
    "room_changed",
    "joined",
    "left",
    "presence",
    "silent_mode",
    "sent",
    "history",
    "synced",
    "error",
    "pong",
    "bye",
];

/// Where a receipt says how many have read.
const GROUP_READERS: &str = "group_ack_count";

/// A frame, ready to be written.
pub(super) fn text(frame: &Value) -> Bytes {
    frame.to_string().into()
}

pub(super) fn position(position: Position) -> String {
    format!("{}.{}", position.epoch, position.seq)
}

pub(super) fn welcome(attached: &Attached, now: u64, limits: &Value) -> Value {
    let mut frame = json!({
        "type": "welcome",
        "version": 1,
        "user": attached.user.as_str(),
        "device": attached.resource.as_str(),
        "server_time": now,
        "limits": limits,
    });
    if let Some(at) = attached.token_expires_at {
        frame["token_expires_at"] = at.0.into();
    }
    frame
}

/// An entry as a client reads it; `None` when there is nothing to read: its body was recalled, or is of a kind that this
/// protocol does not have.
pub(super) fn entry(me: &UserName, entry: &Entry, at: Option<Position>) -> Option<Value> {
    if entry.kind == EntryKind::Notice {
        return notice(me, entry, at);
    }
    let body = MessageBody::decode(entry.body.clone()?).ok()?;
    let conversation = Conversation::name(me, &entry.conversation)?;
    let to = match entry.conversation.muc() {
        Some(id) => id.to_string(),
        None => {
            entry.conversation.peer(&entry.sender).map_or_else(|| me.to_string(), |peer| peer.to_string())
        }
    };
    let target = entry.target.map(|id| id.to_string());
    let mut frame = Map::new();
    let mut put = |name: &str, value: Value| frame.insert(name.to_owned(), value);
    let has_content = match entry.kind {
        EntryKind::Message => {
            put("type", "message".into());
            true
        }
        EntryKind::Edit => {
            put("type", "edited".into());
            put("target", target.into());
            true
        }
        EntryKind::Recall => {
            put("type", "recalled".into());
            put("target", target.into());
            false
        }
        EntryKind::DeliveryReceipt | EntryKind::ReadReceipt => {
            let read = entry.kind == EntryKind::ReadReceipt;
            put("type", "receipt".into());
            put("kind", if read { "read" } else { "delivered" }.into());
            put("target", target.into());
            false
        }
        EntryKind::ConversationRead => {
            put("type", "receipt".into());
            put("kind", "read".into());
            false
        }
        _ => return None,
    };
    put("conversation", conversation.into());
    let is_room = is_of_room(entry);
    match at {
        Some(at) => put("position", position(at).into()),
        // What a room has told is not acknowledged.
        None if is_room && entry.seq.0 > 0 => None,
        None => put("online_only", true.into()),
    };
    if is_room && entry.kind == EntryKind::Message {
        put("priority", Priority::of(entry).name().into());
    }
    put("message", entry.message_id.to_string().into());
    put("from", entry.sender.as_str().into());
    if let Some(device) = &entry.sender_device {
        put("from_device", device.as_str().into());
    }
    put("to", to.into());
    if entry.conversation.muc().is_some() {
        put("chat", if is_room { "room" } else { "group" }.into());
    }
    let readers = readers(&body);
    let is_count = readers.is_some();
    if let Some(readers) = readers {
        put("readers", readers);
    }
    if let Audience::Device(device) = &entry.audience {
        put("to_device", Resource::as_str(device).into());
    }
    put("time", entry.at.0.into());
    if has_content && let Some(content) = body.contents.first() {
        put("body", write(content));
    }
    if !body.ext.is_empty() && !is_count {
        put("ext", Value::Object(fields(&body.ext)));
    }
    Some(Value::Object(frame))
}

fn is_of_room(entry: &Entry) -> bool {
    entry.conversation.muc().is_some_and(|id| id.kind() == MucKind::Room)
}

/// How many members have read an own message.
fn readers(body: &MessageBody) -> Option<Value> {
    let counts = fields(&body.ext);
    let counts: Value = serde_json::from_str(counts.get(GROUP_READERS)?.as_str()?).ok()?;
    counts.get(body.ack_message_id?.to_string()).cloned()
}

fn notice(me: &UserName, entry: &Entry, at: Option<Position>) -> Option<Value> {
    let conversation = Conversation::name(me, &entry.conversation)?;
    let mut frame = match Notice::of(entry)? {
        Notice::Contact { change, reason } => {
            let by = entry.sender.as_str();
            json!({ "type": "contact", "change": change, "contact": conversation, "from": by, "reason": reason })
        }
        Notice::Thread(notice) => {
            let mut frame = json!({
                "type": "thread",
                "change": "",
                "thread": notice.id.to_string(),
                "name": notice.name,
                "group": entry.conversation.muc()?.to_string(),
                "message": notice.message.to_string(),
                "from": entry.sender.as_str(),
            });
            frame["change"] = match &notice.change {
                ThreadChange::Created => "created",
                ThreadChange::Renamed => "renamed",
                ThreadChange::Destroyed => "destroyed",
                ThreadChange::Said { .. } => "said",
                _ => return None,
            }
            .into();
            if let ThreadChange::Said { count, last } = &notice.change {
                frame["count"] = (*count).into();
                frame["last"] = last.id.to_string().into();
            }
            frame
        }
        Notice::Muc(notice) => {
            let mut frame = serde_json::to_value(&notice).ok()?;
            // How long somebody is silent: absent without end.
            if frame["until"] == json!(u64::MAX) {
                frame.as_object_mut()?.remove("until");
            }
            let (kind, of) = if is_of_room(entry) { ("room_changed", "room") } else { ("group", "group") };
            frame["type"] = kind.into();
            frame[of] = entry.conversation.muc()?.to_string().into();
            frame["from"] = entry.sender.as_str().into();
            frame
        }
        Notice::Presence(presence) => json!({
            "type": "presence",
            "user": entry.sender.as_str(),
            "ext": presence.ext,
            "status": presence.status,
            "changed_at": presence.last_time * 1000,
            "until": presence.expiry * 1000,
        }),
        Notice::SilentMode { conversation, settings } => json!({
            "type": "silent_mode",
            "of": conversation,
            "settings": settings,
        }),
        _ => return None,
    };
    if let Some(at) = at {
        frame["conversation"] = conversation.into();
        frame["position"] = position(at).into();
        frame["time"] = entry.at.0.into();
    }
    Some(frame)
}

/// A piece of a room's news.
pub(super) fn room(me: &UserName, room: MucId, entries: &[Arc<Entry>]) -> Value {
    json!({ "type": "room", "room": room.to_string(), "entries": told(me, entries) })
}

fn told(me: &UserName, entries: &[Arc<Entry>]) -> Vec<Value> {
    entries.iter().filter_map(|told| entry(me, told, None)).collect()
}

/// The answer to coming in or going.
pub(super) fn asked_room(
    me: &UserName,
    id: u64,
    request: &RoomRequest,
    asked: &Result<Standing, RoomError>,
) -> Value {
    let (RoomRequest::Join { room, .. } | RoomRequest::Leave { room }) = request;
    let standing = match asked {
        Ok(standing) => standing,
        Err(refused) => {
            let code = match refused {
                RoomError::NotFound => "room_not_found",
                RoomError::Full => "room_full",
                RoomError::Blocked => "blocked",
                RoomError::Disabled => "room_disabled",
                RoomError::TooMany => "too_many_rooms",
                RoomError::Malformed => "malformed",
                RoomError::NotMember => "not_member",
                RoomError::Busy => "busy",
                RoomError::Unavailable => "unavailable",
                _ => "internal",
            };
            return error(Some(id), code, &refused.to_string());
        }
    };
    if matches!(request, RoomRequest::Leave { .. }) {
        return json!({ "type": "left", "id": id, "room": room.to_string() });
    }
    let mut frame = json!({
        "type": "joined",
        "id": id,
        "room": room.to_string(),
        "members": standing.members,
        "created": standing.created.0,
        "all_muted": standing.all_muted,
        "allowed": standing.allowed,
        "muted": standing.muted_until > 0,
        "entries": told(me, &standing.history),
    });
    if standing.muted_until > 0 && standing.muted_until < u64::MAX {
        frame["muted_until"] = standing.muted_until.into();
    }
    frame
}

pub(super) fn sent(id: u64, sent: &Sent) -> Value {
    json!({ "type": "sent", "id": id, "message": sent.message_id.to_string(), "time": sent.at.0 })
}

pub(super) fn refused(id: u64, refused: &SendError) -> Value {
    let code = match refused {
        SendError::Malformed => "malformed",
        SendError::TooLarge { .. } => "too_large",
        SendError::WrongSender => "wrong_sender",
        SendError::UnsupportedTarget => "unsupported_target",
        SendError::GroupNotFound => "group_not_found",
        SendError::GroupDisabled => "group_disabled",
        SendError::NotMember => "not_member",
        SendError::MutedHere => "muted_in_group",
        SendError::NotAllowed => "not_allowed",
        SendError::DirectedLimit { .. } => "directed_limit",
        SendError::Blocked => "blocked",
        SendError::NotContacts => "not_contacts",
        SendError::Muted => "muted",
        SendError::MessageNotFound => "message_not_found",
        SendError::NotPermitted => "not_permitted",
        SendError::RecallTooLate => "recall_too_late",
        SendError::RecallDisabled => "recall_disabled",
        SendError::EditLimit => "edit_limit",
        SendError::EditFormat => "edit_format",
        SendError::EditDisabled => "edit_disabled",
        SendError::Busy => "busy",
        SendError::StorageFull => "storage_full",
        SendError::Unavailable => "unavailable",
        _ => "internal",
    };
    let mut frame = error(Some(id), code, &refused.to_string());
    if let SendError::TooLarge { limit } | SendError::DirectedLimit { limit } = refused {
        frame["limit"] = (*limit).into();
    }
    frame
}

pub(super) fn error(id: Option<u64>, code: &str, text: &str) -> Value {
    let mut frame = json!({ "type": "error", "code": code, "message": text });
    if let Some(id) = id {
        frame["id"] = id.into();
    }
    frame
}
