//! What one connection knows of each conversation: how far it has sent, what the client has not acknowledged, and
//! whether the client must be woken. Pure bookkeeping; the session does the talking.
//!
//! A conversation that is not here is caught up. State appears when something is owed or in flight and goes away
//! some time after everything was acknowledged, so an idle connection holds none.

use meridian_link::Unread;
use meridian_types::{ConversationKey, Position};
use std::collections::{HashMap, VecDeque};

/// Batches of one conversation that may be pushed without an acknowledgement.
const PUSH_WINDOW: usize = 64;
/// Batches that may be sent unasked without an acknowledgement.
const OFFER_WINDOW: usize = 16;
/// Batches remembered per conversation; a client that pulls without acknowledging loses the oldest, harmlessly: a
/// later key acknowledges them too.
const REMEMBERED: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Queues {
    by_conversation: HashMap<ConversationKey, Queue>,
}

#[derive(Debug)]
struct Queue {
    /// Everything up to here was sent on this connection, or is not for this device.
    sent: Position,
    /// The newest entry heard of.
    newest: Position,
    /// The last position given to the caller for the core.
    told: Option<Position>,
    /// There may be something after `sent` that must be pulled.
    behind: bool,
    /// Batches sent and not acknowledged, oldest first.
    in_flight: VecDeque<(u64, Position)>,
    /// The client was told to pull, and has not yet.
    awaited: bool,
    /// Pulls of the client that wait for their answer.
    asked: usize,
    /// The core is being asked for what follows `sent`.
    pulling: bool,
    /// A possible stale entry in the client's list was cleared.
    cleared: bool,
    /// Used since the last sweep.
    used: bool,
}

impl Queue {
    fn at(position: Position) -> Self {
        Self {
            sent: position,
            newest: position,
            told: None,
            behind: false,
            in_flight: VecDeque::new(),
            awaited: false,
            asked: 0,
            pulling: false,
            cleared: false,
            used: true,
        }
    }

    fn is_settled(&self) -> bool {
        !self.behind && self.in_flight.is_empty() && self.asked == 0 && !self.pulling
    }

    /// Something is owed that no pull is there for.
    fn is_overdue(&self) -> bool {
        self.behind && !self.pulling && self.asked == 0
    }

    /// Everything up to here has reached the device.
    fn settled_position(&self) -> Option<Position> {
        (!self.behind && self.in_flight.is_empty()).then_some(self.sent)
    }

    /// A position for the core, unless it was told already.
    fn tell(&mut self, position: Option<Position>) -> Option<Position> {
        let news = position.filter(|position| self.told < Some(*position));
        self.told = self.told.max(position);
        news
    }
}

/// What to do with a live entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Live {
    /// Send it now, then call [`Queues::pushed`].
    Push,
    /// Nothing to send; everything up to here has reached the device.
    Acknowledge(Position),
    /// It has to be pulled, or is known already.
    Later,
}

/// How a pull of the client is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing more: "empty, last".
    Drained,
    /// Ask the core for what comes after.
    After(Position),
}

/// How to wake the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wake {
    /// Clear a possible stale entry in the client's list before the notice.
    pub(super) clear_first: bool,
}

impl Queues {
    pub(super) fn knows(&self, conversation: &ConversationKey) -> bool {
        self.by_conversation.contains_key(conversation)
    }

    /// Takes the core's list of what is owed. `listed` tells that the client sees this list and will pull.
    pub(super) fn owe(&mut self, unread: &Unread, listed: bool) {
        let queue = self
            .by_conversation
            .entry(unread.conversation.clone())
            .or_insert_with(|| Queue::at(unread.position));
        // What this connection has sent already must not be sent again, so a known position stays.
        queue.behind = true;
        queue.used = true;
        if listed {
            queue.awaited = true;
            // The listing makes the client forget a stale entry.
            queue.cleared = true;
        }
    }

    /// The conversations with something not yet sent, for the answer to a heartbeat; the client will pull them.
    pub(super) fn list_owed(&mut self) -> Vec<ConversationKey> {
        let owed = self.by_conversation.iter_mut().filter(|(_, queue)| queue.behind && queue.asked == 0);
        owed.map(|(conversation, queue)| {
            queue.awaited = true;
            queue.cleared = true;
            conversation.clone()
        })
        .collect()
    }

    /// An entry arrived from the core.
    pub(super) fn live(&mut self, conversation: &ConversationKey, position: Position, deliver: bool) -> Live {
        let Some(queue) = self.by_conversation.get_mut(conversation) else {
            if !deliver {
                return Live::Acknowledge(position);
            }
            self.by_conversation.insert(conversation.clone(), Queue::at(position));
            return Live::Push;
        };
        if position <= queue.sent {
            return Live::Later;
        }
        queue.used = true;
        queue.newest = queue.newest.max(position);
        let follows = position.epoch == queue.sent.epoch && position.seq == queue.sent.seq.next();
        let room = !deliver || queue.in_flight.len() < PUSH_WINDOW;
        if queue.behind || queue.pulling || !follows || !room {
            queue.behind = true;
            return Live::Later;
        }
        queue.sent = position;
        if deliver {
            return Live::Push;
        }
        let settled = queue.settled_position();
        queue.tell(settled).map_or(Live::Later, Live::Acknowledge)
    }

    /// A batch up to `position` was sent with this key.
    pub(super) fn pushed(&mut self, conversation: &ConversationKey, key: u64, position: Position) {
        if let Some(queue) = self.by_conversation.get_mut(conversation) {
            if queue.in_flight.len() == REMEMBERED {
                queue.in_flight.pop_front();
            }
            queue.in_flight.push_back((key, position));
        }
    }

    /// The client acknowledges a batch, and with it all earlier ones. Gives the position to tell the core. Keys of
    /// another connection, or never given out, acknowledge nothing.
    pub(super) fn acknowledged(&mut self, conversation: &ConversationKey, key: u64) -> Option<Position> {
        let queue = self.by_conversation.get_mut(conversation)?;
        let index = queue.in_flight.iter().position(|(sent, _)| *sent == key)?;
        let position = queue.in_flight.drain(..=index).next_back().map(|(_, position)| position);
        queue.used = true;
        if queue.in_flight.is_empty() {
            queue.in_flight = VecDeque::new();
        }
        let position = queue.settled_position().or(position);
        queue.tell(position)
    }

    /// The client pulls. `false` for an unknown conversation, which is caught up: answer "empty, last".
    pub(super) fn asked(&mut self, conversation: &ConversationKey) -> bool {
        let Some(queue) = self.by_conversation.get_mut(conversation) else { return false };
        queue.awaited = false;
        queue.asked += 1;
        queue.used = true;
        true
    }

    /// The turn of a pull has come.
    pub(super) fn answer(&mut self, conversation: &ConversationKey) -> Answer {
        match self.by_conversation.get_mut(conversation) {
            Some(queue) if queue.behind => {
                queue.pulling = true;
                Answer::After(queue.sent)
            }
            _ => Answer::Drained,
        }
    }

    /// The core has answered a pull up to `position`. `true` when there may be more.
    pub(super) fn pulled(&mut self, conversation: &ConversationKey, position: Position, more: bool) -> bool {
        let Some(queue) = self.by_conversation.get_mut(conversation) else { return false };
        queue.pulling = false;
        queue.sent = queue.sent.max(position);
        queue.newest = queue.newest.max(queue.sent);
        queue.behind = more || queue.newest > queue.sent;
        queue.behind
    }

    /// What was announced and not asked for is sent unasked: on a weak line the pull may take long. Gives the position
    /// to ask the core from.
    pub(super) fn offer(&mut self, conversation: &ConversationKey) -> Option<Position> {
        let queue = self.by_conversation.get_mut(conversation)?;
        if !queue.is_overdue() || queue.in_flight.len() >= OFFER_WINDOW {
            return None;
        }
        queue.awaited = false;
        queue.pulling = true;
        Some(queue.sent)
    }

    /// The core had nothing to offer. Gives the position to tell the core, if everything sent has been acknowledged.
    pub(super) fn offered(&mut self, conversation: &ConversationKey) -> Option<Position> {
        let queue = self.by_conversation.get_mut(conversation)?;
        let settled = queue.settled_position();
        queue.tell(settled)
    }

    /// What the client was told of and has not asked for.
    pub(super) fn overdue(&self) -> Vec<ConversationKey> {
        let overdue = self.by_conversation.iter().filter(|(_, queue)| queue.is_overdue());
        overdue.map(|(conversation, _)| conversation.clone()).collect()
    }

    pub(super) fn pull_failed(&mut self, conversation: &ConversationKey) {
        if let Some(queue) = self.by_conversation.get_mut(conversation) {
            queue.pulling = false;
        }
    }

    /// A pull was answered. Gives the position to tell the core, if everything sent has been acknowledged.
    pub(super) fn answered(&mut self, conversation: &ConversationKey) -> Option<Position> {
        let queue = self.by_conversation.get_mut(conversation)?;
        queue.asked = queue.asked.saturating_sub(1);
        let settled = queue.settled_position();
        queue.tell(settled)
    }

    /// Whether the client must be woken now: something is owed and no pull or acknowledgement of the client is on
    /// its way. Counts as told.
    pub(super) fn wake(&mut self, conversation: &ConversationKey) -> Option<Wake> {
        let queue = self.by_conversation.get_mut(conversation)?;
        // An acknowledgement that must come is a pull.
        if queue.awaited || !queue.is_overdue() || !queue.in_flight.is_empty() {
            return None;
        }
        queue.awaited = true;
        let clear_first = !queue.cleared;
        queue.cleared = true;
        Some(Wake { clear_first })
    }

    /// Conversations with something owed.
    pub(super) fn owed(&self) -> Vec<ConversationKey> {
        let owed = self.by_conversation.iter().filter(|(_, queue)| queue.behind);
        owed.map(|(conversation, _)| conversation.clone()).collect()
    }

    /// Forgets what was settled at the last sweep and not used since. The delay is deliberate: an event may still be
    /// on its way for an entry that was pulled and acknowledged already, and must not be taken for a new one.
    pub(super) fn sweep(&mut self) {
        if self.by_conversation.is_empty() {
            return;
        }
        self.by_conversation.retain(|_, queue| {
            let used = std::mem::take(&mut queue.used);
            used || !queue.is_settled()
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

    fn owing(seq: u64) -> (Queues, ConversationKey) {
        let mut queues = Queues::default();
        queues.owe(&Unread { conversation: conversation(), position: at(seq), count: 1 }, false);
        (queues, conversation())
    }

    #[test]
    fn a_caught_up_conversation_is_pushed_acknowledged_and_forgotten() {
        let (mut queues, c) = (Queues::default(), conversation());
        assert_eq!(queues.live(&c, at(7), true), Live::Push);
        queues.pushed(&c, 100, at(7));
        assert_eq!(queues.live(&c, at(8), true), Live::Push);
        queues.pushed(&c, 101, at(8));
        assert_eq!(queues.acknowledged(&c, 100), Some(at(7)));
        assert!(queues.asked(&c));
        assert_eq!(queues.answer(&c), Answer::Drained);
        assert_eq!(queues.answered(&c), None);
        assert_eq!(queues.acknowledged(&c, 101), Some(at(8)));
        queues.sweep();
        assert!(queues.knows(&c), "kept for one round: a late event must not be pushed again");
        assert_eq!(queues.live(&c, at(8), true), Live::Later);
        queues.sweep();
        assert!(!queues.knows(&c));
    }

    #[test]
    fn entries_for_others_move_the_position_without_being_sent() {
        let (mut queues, c) = (Queues::default(), conversation());
        assert_eq!(queues.live(&c, at(1), false), Live::Acknowledge(at(1)));
        assert!(!queues.knows(&c));
        assert_eq!(queues.live(&c, at(2), true), Live::Push);
        queues.pushed(&c, 1, at(2));
        assert_eq!(queues.live(&c, at(3), false), Live::Later);
        assert_eq!(queues.acknowledged(&c, 1), Some(at(3)), "the one for others is covered too");
        assert_eq!(queues.live(&c, at(4), false), Live::Acknowledge(at(4)));
    }

    #[test]
    fn a_gap_or_another_epoch_has_to_be_pulled() {
        for next in [at(9), Position::new(Epoch(2), Seq(8))] {
            let (mut queues, c) = (Queues::default(), conversation());
            assert_eq!(queues.live(&c, at(7), true), Live::Push);
            queues.pushed(&c, 1, at(7));
            assert_eq!(queues.live(&c, next, true), Live::Later);
            assert_eq!(queues.wake(&c), None, "the acknowledgement that must come is a pull");
            assert_eq!(queues.acknowledged(&c, 1), Some(at(7)));
            assert!(queues.asked(&c));
            assert_eq!(queues.answer(&c), Answer::After(at(7)));
        }
    }

    #[test]
    fn the_push_window_is_bounded() {
        let (mut queues, c) = (Queues::default(), conversation());
        for n in 1..=PUSH_WINDOW as u64 {
            assert_eq!(queues.live(&c, at(n), true), Live::Push);
            queues.pushed(&c, n, at(n));
        }
        assert_eq!(queues.live(&c, at(65), true), Live::Later);
        assert_eq!(queues.live(&c, at(66), true), Live::Later);
        assert_eq!(queues.acknowledged(&c, 64), Some(at(64)));
        assert!(queues.asked(&c));
        assert_eq!(queues.answer(&c), Answer::After(at(64)));
        assert!(!queues.pulled(&c, at(66), false));
    }

    #[test]
    fn the_client_is_woken_once_and_cleared_once() {
        let (mut queues, c) = owing(5);
        assert_eq!(queues.live(&c, at(6), true), Live::Later);
        assert_eq!(queues.wake(&c), Some(Wake { clear_first: true }));
        assert_eq!(queues.wake(&c), None);
        assert!(queues.asked(&c));
        assert_eq!(queues.answer(&c), Answer::After(at(5)));
        assert_eq!(queues.wake(&c), None);
        assert!(!queues.pulled(&c, at(6), false));
        queues.pushed(&c, 1, at(6));
        assert_eq!(queues.answered(&c), None);
        assert_eq!(queues.acknowledged(&c, 1), Some(at(6)));
        assert!(queues.asked(&c));
        assert_eq!(queues.answer(&c), Answer::Drained);
        assert_eq!(queues.answered(&c), None, "the core was told");
        assert_eq!(queues.live(&c, at(8), true), Live::Later);
        assert_eq!(queues.wake(&c), Some(Wake { clear_first: false }));
    }

    #[test]
    fn an_entry_that_comes_while_the_core_is_asked_is_not_lost() {
        let (mut queues, c) = owing(5);
        assert!(queues.asked(&c));
        assert_eq!(queues.answer(&c), Answer::After(at(5)));
        assert_eq!(queues.live(&c, at(6), true), Live::Later);
        assert_eq!(queues.live(&c, at(7), true), Live::Later);
        assert!(queues.pulled(&c, at(6), false), "the core had not seen the newest");
        queues.pushed(&c, 1, at(6));
        queues.answered(&c);
        assert_eq!(queues.acknowledged(&c, 1), Some(at(6)));
        assert!(queues.asked(&c));
        assert_eq!(queues.answer(&c), Answer::After(at(6)));
    }

    #[test]
    fn a_failed_pull_is_offered_again() {
        let (mut queues, c) = owing(5);
        assert_eq!(queues.wake(&c), Some(Wake { clear_first: true }));
        assert!(queues.asked(&c));
        assert_eq!(queues.answer(&c), Answer::After(at(5)));
        queues.pull_failed(&c);
        assert_eq!(queues.answered(&c), None);
        assert_eq!(queues.owed(), std::slice::from_ref(&c));
        assert_eq!(queues.wake(&c), Some(Wake { clear_first: false }));
    }

    #[test]
    fn what_is_not_asked_for_is_offered_and_a_late_pull_is_answered() {
        let (mut queues, c) = owing(5);
        assert_eq!(queues.wake(&c), Some(Wake { clear_first: true }));
        assert_eq!(queues.overdue(), std::slice::from_ref(&c));
        assert_eq!(queues.offer(&c), Some(at(5)));
        assert_eq!(queues.offer(&c), None, "the core is being asked");
        assert!(queues.asked(&c), "late");
        assert!(queues.pulled(&c, at(6), true));
        queues.pushed(&c, 1, at(6));
        assert_eq!(queues.offer(&c), None, "the pull comes first");
        assert_eq!(queues.answer(&c), Answer::After(at(6)));
        assert!(!queues.pulled(&c, at(7), false));
        queues.pushed(&c, 2, at(7));
        assert_eq!(queues.answered(&c), None);
        assert_eq!(queues.acknowledged(&c, 2), Some(at(7)));
    }

    #[test]
    fn offers_without_an_acknowledgement_are_bounded() {
        let (mut queues, c) = owing(0);
        for seq in 1..=OFFER_WINDOW as u64 {
            assert_eq!(queues.offer(&c), Some(at(seq - 1)));
            assert!(queues.pulled(&c, at(seq), true));
            queues.pushed(&c, seq, at(seq));
        }
        assert_eq!(queues.offer(&c), None);
        assert_eq!(queues.acknowledged(&c, 1), Some(at(1)));
        assert_eq!(queues.offer(&c), Some(at(OFFER_WINDOW as u64)));
    }

    #[test]
    fn an_offer_of_nothing_settles() {
        let (mut queues, c) = owing(5);
        assert_eq!(queues.offer(&c), Some(at(5)));
        assert!(!queues.pulled(&c, at(8), false), "a stretch that is not for this device");
        assert_eq!(queues.offered(&c), Some(at(8)));
        assert!(queues.overdue().is_empty());
    }

    #[test]
    fn a_list_after_a_gap_keeps_what_was_sent() {
        let (mut queues, c) = (Queues::default(), conversation());
        assert_eq!(queues.live(&c, at(7), true), Live::Push);
        queues.pushed(&c, 1, at(7));
        queues.owe(&Unread { conversation: c.clone(), position: at(6), count: 4 }, false);
        assert_eq!(queues.wake(&c), None);
        assert!(queues.asked(&c));
        assert_eq!(queues.answer(&c), Answer::After(at(7)));
    }

    #[test]
    fn a_heartbeat_lists_only_what_is_not_sent() {
        let (mut queues, c) = owing(5);
        assert_eq!(queues.list_owed(), std::slice::from_ref(&c));
        assert!(queues.asked(&c));
        assert!(queues.list_owed().is_empty(), "its pull is being answered");
        assert_eq!(queues.answer(&c), Answer::After(at(5)));
        queues.pulled(&c, at(6), false);
        queues.pushed(&c, 1, at(6));
        queues.answered(&c);
        assert!(queues.list_owed().is_empty(), "sent, though not acknowledged");
    }

    #[test]
    fn strange_keys_acknowledge_nothing() {
        let (mut queues, c) = (Queues::default(), conversation());
        assert_eq!(queues.acknowledged(&c, 1), None);
        assert_eq!(queues.live(&c, at(7), true), Live::Push);
        queues.pushed(&c, 100, at(7));
        assert_eq!(queues.acknowledged(&c, 99), None);
        assert_eq!(queues.acknowledged(&c, 101), None);
        for n in 0..2 * REMEMBERED as u64 {
            queues.pushed(&c, 200 + n, at(7));
        }
        assert_eq!(queues.by_conversation[&c].in_flight.len(), REMEMBERED);
    }
}
