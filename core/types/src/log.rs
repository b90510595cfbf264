//! The log model. Everything durable is an operation of a log; an operation says what it changes, so that a second
//! store fed with the operations alone becomes equal to the first.
//!
//! A message body travels in its operation but is stored once, in the entry: what the log keeps, and what the hash
//! chain covers, is the operation with the body's hash in its place. Erasing a body therefore does not break a chain.

use crate::{
    ConversationKey, DecodeError, Entry, Epoch, Hash, Hlc, Incarnation, Kind, LogId, Lsn, Object, Relation,
    Seq, codec,
};
use bytes::Bytes;
use std::borrow::Cow;

/// One change to the store. The order of effects inside an operation matters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// Appends an entry; its `seq` is the conversation's last plus one. `body_hash` stays when the body is erased.
    Append {
        entry: Entry,
        body_hash: Hash,
    },
    /// Drops the body of an entry, for good. Nothing happens when it has none.
    Erase {
        conversation: ConversationKey,
        seq: Seq,
    },
    /// Writes an object, whole.
    PutObject(Object),
    DeleteObject {
        kind: Kind,
        id: String,
    },
    /// Writes a relation, whole.
    PutRelation(Relation),
    /// Writes a relation, unless one is there whose (rank, body) is not less: the last writer wins by rank, and whoever
    /// replays such effects in another order ends with the same.
    RaiseRelation(Relation),
    DeleteRelation {
        kind: Kind,
        from: String,
        to: String,
    },
}

/// A named set of effects that happen together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What happened, for people: `message`, `user.create`…
    pub name: Cow<'static, str>,
    pub at: Hlc,
    pub effects: Vec<Effect>,
}

/// An operation with its place in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedOperation {
    pub lsn: Lsn,
    pub epoch: Epoch,
    pub operation: Operation,
    /// The chain up to and including this operation.
    pub chain: Hash,
}

impl LoggedOperation {
    /// Puts an operation behind `head`.
    #[must_use]
    pub fn after(head: &LogHead, operation: Operation) -> Self {
        let lsn = head.lsn.next();
        let chain = chain_next(&head.chain, head.epoch, lsn, &operation.encode_detached());
        Self { lsn, epoch: head.epoch, operation, chain }
    }

    /// Whether this is the operation that may follow a log at (`lsn`, `chain`).
    #[must_use]
    pub fn follows(&self, lsn: Lsn, chain: &Hash) -> bool {
        self.lsn == lsn.next()
            && self.chain == chain_next(chain, self.epoch, self.lsn, &self.operation.encode_detached())
    }
}

/// `chain(n) = SHA-256(chain(n-1) ‖ epoch ‖ lsn ‖ detached operation)`, numbers as 8 bytes big-endian.
#[must_use]
pub fn chain_next(previous: &Hash, epoch: Epoch, lsn: Lsn, detached: &[u8]) -> Hash {
    Hash::of_parts(&[&previous.0, &epoch.0.to_be_bytes(), &lsn.0.to_be_bytes(), detached])
}

/// Where a log stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHead {
    pub log: LogId,
    pub epoch: Epoch,
    pub writer: Incarnation,
    pub lsn: Lsn,
    pub hlc: Hlc,
    pub chain: Hash,
}

impl LogHead {
    /// The head after `operation`, which must follow it.
    #[must_use]
    pub fn advanced_by(&self, operation: &LoggedOperation) -> Self {
        Self {
            epoch: operation.epoch,
            lsn: operation.lsn,
            hlc: operation.operation.at,
            chain: operation.chain,
            ..*self
        }
    }
}

/// What the store checks before it takes a step; any difference refuses the whole step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    pub epoch: Epoch,
    pub writer: Incarnation,
    /// The head that the step was made on.
    pub head: Lsn,
}

/// One atomic, fenced step of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub log: LogId,
    pub fence: Fence,
    /// Dense from `fence.head + 1`; never empty.
    pub operations: Vec<LoggedOperation>,
}

impl Operation {
    /// What the log keeps and the chain covers: every body replaced by its hash.
    #[must_use]
    pub fn encode_detached(&self) -> Bytes {
        codec::encode_operation(self)
    }

    /// Reads a detached operation. Its entries come without bodies: put them back by [`Operation::appended_mut`].
    pub fn decode_detached(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode_operation(bytes)
    }

    /// The entries that a decoded operation appended, so that a store can put their bodies back.
    pub fn appended_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.effects.iter_mut().filter_map(|effect| match effect {
            Effect::Append { entry, .. } => Some(entry),
            _ => None,
        })
    }
}
