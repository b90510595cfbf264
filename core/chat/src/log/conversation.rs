//! What a writer keeps in memory of a conversation.

use crate::muc::MucState;
use meridian_types::{MessageId, Seq};
use std::collections::HashMap;

/// Streams remembered per conversation; more are looked up again.
const STREAMS: usize = 64;

/// The hot state of a conversation, a fold over its entries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conversation {
    pub(crate) seq: Seq,
    pub(crate) message_id: MessageId,
    /// People who surely have their `joined` relation.
    joined: Vec<String>,
    /// What the two have settled between them, once somebody needed it.
    pub(crate) pair: Option<Pair>,
    /// The group, once somebody needed it.
    pub(crate) muc: Option<MucState>,
    /// Greatest client message id per idempotency stream. A greater one is surely new.
    streams: HashMap<u64, u64>,
}

/// Contacts and block lists of two people.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pair {
    pub(crate) are_contacts: bool,
    /// Who blocks the other.
    blocks: Vec<String>,
}

impl Pair {
    pub(crate) fn new(are_contacts: bool, blocks: Vec<String>) -> Self {
        Self { are_contacts, blocks }
    }

    pub(crate) fn blocks(&self, person: &str) -> bool {
        self.blocks.iter().any(|blocks| blocks == person)
    }
}

impl Conversation {
    pub(crate) fn has_joined(&self, person: &str) -> bool {
        self.joined.iter().any(|joined| joined == person)
    }

    pub(crate) fn note_joined(&mut self, person: &str) {
        if !self.has_joined(person) {
            self.joined.push(person.to_owned());
        }
    }

    pub(crate) fn note_left(&mut self, person: &str) {
        self.joined.retain(|joined| joined != person);
    }

    pub(crate) fn last_of_stream(&self, stream: u64) -> Option<u64> {
        self.streams.get(&stream).copied()
    }

    pub(crate) fn note_stream(&mut self, stream: u64, id: u64) {
        if self.streams.len() >= STREAMS && !self.streams.contains_key(&stream) {
            self.streams.clear();
        }
        let last = self.streams.entry(stream).or_default();
        *last = (*last).max(id);
    }
}
