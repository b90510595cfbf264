//! An entry: one step in the history of a conversation. Messages, receipts, recalls and edits are all entries.

use crate::{ConversationKey, MessageId, Millis, Resource, Seq, UserName};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What an entry is. Numbers are stored; never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum EntryKind {
    Message = 1,
    /// A device of the audience has received the target.
    DeliveryReceipt = 2,
    /// The target was read.
    ReadReceipt = 3,
    /// Everything up to this entry was read.
    ConversationRead = 4,
    /// The target is withdrawn; its body is erased in the same step.
    Recall = 5,
    /// The target has this new body.
    Edit = 6,
    /// Something other than a message: a [`Notice`](crate::Notice).
    Notice = 7,
}

impl EntryKind {
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Message,
            2 => Self::DeliveryReceipt,
            3 => Self::ReadReceipt,
            4 => Self::ConversationRead,
            5 => Self::Recall,
            6 => Self::Edit,
            7 => Self::Notice,
            _ => return None,
        })
    }
}

/// Who may pull an entry, decided once by the writer and stored, so that devices cannot disagree.
/// The device that sent an entry never receives it. In a group, thread or room the reader's [`Stay`](crate::Stay) counts too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Audience {
    /// Every device of everybody in the conversation.
    Everyone,
    /// Every device of everybody but the sender.
    Others,
    /// One device of the person who is not the sender (of the sender in a conversation with oneself).
    Device(Resource),
    /// The other devices of the sender.
    Own,
    /// Every device of these people, in the conversation or not.
    People(Vec<UserName>),
}

/// Names a client's attempt to send, so that sending again gives the first answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IdempotencyKey {
    /// Hash of (tenant, conversation, sender, device).
    pub stream: u64,
    /// The client's message id; clients raise it, which makes most checks a comparison with the last one.
    pub id: u64,
}

/// One entry of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub conversation: ConversationKey,
    pub seq: Seq,
    pub message_id: MessageId,
    pub at: Millis,
    pub kind: EntryKind,
    pub sender: UserName,
    /// `None` when it came by REST.
    pub sender_device: Option<Resource>,
    pub audience: Audience,
    /// The message that a receipt, recall or edit is about.
    pub target: Option<MessageId>,
    pub idempotency: Option<IdempotencyKey>,
    /// `Meta.ext` as sent: a serialised `Meta` that has only `ext` set. Empty when there was none.
    pub ext: Bytes,
    /// The sender's `MessageBody` bytes, verbatim, or a notice. `None` once erased by a recall.
    pub body: Option<Bytes>,
}

impl Entry {
    /// Whether a device of one of the conversation's people receives this entry.
    #[must_use]
    pub fn reaches(&self, user: &UserName, device: &Resource) -> bool {
        if self.body.is_none() {
            return false;
        }
        let own = &self.sender == user;
        if own && self.sender_device.as_ref() == Some(device) {
            return false;
        }
        match &self.audience {
            Audience::Everyone => true,
            Audience::Others => !own || self.is_to_oneself(),
            Audience::Device(target) => target == device && (!own || self.is_to_oneself()),
            Audience::Own => own,
            Audience::People(people) => people.contains(user),
        }
    }

    fn is_to_oneself(&self) -> bool {
        self.conversation.people().is_some_and(|(a, b)| a == b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(audience: Audience) -> Entry {
        let (alice, bob) = (UserName::parse("alice").unwrap(), UserName::parse("bob").unwrap());
        Entry {
            conversation: ConversationKey::pair(&alice, &bob),
            seq: Seq(1),
            message_id: MessageId(1),
            at: Millis(1),
            kind: EntryKind::Message,
            sender: alice,
            sender_device: Some(Resource::parse("a1").unwrap()),
            audience,
            target: None,
            idempotency: None,
            ext: Bytes::new(),
            body: Some(Bytes::from_static(b"hi")),
        }
    }

    fn reached(entry: &Entry) -> Vec<&'static str> {
        [("alice", "a1"), ("alice", "a2"), ("bob", "b1"), ("bob", "b2")]
            .into_iter()
            .filter(|(user, device)| {
                entry.reaches(&UserName::parse(user).unwrap(), &Resource::parse(device).unwrap())
            })
            .map(|(_, device)| device)
            .collect()
    }

    #[test]
    fn an_audience_decides_who_pulls() {
        assert_eq!(reached(&entry(Audience::Everyone)), ["a2", "b1", "b2"]);
        assert_eq!(reached(&entry(Audience::Others)), ["b1", "b2"]);
        assert_eq!(reached(&entry(Audience::Device(Resource::parse("b2").unwrap()))), ["b2"]);
        assert_eq!(reached(&entry(Audience::Own)), ["a2"]);
        assert_eq!(reached(&entry(Audience::People(vec![UserName::parse("bob").unwrap()]))), ["b1", "b2"]);
        let mut erased = entry(Audience::Everyone);
        erased.body = None;
        assert!(reached(&erased).is_empty());
    }
}
