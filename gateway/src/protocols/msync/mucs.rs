//! Changes of groups as MSYNC says them: an operation, and who did it to whom. The SDK reads some of it by position.

use super::{
    frame::{CONFERENCE_DOMAIN, jid, user_jid},
    items::{Identity, Reader},
};
use meridian_types::{
    Entry, MucId, MucKind, Resource, UserName,
    content::last_message,
    msync::{
        Jid, MucBody,
        muc_body::{EventInfo, Operation},
    },
    notice::{Joining, MucChange, MucNotice, ThreadChange, ThreadNotice},
};
use serde_json::{Value, json};

/// What this reader is told; `None` when MSYNC has no words for it.
pub(super) fn body(reader: Reader<'_>, entry: &Entry, notice: MucNotice) -> Option<MucBody> {
    let id = entry.conversation.muc()?;
    let is_room = id.kind() == MucKind::Room;
    let app = reader.app();
    let is_me = |name: &UserName| reader.user() == Some(name);
    let am_among = |people: &[UserName]| reader.user().is_some_and(|me| people.contains(me));
    let user = |name: &UserName| user_jid(app, name.as_str());
    if notice.parent.is_some() {
        let Reader::Me(me) = reader else { return None };
        return thread_body(me, entry, notice);
    }
    let body = MucBody {
        muc_id: Some(jid(app, &id.to_string(), CONFERENCE_DOMAIN)),
        from: Some(user(&entry.sender)),
        to: vec![user(reader.user().unwrap_or(&entry.sender))],
        is_chatroom: Some(is_room),
        muc_name: Some(notice.name),
        ..MucBody::default()
    };
    let says = |operation: Operation| MucBody { operation: Some(operation as i32), ..body.clone() };
    let about = |operation, name: &UserName| MucBody { to: vec![user(name)], ..says(operation) };
    let because = |operation, reason: String| MucBody {
        reason: Some(reason).filter(|reason| !reason.is_empty()),
        ..says(operation)
    };
    let with = |operation, ext: serde_json::Value| MucBody {
        event_info: Some(EventInfo { ext: Some(ext.to_string()), ..EventInfo::default() }),
        ..says(operation)
    };
    Some(match notice.change {
        MucChange::Created => says(Operation::Create),
        MucChange::Destroyed => says(Operation::Destroy),
        MucChange::Updated { fields } => with(Operation::Update, json!(fields)),
        MucChange::Applied { reason } => because(Operation::Apply, reason),
        MucChange::ApplicationDeclined { applicant, reason } => {
            MucBody { to: vec![user(&applicant)], ..because(Operation::ApplyDecline, reason) }
        }
        MucChange::Invited { .. } => says(Operation::Invite),
        MucChange::InvitationAccepted => says(Operation::InviteAccept),
        MucChange::InvitationDeclined { reason } => because(Operation::InviteDecline, reason),
        // On the other devices of who came in.
        MucChange::Joined { people, how: Joining::Joined, .. } if is_room && am_among(&people) => {
            return None;
        }
        MucChange::Joined { people, how, .. } if am_among(&people) => match how {
            Joining::Accepted => says(Operation::ApplyAccept),
            _ => says(Operation::DirectJoined),
        },
        MucChange::Joined { people, size, ext, .. } => {
            let ext = Some(ext).filter(|ext| !ext.is_empty());
            MucBody { ext, ..several(says(Operation::Presence), &people, size, user) }
        }
        MucChange::Left { .. } if is_me(&entry.sender) => says(Operation::Leave),
        MucChange::Left { size } => MucBody { muc_member_count: count(size), ..says(Operation::Absence) },
        MucChange::Removed { people, .. } if am_among(&people) => says(Operation::Kick),
        MucChange::Removed { people, size, .. } => several(says(Operation::Absence), &people, size, user),
        MucChange::Unblocked { user } => about(Operation::Allow, &user),
        MucChange::OwnerChanged { owner } => about(Operation::AssignOwner, &owner),
        MucChange::AdminAdded { user } => about(Operation::AddAdmin, &user),
        MucChange::AdminRemoved { user } => about(Operation::RemoveAdmin, &user),
        MucChange::Muted { user, until } => {
            // Without end is -1 for the SDK, as in its own calls.
            let until = if until == u64::MAX { json!(-1) } else { json!(until) };
            let ext = json!({ "user_mute_time": until }).to_string();
            MucBody { ext: Some(ext), ..about(Operation::AddMute, &user) }
        }
        MucChange::Unmuted { user } => about(Operation::RemoveMute, &user),
        MucChange::AllMuted => says(Operation::BanGroup),
        MucChange::AllUnmuted => says(Operation::RemoveBanGroup),
        MucChange::Allowed { user } => about(Operation::AddUserWhiteList, &user),
        MucChange::Disallowed { user } => about(Operation::RemoveUserWhiteList, &user),
        MucChange::Announced { text } if text.is_empty() => says(Operation::DeleteAnnouncement),
        MucChange::Announced { text } => because(Operation::UpdateAnnouncement, text),
        MucChange::FileAdded { file } => because(Operation::UploadFile, file),
        MucChange::FileRemoved { file } => because(Operation::DeleteFile, file),
        MucChange::Disabled => says(Operation::DisableGroup),
        MucChange::Enabled => says(Operation::AbleGroup),
        MucChange::Shielded { on: true } => says(Operation::Block),
        MucChange::Shielded { on: false } => says(Operation::Unblock),
        MucChange::RoomAttributesSet { attributes, ext } => {
            let keys: Vec<&String> = attributes.keys().collect();
            let mut words = json!({ "result": { "successKeys": keys }, "properties": attributes });
            if !ext.is_empty() {
                words["ext"] = ext.into();
            }
            with(Operation::SetMetadata, words)
        }
        MucChange::RoomAttributesRemoved { keys } => {
            with(Operation::DeleteMetadata, json!({ "result": { "successKeys": keys } }))
        }
        MucChange::Attributes { user: name, attributes } => {
            let ext = json!({ "properties": attributes, "username": name.as_str() });
            // By the device the SDK knows whether it was this one.
            let client_resource = entry.sender_device.as_ref().map(Resource::to_string);
            let from = Jid { client_resource, ..user(&entry.sender) };
            MucBody { from: Some(from), ..with(Operation::GroupMemberMetadataUpdate, ext) }
        }
        _ => return None,
    })
}

/// What a reader in a thread is told.
fn thread_body(me: &Identity, entry: &Entry, notice: MucNotice) -> Option<MucBody> {
    let own = entry.sender == me.user;
    let operation = match notice.change {
        MucChange::Created => Operation::ThreadCreate,
        MucChange::Joined { people, .. } if people.contains(&me.user) => Operation::ThreadJoin,
        MucChange::Joined { .. } => Operation::ThreadPresence,
        MucChange::Left { .. } if own => Operation::ThreadLeave,
        MucChange::Removed { people, .. } if people.contains(&me.user) => Operation::ThreadKick,
        MucChange::Left { .. } | MucChange::Removed { .. } => Operation::ThreadAbsence,
        _ => return None,
    };
    let thread = (entry.conversation.muc()?, notice.name.as_str());
    Some(of_thread(me, entry, operation, thread, notice.parent?))
}

fn of_thread(
    me: &Identity,
    entry: &Entry,
    operation: Operation,
    (thread, name): (MucId, &str),
    group: MucId,
) -> MucBody {
    let app = me.app.as_str();
    MucBody {
        operation: Some(operation as i32),
        muc_id: Some(jid(app, &thread.to_string(), CONFERENCE_DOMAIN)),
        from: Some(user_jid(app, entry.sender.as_str())),
        to: vec![user_jid(app, me.user.as_str())],
        is_chatroom: Some(false),
        is_thread: Some(true),
        muc_name: Some(name.to_owned()),
        muc_parent_id: Some(jid(app, &group.to_string(), CONFERENCE_DOMAIN)),
        ..MucBody::default()
    }
}

/// What a group's member is told of a thread: on the own other devices an operation, else a notification.
pub(super) fn thread(me: &Identity, entry: &Entry, notice: &ThreadNotice) -> Option<Result<MucBody, Value>> {
    let group = entry.conversation.muc()?;
    let (operation, word) = match notice.change {
        ThreadChange::Created => (None, "create"),
        ThreadChange::Renamed => (Some(Operation::ThreadUpdate), "update"),
        ThreadChange::Destroyed => (Some(Operation::ThreadDestroy), "delete"),
        ThreadChange::Said { .. } => (None, "update_msg"),
        _ => return None,
    };
    if entry.sender == me.user {
        match (operation, &notice.change) {
            (Some(operation), _) => {
                return Some(Ok(of_thread(me, entry, operation, (notice.id, &notice.name), group)));
            }
            // Told in the thread itself.
            (None, ThreadChange::Created) => return None,
            (None, _) => {}
        }
    }
    let mut data = json!({
        "id": notice.id.to_string(),
        "name": notice.name,
        "muc_parent_id": group.to_string(),
        "msg_parent_id": notice.message.to_string(),
        "timestamp": entry.at.0,
        "from": entry.sender.as_str(),
        "operation": word,
    });
    if let ThreadChange::Said { count, last } = &notice.change {
        data["message_count"] = (*count).into();
        data["last_message"] = last_message(notice.id, last).unwrap_or_else(|| json!({}));
    }
    Some(Err(json!({ "type": "thread", "data": data })))
}

/// One person is who it is from; several are listed.
fn several(body: MucBody, people: &[UserName], size: u64, user: impl Fn(&UserName) -> Jid) -> MucBody {
    let body = MucBody { muc_member_count: count(size), ..body };
    match people {
        [one] => MucBody { from: Some(user(one)), ..body },
        _ => MucBody { members: people.iter().map(UserName::to_string).collect(), ..body },
    }
}

fn count(size: u64) -> Option<i32> {
    i32::try_from(size).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use meridian_types::{AppKey, Audience, EntryKind, MessageId, Millis, Seq};

    fn name(text: &str) -> UserName {
        UserName::parse(text).unwrap()
    }

    /// (operation, from, to) of what somebody reads when alice did it.
    fn read(reader: &str, change: MucChange) -> (Operation, String, Vec<String>) {
        let body = whole(reader, change);
        let to = body.to.iter().map(|jid| jid.name().to_owned()).collect();
        (body.operation(), body.from.unwrap().name().to_owned(), to)
    }

    fn whole(reader: &str, change: MucChange) -> MucBody {
        let me =
            Identity { app: AppKey::parse("org#app").unwrap(), user: name(reader), attached_at: Millis(0) };
        let entry = Entry {
            conversation: MucId::parse("77").unwrap().into(),
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
            body: None,
        };
        body(Reader::Me(&me), &entry, MucNotice { name: "G".into(), parent: None, change }).unwrap()
    }

    fn told(operation: Operation, from: &str, to: &str) -> (Operation, String, Vec<String>) {
        (operation, from.to_owned(), vec![to.to_owned()])
    }

    #[test]
    fn the_one_concerned_and_the_others_read_different_things() {
        let people = || vec![name("bob")];
        let joined = |how| MucChange::Joined { people: people(), how, size: 2, ext: String::new() };
        assert_eq!(read("bob", joined(Joining::Added)), told(Operation::DirectJoined, "alice", "bob"));
        assert_eq!(read("bob", joined(Joining::Accepted)), told(Operation::ApplyAccept, "alice", "bob"));
        assert_eq!(read("carol", joined(Joining::Added)), told(Operation::Presence, "bob", "carol"));
        let removed = MucChange::Removed { people: people(), blocked: false, size: 1 };
        assert_eq!(read("bob", removed.clone()), told(Operation::Kick, "alice", "bob"));
        assert_eq!(read("carol", removed), told(Operation::Absence, "bob", "carol"));
        assert_eq!(read("carol", MucChange::Left { size: 1 }), told(Operation::Absence, "alice", "carol"));
        assert_eq!(
            read("carol", MucChange::AdminAdded { user: name("bob") }),
            told(Operation::AddAdmin, "alice", "bob")
        );
    }

    #[test]
    fn several_are_listed_and_counted() {
        let people = vec![name("bob"), name("carol")];
        let body =
            whole("dave", MucChange::Joined { people, how: Joining::Added, size: 4, ext: String::new() });
        assert_eq!((body.members.len(), body.muc_member_count), (2, Some(4)));
    }

    #[test]
    fn what_goes_with_it_is_where_the_sdk_looks() {
        let muted = |until| whole("bob", MucChange::Muted { user: name("bob"), until }).ext.unwrap();
        assert_eq!(muted(17), r#"{"user_mute_time":17}"#);
        assert_eq!(muted(u64::MAX), r#"{"user_mute_time":-1}"#);
        let announced = |text: &str| whole("bob", MucChange::Announced { text: text.into() });
        assert_eq!(announced("hear").reason(), "hear");
        assert_eq!(announced("").operation(), Operation::DeleteAnnouncement);
        let attributes = [("k".to_owned(), "v".to_owned())].into();
        let body = whole("bob", MucChange::Attributes { user: name("bob"), attributes });
        assert_eq!(body.from.unwrap().client_resource(), "a1");
        assert_eq!(body.event_info.unwrap().ext(), r#"{"properties":{"k":"v"},"username":"bob"}"#);
    }
}
