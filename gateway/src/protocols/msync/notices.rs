//! Notices as MSYNC says them: roster items for contacts, MUC items for groups, JSON notifications for the rest.

use super::{frame::user_jid, items::Reader, mucs};
use meridian_types::{
    Entry, Notice, Resource,
    msync::{RosterBody, roster_body::Operation},
    notice::{ContactChange, ConversationName},
};
use prost::Message;
use serde_json::{Value, json};

pub(super) const MUC: u64 = 2;
pub(super) const ROSTER: u64 = 3;
pub(super) const NOTIFY: u64 = 5;

/// Name space and payload of a notice for this reader; `None` when MSYNC has no words for it.
pub(super) fn render(reader: Reader<'_>, entry: &Entry) -> Option<(u64, Vec<u8>)> {
    let notice = match Notice::of(entry)? {
        Notice::Muc(notice) => return Some((MUC, mucs::body(reader, entry, notice)?.encode_to_vec())),
        notice => notice,
    };
    // Nothing else is the same for all.
    let Reader::Me(me) = reader else { return None };
    match notice {
        Notice::Contact { change, reason } => {
            let operation = roster_operation(change, entry.sender == me.user)?;
            let jid = |name: &str| user_jid(me.app.as_str(), name);
            let body = RosterBody {
                operation: Some(operation as i32),
                from: Some(jid(entry.conversation.peer(&me.user)?.as_str())),
                to: vec![jid(me.user.as_str())],
                reason: Some(reason).filter(|reason| !reason.is_empty()),
                ..RosterBody::default()
            };
            Some((ROSTER, body.encode_to_vec()))
        }
        Notice::Presence(presence) => {
            let value = json!({
                "uid": entry.sender.as_str(),
                "last_time": presence.last_time,
                "expiry": presence.expiry,
                "ext": presence.ext,
                "status": presence.status,
            });
            Some((NOTIFY, notification(&json!({ "type": "presence", "data": { "values": [value] } }))))
        }
        Notice::SilentMode { conversation, settings } => {
            let device = entry.sender_device.as_ref().map_or("", Resource::as_str);
            let mut value = json!({ "operator_resource": device, "data": settings });
            match conversation {
                None => value["user"] = me.user.as_str().into(),
                Some(ConversationName::User(name)) => value["user"] = name.as_str().into(),
                Some(ConversationName::Group(id) | ConversationName::Room(id)) => value["group"] = id.into(),
            }
            Some((NOTIFY, notification(&json!({ "type": "user_notification_mute", "values": [value] }))))
        }
        Notice::Thread(notice) => Some(match mucs::thread(me, entry, &notice)? {
            Ok(body) => (MUC, body.encode_to_vec()),
            Err(words) => (NOTIFY, notification(&words)),
        }),
        _ => None,
    }
}

/// What happened, seen by the one who did it or by the other.
fn roster_operation(change: ContactChange, own: bool) -> Option<Operation> {
    Some(match change {
        ContactChange::Invited => Operation::Add,
        ContactChange::Accepted if own => Operation::Accept,
        ContactChange::Accepted => Operation::RemoteAccept,
        ContactChange::Declined if own => Operation::Decline,
        ContactChange::Declined => Operation::RemoteDecline,
        ContactChange::Removed => Operation::Remove,
        ContactChange::Added => Operation::Accept,
        ContactChange::Blocked => Operation::Ban,
        ContactChange::Unblocked => Operation::Allow,
        _ => return None,
    })
}

/// Compact, and without raw control characters, on which the SDK throws.
fn notification(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::msync::items::Identity;
    use bytes::Bytes;
    use meridian_types::{
        AppKey, Audience, ConversationKey, EntryKind, MessageId, Millis, Seq, UserName,
        notice::{PresenceNotice, SilentMode},
    };

    fn name(text: &str) -> UserName {
        UserName::parse(text).unwrap()
    }

    fn me(user: &str) -> Identity {
        Identity { app: AppKey::parse("org#app").unwrap(), user: name(user), attached_at: Millis(0) }
    }

    fn entry(notice: &Notice) -> Entry {
        Entry {
            conversation: ConversationKey::pair(&name("alice"), &name("bob")),
            seq: Seq(1),
            message_id: MessageId(1),
            at: Millis(1),
            kind: EntryKind::Notice,
            sender: name("alice"),
            sender_device: Some(Resource::parse("a1").unwrap()),
            audience: Audience::Everyone,
            target: None,
            idempotency: None,
            ext: Bytes::new(),
            body: Some(notice.encode()),
        }
    }

    fn roster(reader: &str, change: ContactChange) -> (i32, String) {
        let entry = entry(&Notice::Contact { change, reason: String::new() });
        let (space, payload) = render(Reader::Me(&me(reader)), &entry).unwrap();
        assert_eq!(space, ROSTER);
        let body = RosterBody::decode(&payload[..]).unwrap();
        assert_eq!(body.to[0].name(), reader);
        (body.operation.unwrap(), body.from.unwrap().name().to_owned())
    }

    #[test]
    fn each_side_reads_what_the_sdk_expects() {
        let peer_of_bob = |operation: Operation| (operation as i32, "alice".to_owned());
        let peer_of_alice = |operation: Operation| (operation as i32, "bob".to_owned());
        assert_eq!(roster("bob", ContactChange::Invited), peer_of_bob(Operation::Add));
        assert_eq!(roster("bob", ContactChange::Accepted), peer_of_bob(Operation::RemoteAccept));
        assert_eq!(roster("alice", ContactChange::Accepted), peer_of_alice(Operation::Accept));
        assert_eq!(roster("bob", ContactChange::Declined), peer_of_bob(Operation::RemoteDecline));
        assert_eq!(roster("bob", ContactChange::Removed), peer_of_bob(Operation::Remove));
        assert_eq!(roster("alice", ContactChange::Added), peer_of_alice(Operation::Accept));
    }

    #[test]
    fn notifications_are_compact_json() {
        let text = |reader: &str, notice: Notice| {
            let (space, payload) = render(Reader::Me(&me(reader)), &entry(&notice)).unwrap();
            assert_eq!(space, NOTIFY);
            String::from_utf8(payload).unwrap()
        };
        let presence = PresenceNotice {
            ext: "line\nbreak".into(),
            last_time: 17,
            expiry: 18,
            status: [("web_1".to_owned(), 1)].into(),
        };
        let said = text("bob", Notice::Presence(presence));
        assert!(said.bytes().all(|byte| byte >= 0x10), "{said}");
        let said: Value = serde_json::from_str(&said).unwrap();
        let value = json!({ "uid": "alice", "last_time": 17, "expiry": 18, "ext": "line\nbreak",
            "status": { "web_1": 1 } });
        assert_eq!(said, json!({ "type": "presence", "data": { "values": [value] } }));

        let settings = SilentMode { kind: Some("NONE".into()), ..SilentMode::default() };
        let conversation = Some(ConversationName::Group("7".into()));
        let said: Value =
            serde_json::from_str(&text("alice", Notice::SilentMode { conversation, settings })).unwrap();
        let value = json!({ "operator_resource": "a1", "group": "7", "data": { "type": "NONE" } });
        assert_eq!(said, json!({ "type": "user_notification_mute", "values": [value] }));
    }
}
