//! What clients say.

use super::body::Fields;
use meridian_types::{ConversationKey, Epoch, MessageId, MucId, Position, Seq, UserName, room::Priority};
use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error as _};
use serde_json::Value;
use std::collections::HashMap;

/// Characters of a mistake that are told back.
const MISTAKE_LIMIT: usize = 200;

/// A client's frame.
#[derive(Debug)]
pub(super) enum ClientFrame {
    Hello(Hello),
    Send(Send),
    Edit(Edit),
    Recall(Recall),
    Receipt(Receipt),
    Typing(Typing),
    History(History),
    Ack(Ack),
    Ping(Ping),
    Join(Join),
    Leave(Leave),
    /// Known, and not served yet.
    Later(&'static str, Option<Id>),
}

/// Names of the frames that clients send.
#[cfg(test)]
pub(super) const CLIENT_FRAMES: [&str; 13] = [
    "hello", "send", "edit", "recall", "receipt", "typing", "history", "ack", "ping", "react", "join",
    "leave", "presence",
];

/// A frame that cannot be taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) id: Option<u64>,
    pub(super) code: &'static str,
    pub(super) text: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Hello {
    pub(super) app: String,
    pub(super) user: String,
    pub(super) token: Option<String>,
    pub(super) password: Option<String>,
    pub(super) device: Device,
    /// Peer → how far this device has it, by its own book.
    #[serde(default)]
    pub(super) positions: HashMap<Conversation, Place>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Device {
    pub(super) id: String,
    #[serde(default)]
    pub(super) platform: Option<String>,
    #[serde(default)]
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Send {
    pub(super) id: Id,
    pub(super) to: String,
    #[serde(default)]
    pub(super) chat: Chat,
    pub(super) body: Fields,
    pub(super) ext: Option<Fields>,
    #[serde(default)]
    pub(super) online_only: bool,
    pub(super) to_device: Option<String>,
    /// Only these members of the group or room.
    pub(super) only: Option<Vec<String>>,
    /// In a room.
    pub(super) priority: Option<Priority>,
}

/// Into a room.
#[derive(Debug, Deserialize)]
pub(super) struct Join {
    pub(super) id: Id,
    pub(super) room: String,
    #[serde(default)]
    pub(super) ext: String,
    #[serde(default)]
    pub(super) leave_others: bool,
}

/// Out of a room.
#[derive(Debug, Deserialize)]
pub(super) struct Leave {
    pub(super) id: Id,
    pub(super) room: String,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Chat {
    #[default]
    User,
    Group,
    Room,
}

#[derive(Debug, Deserialize)]
pub(super) struct Edit {
    pub(super) id: Id,
    pub(super) to: String,
    #[serde(default)]
    pub(super) chat: Chat,
    pub(super) message: Message,
    pub(super) body: Fields,
    pub(super) ext: Option<Fields>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Recall {
    pub(super) id: Id,
    pub(super) to: String,
    #[serde(default)]
    pub(super) chat: Chat,
    pub(super) message: Message,
}

#[derive(Debug, Deserialize)]
pub(super) struct Receipt {
    pub(super) id: Id,
    pub(super) to: String,
    #[serde(default)]
    pub(super) chat: Chat,
    /// Absent: everything so far.
    pub(super) message: Option<Message>,
    pub(super) kind: ReceiptKind,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum ReceiptKind {
    Delivered,
    Read,
}

#[derive(Debug, Deserialize)]
pub(super) struct Typing {
    pub(super) to: String,
    #[serde(default)]
    pub(super) chat: Chat,
}

#[derive(Debug, Deserialize)]
pub(super) struct History {
    pub(super) id: Id,
    pub(super) with: Conversation,
    #[serde(default)]
    pub(super) after: Place,
    #[serde(default = "History::default_limit")]
    pub(super) limit: usize,
}

impl History {
    fn default_limit() -> usize {
        50
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Ack {
    pub(super) conversation: Conversation,
    pub(super) position: Place,
}

#[derive(Debug, Deserialize)]
pub(super) struct Ping {
    pub(super) id: Option<Id>,
}

/// A client's own number of a frame: 1 to 2^63 - 1, as a number or as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(pub(super) u64);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = match Value::deserialize(deserializer)? {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        let valid = number.filter(|number| (1..=i64::MAX as u64).contains(number));
        valid.map(Self).ok_or_else(|| D::Error::custom("id must be a whole number from 1 to 2^63 - 1"))
    }
}

/// A message's id, decimal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message(pub(super) MessageId);

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let id = text.parse().map_err(|_| D::Error::custom("message must be a message id, as text"))?;
        Ok(Self(MessageId(id)))
    }
}

/// A position, `epoch.seq`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place(pub(super) Position);

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let read = || {
            let (epoch, seq) = text.split_once('.')?;
            Some(Position::new(Epoch(epoch.parse().ok()?), Seq(seq.parse().ok()?)))
        };
        // Positions are ranks of 63 bits.
        let valid = read().filter(|position| position.epoch.0 < 1 << 23 && position.seq.0 < 1 << 40);
        valid.map(Self).ok_or_else(|| D::Error::custom("a position is \"epoch.seq\""))
    }
}

/// A conversation as clients name it: a peer, or `g/77`, `t/78`, `r/79` for a group, thread or room.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Conversation {
    With(UserName),
    Muc(MucId),
}

impl Conversation {
    pub(super) fn key(&self, me: &UserName) -> ConversationKey {
        match self {
            Self::With(peer) => ConversationKey::pair(me, peer),
            Self::Muc(id) => (*id).into(),
        }
    }

    /// What it is called for this person.
    pub(super) fn name(me: &UserName, key: &ConversationKey) -> Option<String> {
        match key.muc() {
            Some(_) => Some(key.to_string()),
            None => key.peer(me).map(|peer| peer.to_string()),
        }
    }
}

impl<'de> Deserialize<'de> for Conversation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.contains('/') {
            let id = ConversationKey::from_stored(&text).muc();
            let id = id.filter(|id| ConversationKey::from(*id).as_str() == text);
            return id.map(Self::Muc).ok_or_else(|| D::Error::custom("no such sort of conversation"));
        }
        UserName::parse(&text).map(Self::With).map_err(D::Error::custom)
    }
}

/// Reads a frame.
pub(super) fn read(text: &str) -> Result<ClientFrame, Mistake> {
    let mistake = |text: String| Mistake { id: None, code: "bad_frame", text };
    let value: Value = serde_json::from_str(text).map_err(|error| mistake(format!("not JSON: {error}")))?;
    let Some(kind) = value.get("type").and_then(Value::as_str).map(str::to_owned) else {
        return Err(mistake("type is missing".into()));
    };
    Ok(match kind.as_str() {
        "hello" => ClientFrame::Hello(parse(value)?),
        "send" => ClientFrame::Send(parse(value)?),
        "edit" => ClientFrame::Edit(parse(value)?),
        "recall" => ClientFrame::Recall(parse(value)?),
        "receipt" => ClientFrame::Receipt(parse(value)?),
        "typing" => ClientFrame::Typing(parse(value)?),
        "history" => ClientFrame::History(parse(value)?),
        "ack" => ClientFrame::Ack(parse(value)?),
        "ping" => ClientFrame::Ping(parse(value)?),
        "react" => ClientFrame::Later("react", parse::<Ping>(value)?.id),
        "join" => ClientFrame::Join(parse(value)?),
        "leave" => ClientFrame::Leave(parse(value)?),
        "presence" => ClientFrame::Later("presence", parse::<Ping>(value)?.id),
        other => {
            let text = cut(&format!("type {other:?} is not known"));
            return Err(Mistake { id: id_of(&value), code: "unknown_type", text });
        }
    })
}

fn parse<T: DeserializeOwned>(value: Value) -> Result<T, Mistake> {
    let id = id_of(&value);
    serde_json::from_value(value).map_err(|error| Mistake {
        id,
        code: "bad_frame",
        text: cut(&error.to_string()),
    })
}

/// The frame's own number, so that even a bad frame is answered to the right one.
fn id_of(value: &Value) -> Option<u64> {
    Id::deserialize(value.get("id")?).ok().map(|id| id.0)
}

pub(super) fn cut(text: &str) -> String {
    text.chars().take(MISTAKE_LIMIT).collect()
}
