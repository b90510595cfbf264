//! Chat rooms: what a device asks of one, and the pieces in which its news go out. A room has no offline delivery: who is not
//! connected misses what is said, and reads the last of it when they come in.

use crate::{
    Audience, ConversationKey, Entry, EntryKind, Millis, MucId, Notice, UserName,
    msync::{KeyValue, Meta, key_value::Value},
    notice::MucChange,
};
use bytes::Bytes;
use prost::Message;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashSet,
    sync::{Arc, OnceLock},
};

/// What is kept when a room says more than can be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Left out first.
    Low,
    #[default]
    Normal,
    /// Never left out.
    High,
}

/// The name in `Meta.ext` by which clients say a message's priority: 0 high, 1 normal, 2 low.
const TAG: &str = "chatroom_msg_tag";
const BROADCAST: &str = "is_broadcast";
/// Of the SDK's value types: bool and int.
const BOOL: i32 = 1;
const INT: i32 = 2;

impl Priority {
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        match entry.kind {
            EntryKind::Message if entry.ext.is_empty() => Self::Normal,
            EntryKind::Message => Self::read(&entry.ext),
            // That somebody came or went is told by the next number.
            EntryKind::Notice if entry.seq.0 == 0 => Self::Low,
            _ => Self::High,
        }
    }

    fn read(ext: &[u8]) -> Self {
        let Ok(meta) = Meta::decode(ext) else { return Self::Normal };
        let tag = meta.ext.iter().find(|pair| pair.key.as_deref() == Some(TAG));
        match tag.and_then(|pair| pair.value.as_ref()) {
            Some(Value::VarintValue(0)) => Self::High,
            Some(Value::VarintValue(2)) => Self::Low,
            _ => Self::Normal,
        }
    }

    /// As a client would say it, for what is sent by REST.
    #[must_use]
    pub fn ext(self, is_broadcast: bool) -> Bytes {
        let number = match self {
            Self::High => 0,
            Self::Normal => 1,
            Self::Low => 2,
        };
        let pair = |key: &str, kind, value| KeyValue {
            key: Some(key.to_owned()),
            r#type: Some(kind),
            value: Some(Value::VarintValue(value)),
        };
        let mut ext = vec![pair(TAG, INT, number)];
        if is_broadcast {
            ext.push(pair(BROADCAST, BOOL, 1));
        }
        Meta { ext, ..Meta::default() }.encode_to_vec().into()
    }

    /// What a client has said besides, with this priority.
    #[must_use]
    pub fn in_ext(self, ext: &[u8]) -> Bytes {
        let mut said = Meta::decode(ext).unwrap_or_default().ext;
        said.retain(|pair| pair.key.as_deref() != Some(TAG));
        let own = Meta::decode(self.ext(false)).unwrap_or_default().ext;
        Meta { ext: said.into_iter().chain(own).collect(), ..Meta::default() }.encode_to_vec().into()
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

/// What a device asks of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoomRequest {
    Join {
        room: MucId,
        /// The joiner's words, told to the others. At most 1,024 bytes.
        ext: String,
        /// Be in no other room.
        leave_others: bool,
    },
    Leave {
        room: MucId,
    },
}

/// How the one who came in finds the room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub members: u64,
    pub created: Millis,
    pub all_muted: bool,
    /// May speak while all are muted.
    pub allowed: bool,
    /// Until when the person is muted, in milliseconds since 1970; `u64::MAX` without end, 0 not at all.
    pub muted_until: u64,
    /// The last entry so far.
    pub seq: u64,
    /// The last messages, oldest first.
    #[serde(skip)]
    pub history: Vec<Arc<Entry>>,
}

/// Why a device could not come in or go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RoomError {
    #[error("there is no such room")]
    NotFound,
    #[error("the room is full")]
    Full,
    #[error("the person is kept out of the room")]
    Blocked,
    #[error("the room is disabled")]
    Disabled,
    #[error("the person is in too many rooms")]
    TooMany,
    #[error("a field is malformed or too long")]
    Malformed,
    #[error("the person is not in the room")]
    NotMember,
    #[error("the core is busy")]
    Busy,
    #[error("the core cannot answer now")]
    Unavailable,
}

/// What each protocol says to all who read the same: made once for all sockets of an edge.
#[derive(Debug, Default)]
pub struct Frames([OnceLock<Bytes>; 2]);

/// A protocol's place in [`Frames`].
#[derive(Clone, Copy, Debug)]
pub enum Protocol {
    Msync = 0,
    Json = 1,
}

/// News of a room: the same piece for each of its members on a core.
#[derive(Debug)]
pub struct RoomNews {
    pub conversation: ConversationKey,
    /// In order. Some have no place (`seq` 0); of the others some may be left out.
    pub entries: Vec<Arc<Entry>>,
    /// Those who read some of it otherwise than everybody, or not at all.
    pub concerned: HashSet<UserName>,
    frames: Frames,
}

impl RoomNews {
    #[must_use]
    pub fn new(conversation: ConversationKey, entries: Vec<Arc<Entry>>) -> Self {
        let mut concerned = HashSet::new();
        entries.iter().for_each(|entry| note_concerned(entry, &mut concerned));
        Self { conversation, entries, concerned, frames: Frames::default() }
    }

    /// The frame that all but the concerned get; made by the first who needs it.
    pub fn shared(&self, protocol: Protocol, make: impl FnOnce() -> Bytes) -> Bytes {
        self.frames.0[protocol as usize].get_or_init(make).clone()
    }

    /// The last place in it.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.entries.iter().map(|entry| entry.seq.0).max().unwrap_or(0)
    }

    /// The first place in it; `None` when nothing in it has one.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.entries.iter().map(|entry| entry.seq.0).find(|seq| *seq > 0)
    }
}

/// Who reads an entry otherwise than the others: who did it, and whom it is about.
fn note_concerned(entry: &Entry, concerned: &mut HashSet<UserName>) {
    concerned.insert(entry.sender.clone());
    if let Some(Notice::Muc(notice)) = Notice::of(entry)
        && let MucChange::Joined { people, .. } | MucChange::Removed { people, .. } = notice.change
    {
        concerned.extend(people);
    }
}

/// Whether an entry of a room is for everybody who is in.
#[must_use]
pub fn is_for_all(entry: &Entry) -> bool {
    matches!(entry.audience, Audience::Everyone | Audience::Others)
}

/// Of a message of a room that is told to who comes in.
#[must_use]
pub fn is_history(entry: &Entry) -> bool {
    entry.kind == EntryKind::Message && entry.body.is_some() && is_for_all(entry)
}
