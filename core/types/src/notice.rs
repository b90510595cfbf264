//! What an entry of kind [`Notice`](crate::EntryKind::Notice) says: something other than a message that a person's devices
//! should know. Its body is this, as JSON, so that fields can be added; each protocol has its own words for it.

use crate::{ConversationKey, Entry, EntryKind, MessageId, Millis, MucId, UserName};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Notice {
    /// Between the two people of the conversation; the entry's sender did it.
    Contact {
        change: ContactChange,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// How a person is reached; to those who follow them. Never stored.
    Presence(PresenceNotice),
    /// A device of the person has changed what notifies them.
    SilentMode {
        /// `None` for all conversations.
        conversation: Option<ConversationName>,
        settings: SilentMode,
    },
    /// In a group, thread or room; the entry's sender did it.
    Muc(MucNotice),
    /// In a group, about one of its threads; the entry's sender did it.
    Thread(ThreadNotice),
}

/// A change of a thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadNotice {
    pub id: MucId,
    /// What it is called then.
    pub name: String,
    /// What it is about.
    pub message: MessageId,
    #[serde(flatten)]
    pub change: ThreadChange,
}

/// The message that was said last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastMessage {
    pub id: MessageId,
    pub at: Millis,
    pub from: UserName,
    /// A serialised `MessageBody`.
    pub body: Vec<u8>,
}

/// What was changed of a thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ThreadChange {
    Created,
    Renamed,
    Destroyed,
    /// Somebody has said something there. Never stored.
    Said {
        /// Messages so far.
        count: u64,
        last: LastMessage,
    },
}

/// A change of a group, thread or room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MucNotice {
    /// What it is called then.
    pub name: String,
    /// The group of a thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<MucId>,
    #[serde(flatten)]
    pub change: MucChange,
}

/// What was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
#[non_exhaustive]
pub enum MucChange {
    Created,
    Destroyed,
    /// Fields and their new values, as clients name them.
    Updated {
        fields: BTreeMap<String, serde_json::Value>,
    },
    /// Somebody wants in; to those who decide.
    Applied {
        reason: String,
    },
    ApplicationDeclined {
        applicant: UserName,
        reason: String,
    },
    Invited {
        people: Vec<UserName>,
    },
    InvitationAccepted,
    InvitationDeclined {
        reason: String,
    },
    /// These are in now, and so many in all.
    Joined {
        people: Vec<UserName>,
        how: Joining,
        size: u64,
        /// The words of who came into a room.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        ext: String,
    },
    /// The sender has gone.
    Left {
        size: u64,
    },
    Removed {
        people: Vec<UserName>,
        blocked: bool,
        size: u64,
    },
    Unblocked {
        user: UserName,
    },
    OwnerChanged {
        owner: UserName,
    },
    AdminAdded {
        user: UserName,
    },
    AdminRemoved {
        user: UserName,
    },
    /// Until then, in milliseconds since 1970.
    Muted {
        user: UserName,
        until: u64,
    },
    Unmuted {
        user: UserName,
    },
    AllMuted,
    AllUnmuted,
    Allowed {
        user: UserName,
    },
    Disallowed {
        user: UserName,
    },
    /// Empty when it was taken away.
    Announced {
        text: String,
    },
    FileAdded {
        file: String,
    },
    FileRemoved {
        file: String,
    },
    Disabled,
    Enabled,
    /// Whether the sender wants no messages.
    Shielded {
        on: bool,
    },
    /// Of a room; `ext` is for whoever hears of it.
    RoomAttributesSet {
        attributes: BTreeMap<String, String>,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        ext: String,
    },
    RoomAttributesRemoved {
        keys: Vec<String>,
    },
    /// Of a member; an empty value is one taken away.
    Attributes {
        user: UserName,
        attributes: BTreeMap<String, String>,
    },
}

/// How somebody came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Joining {
    /// By somebody who needed no consent.
    Added,
    /// By themself.
    Joined,
    /// They had asked, and the sender agreed.
    Accepted,
    /// They were asked, and agreed.
    Invited,
}

/// What somebody did to a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ContactChange {
    Invited,
    Accepted,
    Declined,
    Removed,
    /// By the app, without an invitation.
    Added,
    Blocked,
    Unblocked,
}

/// A person's presence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceNotice {
    /// The person's own words.
    pub ext: String,
    /// When it last changed, in seconds since 1970.
    pub last_time: u64,
    /// When the reader's subscription ends, in seconds since 1970.
    pub expiry: u64,
    /// Connected device → 1, or a number that the application chose.
    pub status: BTreeMap<String, i64>,
}

/// A conversation as settings name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConversationName {
    User(UserName),
    Group(String),
    Room(String),
}

/// When to leave a person in peace; what is absent is not set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilentMode {
    /// Of what they want to hear: `ALL`, `AT`, `NONE`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Every day, `HH:MM-HH:MM`.
    #[serde(default, rename = "ignoreInterval", skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// Until then, in milliseconds since 1970.
    #[serde(default, rename = "ignoreDuration", skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

impl SilentMode {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }
}

impl Notice {
    #[must_use]
    pub fn encode(&self) -> Bytes {
        // Strings, numbers and maps with text keys: this cannot fail.
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// The notice of an entry; `None` for other entries and for notices of a newer version.
    #[must_use]
    pub fn of(entry: &Entry) -> Option<Self> {
        if entry.kind != EntryKind::Notice {
            return None;
        }
        serde_json::from_slice(entry.body.as_deref()?).ok()
    }
}

impl ConversationName {
    /// One text for a table's key: `u/bob`, `g/123`, `r/9`.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::User(name) => format!("u/{name}"),
            Self::Group(id) => format!("g/{id}"),
            Self::Room(id) => format!("r/{id}"),
        }
    }

    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        let (kind, id) = key.split_once('/')?;
        Some(match kind {
            "u" => Self::User(UserName::parse(id).ok()?),
            "g" => Self::Group(id.to_owned()),
            "r" => Self::Room(id.to_owned()),
            _ => return None,
        })
    }
}

/// The conversation that a person has with themself, where what only their own devices need to know is told.
#[must_use]
pub fn own_conversation(user: &UserName) -> ConversationKey {
    ConversationKey::pair(user, user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_keep_their_stored_form() {
        let contact = Notice::Contact { change: ContactChange::Invited, reason: "hi".into() };
        assert_eq!(&contact.encode()[..], br#"{"type":"contact","change":"invited","reason":"hi"}"#);
        let settings = SilentMode { kind: Some("NONE".into()), ..SilentMode::default() };
        let bob = UserName::parse("bob").unwrap();
        let silent = Notice::SilentMode { conversation: Some(ConversationName::User(bob)), settings };
        let text = br#"{"type":"silent_mode","conversation":{"user":"bob"},"settings":{"type":"NONE"}}"#;
        assert_eq!(&silent.encode()[..], text);
        assert_eq!(serde_json::from_slice::<Notice>(text).unwrap(), silent);
        let presence =
            Notice::Presence(PresenceNotice { status: [("a".into(), 1)].into(), ..Default::default() });
        let text = br#"{"type":"presence","ext":"","last_time":0,"expiry":0,"status":{"a":1}}"#;
        assert_eq!(&presence.encode()[..], text);
    }

    #[test]
    fn conversation_names_come_back_from_their_keys() {
        for name in [
            ConversationName::User(UserName::parse("bob").unwrap()),
            ConversationName::Group("12".into()),
            ConversationName::Room("a/b".into()),
        ] {
            assert_eq!(ConversationName::from_key(&name.key()), Some(name));
        }
        assert_eq!(ConversationName::from_key("x/1"), None);
    }
}
