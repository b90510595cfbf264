//! What a connection knows of each conversation: how far it was read for the client, what the client has not
//! acknowledged, and whether more is owed.

use meridian_types::{ConversationKey, Position};
use std::collections::{HashMap, VecDeque};

/// Entries told and not acknowledged, of all conversations; then the server waits.
pub(super) const WINDOW: usize = 256;

#[derive(Debug, Default)]
struct Queue {
    /// Everything up to here was told, or is not for this device.
    examined: Position,
    told: VecDeque<Position>,
    /// More is stored than examined.
    behind: bool,
    /// In the line for a pull, or under way.
    asked: bool,
    used: bool,
}

/// What to do with a live entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Live {
    Tell,
    /// Nothing to tell, and nothing before it waits: the position may be raised.
    Raise,
    Nothing,
}

#[derive(Debug, Default)]
pub(super) struct Queues {
    by_conversation: HashMap<ConversationKey, Queue>,
    unacknowledged: usize,
}

impl Queues {
    /// Whether more may be told.
    pub(super) fn has_room(&self) -> bool {
        self.unacknowledged < WINDOW
    }

    pub(super) fn room(&self) -> usize {
        WINDOW.saturating_sub(self.unacknowledged)
    }

    /// The core lists a conversation as owed from a position on. What this connection has told stays told.
    pub(super) fn owe(&mut self, conversation: ConversationKey, from: Position) {
        let queue = self
            .by_conversation
            .entry(conversation)
            .or_insert_with(|| Queue { examined: from, ..Queue::default() });
        queue.behind = true;
        queue.used = true;
    }

    /// The next entry of a conversation has been stored. `wanted`: it is for this device.
    pub(super) fn live(&mut self, conversation: &ConversationKey, at: Position, wanted: bool) -> Live {
        let has_room = self.has_room();
        let queue = self.by_conversation.entry(conversation.clone()).or_insert_with(|| {
            // Not listed, so caught up: what is before this is told.
            let before = Position { seq: meridian_types::Seq(at.seq.0.saturating_sub(1)), ..at };
            Queue { examined: before, ..Queue::default() }
        });
        queue.used = true;
        if at <= queue.examined {
            return Live::Nothing;
        }
        let dense = at.epoch == queue.examined.epoch && at.seq.0 == queue.examined.seq.0 + 1;
        if queue.behind || !dense || (wanted && !has_room) {
            queue.behind = true;
            return Live::Nothing;
        }
        queue.examined = at;
        match (wanted, queue.told.is_empty()) {
            (true, _) => Live::Tell,
            (false, true) => Live::Raise,
            (false, false) => Live::Nothing,
        }
    }

    /// An entry was told.
    pub(super) fn told(&mut self, conversation: &ConversationKey, at: Position) {
        if let Some(queue) = self.by_conversation.get_mut(conversation) {
            queue.told.push_back(at);
            self.unacknowledged += 1;
        }
    }

    /// A conversation to pull next, and from where.
    pub(super) fn next(&mut self) -> Option<(ConversationKey, Position)> {
        if !self.has_room() {
            return None;
        }
        let (conversation, queue) =
            self.by_conversation.iter_mut().find(|(_, queue)| queue.behind && !queue.asked)?;
        queue.asked = true;
        // What comes meanwhile makes it behind again.
        queue.behind = false;
        Some((conversation.clone(), queue.examined))
    }

    /// A pull has come back: everything up to `position` is examined. True: nothing waits before it, so that the position
    /// may be raised if nothing was told.
    pub(super) fn pulled(&mut self, conversation: &ConversationKey, position: Position, more: bool) -> bool {
        let Some(queue) = self.by_conversation.get_mut(conversation) else { return false };
        queue.asked = false;
        queue.behind |= more;
        queue.examined = queue.examined.max(position);
        queue.told.is_empty()
    }

    pub(super) fn pull_failed(&mut self, conversation: &ConversationKey) {
        if let Some(queue) = self.by_conversation.get_mut(conversation) {
            queue.asked = false;
            queue.behind = true;
        }
    }

    /// The client has everything up to a position; gives what to raise the core's position to, never past what was told.
    pub(super) fn acknowledged(
        &mut self,
        conversation: &ConversationKey,
        up_to: Position,
    ) -> Option<Position> {
        let queue = self.by_conversation.get_mut(conversation)?;
        queue.used = true;
        let mut last = None;
        while queue.told.front().is_some_and(|told| *told <= up_to) {
            last = queue.told.pop_front();
            self.unacknowledged -= 1;
        }
        if queue.told.is_empty() && queue.told.capacity() > 16 {
            queue.told = VecDeque::new();
        }
        // What follows the last one told is not for this device.
        if queue.told.is_empty() { last.map(|_| queue.examined) } else { last }
    }

    /// Whether everything that was owed has been told.
    pub(super) fn is_synced(&self) -> bool {
        self.by_conversation.values().all(|queue| !queue.behind && !queue.asked)
    }

    /// Forgets what was settled at the last sweep and not used since.
    pub(super) fn sweep(&mut self) {
        self.by_conversation.retain(|_, queue| {
            let used = std::mem::take(&mut queue.used);
            used || queue.behind || queue.asked || !queue.told.is_empty()
        });
        self.by_conversation.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use meridian_types::{Epoch, Seq, UserName};

    fn conversation() -> ConversationKey {
        ConversationKey::pair(&UserName::parse("alice").unwrap(), &UserName::parse("bob").unwrap())
    }

    fn at(seq: u64) -> Position {
        Position::new(Epoch(1), Seq(seq))
    }

    #[test]
    fn dense_entries_are_told_and_a_gap_is_pulled() {
        let (mut queues, key) = (Queues::default(), conversation());
        assert_eq!(queues.live(&key, at(5), true), Live::Tell);
        queues.told(&key, at(5));
        assert_eq!(queues.live(&key, at(5), true), Live::Nothing);
        assert!(queues.next().is_none());
        assert_eq!(queues.live(&key, at(7), true), Live::Nothing);
        assert_eq!(queues.next(), Some((key.clone(), at(5))));
        assert!(queues.next().is_none(), "one pull at a time");
        // Comes while the pull is under way, which may have read too early.
        assert_eq!(queues.live(&key, at(8), true), Live::Nothing);
        assert!(!queues.pulled(&key, at(7), false));
        assert_eq!(queues.next(), Some((key.clone(), at(7))));
        queues.pulled(&key, at(8), false);
        assert!(queues.is_synced());
        assert_eq!(queues.live(&key, at(9), false), Live::Nothing, "something is unacknowledged");
    }

    #[test]
    fn a_position_is_raised_no_further_than_what_was_told() {
        let (mut queues, key) = (Queues::default(), conversation());
        for seq in 1..=3 {
            assert_eq!(queues.live(&key, at(seq), true), Live::Tell);
            queues.told(&key, at(seq));
        }
        assert_eq!(queues.live(&key, at(4), false), Live::Nothing);
        assert_eq!(queues.acknowledged(&key, at(2)), Some(at(2)));
        assert_eq!(queues.acknowledged(&key, at(1)), None);
        assert_eq!(queues.acknowledged(&key, at(900)), Some(at(4)), "what follows is not for this device");
        assert_eq!(queues.live(&key, at(5), false), Live::Raise);
    }

    #[test]
    fn a_full_window_waits_for_the_client() {
        let (mut queues, key) = (Queues::default(), conversation());
        for seq in 1..=WINDOW as u64 {
            assert_eq!(queues.live(&key, at(seq), true), Live::Tell);
            queues.told(&key, at(seq));
        }
        assert_eq!(queues.live(&key, at(WINDOW as u64 + 1), true), Live::Nothing);
        assert!(queues.next().is_none());
        assert_eq!(queues.acknowledged(&key, at(1)), Some(at(1)));
        assert_eq!(queues.next(), Some((key, at(WINDOW as u64))));
    }
}
