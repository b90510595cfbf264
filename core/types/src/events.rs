//! The events of a session on their way to it: in order, bounded, and never short without a word. What does not fit is
//! replaced by one [`SessionEvent::Lagged`] behind what did, so that a receiver that has read everything knows whether that
//! was all. An empty queue holds no memory.

use crate::session::SessionEvent;
use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// Room that an empty queue may keep.
const KEPT: usize = 8;

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<SessionEvent>,
    waker: Option<Waker>,
    sender_gone: bool,
    receiver_gone: bool,
}

type Shared = Arc<Mutex<Queue>>;

fn lock(queue: &Shared) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The end of who tells. It never waits.
#[derive(Debug)]
pub struct EventSender {
    queue: Shared,
    limit: usize,
}

/// The end of who is told.
#[derive(Debug)]
pub struct Events {
    queue: Shared,
}

/// A queue of at most `limit` events.
#[must_use]
pub fn event_queue(limit: usize) -> (EventSender, Events) {
    let queue = Shared::default();
    (EventSender { queue: queue.clone(), limit }, Events { queue })
}

impl EventSender {
    /// Queues an event, or lets the receiver know that it lags. `true` when it begins to.
    pub fn tell(&self, event: SessionEvent) -> bool {
        self.change(|queue| {
            if queue.events.len() < self.limit {
                queue.events.push_back(event);
                return false;
            }
            queue.push_lagged()
        })
    }

    /// The receiver has missed something, or may have.
    pub fn lag(&self) {
        self.change(Queue::push_lagged);
    }

    /// Nobody listens any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        lock(&self.queue).receiver_gone
    }

    fn change(&self, change: impl FnOnce(&mut Queue) -> bool) -> bool {
        let mut queue = lock(&self.queue);
        if queue.receiver_gone {
            return false;
        }
        let changed = change(&mut queue);
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
        changed
    }
}

impl Drop for EventSender {
    fn drop(&mut self) {
        self.change(|queue| {
            queue.sender_gone = true;
            false
        });
    }
}

impl Queue {
    fn push_lagged(&mut self) -> bool {
        let news = !matches!(self.events.back(), Some(SessionEvent::Lagged));
        if news {
            self.events.push_back(SessionEvent::Lagged);
        }
        news
    }

    fn pop(&mut self) -> Option<SessionEvent> {
        let event = self.events.pop_front();
        if self.events.is_empty() && self.events.capacity() > KEPT {
            self.events = VecDeque::new();
        }
        event
    }
}

impl Events {
    /// The next event; `None` when there are no more and nobody is left to tell any. Cancel-safe.
    pub async fn recv(&mut self) -> Option<SessionEvent> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// The next event, if there is one already.
    pub fn try_recv(&mut self) -> Option<SessionEvent> {
        lock(&self.queue).pop()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<SessionEvent>> {
        let mut queue = lock(&self.queue);
        match queue.pop() {
            None if !queue.sender_gone => {
                if queue.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
                    queue.waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
            event => Poll::Ready(event),
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let mut queue = lock(&self.queue);
        queue.receiver_gone = true;
        let left = std::mem::take(&mut queue.events);
        queue.waker = None;
        drop(queue);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Audience, ConversationKey, Entry, EntryKind, MessageId, Millis, Seq, UserName};
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::Wake,
    };

    fn event(seq: u64) -> SessionEvent {
        let alice = UserName::parse("alice").unwrap();
        SessionEvent::Transient(Arc::new(Entry {
            conversation: ConversationKey::pair(&alice, &alice),
            seq: Seq(seq),
            message_id: MessageId(seq),
            at: Millis(1),
            kind: EntryKind::Message,
            sender: alice,
            sender_device: None,
            audience: Audience::Everyone,
            target: None,
            idempotency: None,
            ext: bytes::Bytes::new(),
            body: None,
        }))
    }

    /// The numbers of what is there; 0 for "lagged".
    fn read(events: &mut Events) -> Vec<u64> {
        let number = |event| match event {
            SessionEvent::Transient(entry) => entry.seq.0,
            _ => 0,
        };
        std::iter::from_fn(|| events.try_recv()).map(number).collect()
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_does_not_fit_is_told_even_if_nothing_follows() {
        let (sender, mut events) = event_queue(3);
        let began: Vec<_> = (1..=6).map(|seq| sender.tell(event(seq))).collect();
        assert_eq!(began, [false, false, false, true, false, false]);
        assert_eq!(read(&mut events), [1, 2, 3, 0]);
        assert!(!sender.tell(event(7)));
        assert_eq!(read(&mut events), [7]);
    }

    #[test]
    fn what_comes_after_a_gap_stays_behind_the_word_of_it() {
        let (sender, mut events) = event_queue(2);
        (1..=3).for_each(|seq| {
            sender.tell(event(seq));
        });
        assert!(matches!(events.try_recv(), Some(SessionEvent::Transient(_))));
        // Still full: one event and the word.
        sender.tell(event(4));
        assert!(matches!(events.try_recv(), Some(SessionEvent::Transient(_))));
        sender.tell(event(5));
        sender.tell(event(6));
        assert_eq!(read(&mut events), [0, 5, 0], "4 and 6 are missing, each behind what fitted");
    }

    #[test]
    fn a_receiver_may_be_made_to_ask() {
        let (sender, mut events) = event_queue(1);
        sender.lag();
        sender.lag();
        assert_eq!(read(&mut events), [0]);
    }

    #[test]
    fn the_receiver_is_woken_by_an_event_and_by_the_end() {
        let (sender, mut events) = event_queue(1);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        assert!(events.poll_recv(&mut cx).is_pending());
        sender.tell(event(1));
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(matches!(events.poll_recv(&mut cx), Poll::Ready(Some(_))));
        assert!(events.poll_recv(&mut cx).is_pending());
        drop(sender);
        assert_eq!(woken.0.load(Ordering::Relaxed), 2);
        assert!(matches!(events.poll_recv(&mut cx), Poll::Ready(None)));
    }

    #[test]
    fn what_nobody_reads_is_not_kept() {
        let (sender, events) = event_queue(100);
        sender.tell(event(1));
        let queue = events.queue.clone();
        drop(events);
        assert!(sender.is_closed());
        sender.tell(event(2));
        assert_eq!(lock(&queue).events.len(), 0);
        let (sender, mut events) = event_queue(100);
        (1..=100).for_each(|seq| {
            sender.tell(event(seq));
        });
        assert_eq!(read(&mut events).len(), 100);
        assert_eq!(lock(&events.queue).events.capacity(), 0);
    }
}
