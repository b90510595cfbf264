//! What a core tells an edge: whatever waits is taken together and written in one piece, so that there are few large
//! writes under load and no delay without it.

use crate::{
    SessionEvent,
    wire::{self, pb},
};
use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame};
use meridian_types::{Entry, Position, room::RoomNews};
use std::{
    collections::HashMap,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::sync::mpsc;

/// Messages that may wait for the edge to read; then sessions wait, and those that wait too long lag.
const WAITING: usize = 1024;
/// Messages taken together.
const TOGETHER: usize = 256;

/// Something for the edge.
#[derive(Debug)]
pub(super) enum Out {
    Message(pb::ToEdge),
    Event(u64, SessionEvent),
}

#[derive(Debug)]
pub(super) struct Outgoing {
    receiver: mpsc::Receiver<Out>,
    taken: Vec<Out>,
}

impl Outgoing {
    pub(super) fn new() -> (Self, mpsc::Sender<Out>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { receiver, taken: Vec::new() }, sender)
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Self { receiver, taken } = &mut *self;
        if ready!(receiver.poll_recv_many(cx, taken, TOGETHER)) == 0 {
            return Poll::Ready(None);
        }
        let mut bytes = BytesMut::new();
        for message in together(taken.drain(..)) {
            wire::put(&mut bytes, &message);
        }
        Poll::Ready(Some(Ok(Frame::data(bytes.freeze()))))
    }
}

/// One message for an entry that concerns several sessions, unless that would move a session's event ahead of something that
/// the session was told before it: sessions do not reach this place at one pace.
fn together(taken: impl Iterator<Item = Out>) -> Vec<pb::ToEdge> {
    let mut messages: Vec<pb::ToEdge> = Vec::new();
    let mut events: HashMap<*const (), usize> = HashMap::new();
    // The last message for a session.
    let mut last: HashMap<u64, usize> = HashMap::new();
    // All live until the messages are made: none can take another's address.
    let mut alive: Vec<Shared> = Vec::new();
    for out in taken {
        let (session, shared, position, deliver) = match out {
            Out::Message(message) => {
                last.insert(message.session, messages.len());
                messages.push(message);
                continue;
            }
            Out::Event(session, SessionEvent::Lagged) => {
                last.insert(session, messages.len());
                let lagged = pb::Lagged { sessions: vec![session] };
                messages.push(wire::to_edge(0, 0, pb::to_edge::What::Lagged(lagged)));
                continue;
            }
            Out::Event(session, SessionEvent::Entry { entry, position, deliver }) => {
                (session, Shared::Entry(entry), Some(position), deliver)
            }
            Out::Event(session, SessionEvent::Transient(entry)) => {
                (session, Shared::Entry(entry), None, true)
            }
            Out::Event(session, SessionEvent::Room(news)) => (session, Shared::News(news), None, true),
        };
        let behind = last.get(&session).copied();
        let known = events.get(&shared.address()).copied();
        let index = known.filter(|index| behind.is_none_or(|behind| behind < *index)).unwrap_or_else(|| {
            messages.push(wire::to_edge(0, 0, shared.message(position)));
            messages.len() - 1
        });
        events.insert(shared.address(), index);
        last.insert(session, index);
        alive.push(shared);
        match messages.get_mut(index).and_then(|message| message.what.as_mut()) {
            Some(pb::to_edge::What::Event(event)) if deliver => event.deliver.push(session),
            Some(pb::to_edge::What::Event(event)) => event.pass.push(session),
            Some(pb::to_edge::What::RoomNews(news)) => news.sessions.push(session),
            _ => {}
        }
    }
    messages
}

/// What is the same for several sessions.
enum Shared {
    Entry(Arc<Entry>),
    News(Arc<RoomNews>),
}

impl Shared {
    fn address(&self) -> *const () {
        match self {
            Self::Entry(entry) => Arc::as_ptr(entry).cast(),
            Self::News(news) => Arc::as_ptr(news).cast(),
        }
    }

    fn message(&self, position: Option<Position>) -> pb::to_edge::What {
        match self {
            Self::Entry(entry) => pb::to_edge::What::Event(pb::Event {
                entry: Some(wire::entry(entry)),
                position: position.map(|position| wire::place(&entry.conversation, position)),
                ..pb::Event::default()
            }),
            Self::News(news) => pb::to_edge::What::RoomNews(wire::write_room_news(news)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use meridian_types::{Audience, ConversationKey, EntryKind, Epoch, MessageId, Millis, Seq, UserName};

    fn entry(seq: u64) -> Arc<Entry> {
        let (alice, bob) = (UserName::parse("alice").unwrap(), UserName::parse("bob").unwrap());
        Arc::new(Entry {
            conversation: ConversationKey::pair(&alice, &bob),
            seq: Seq(seq),
            message_id: MessageId(seq),
            at: Millis(1),
            kind: EntryKind::Message,
            sender: alice,
            sender_device: None,
            audience: Audience::Everyone,
            target: None,
            idempotency: None,
            ext: Bytes::new(),
            body: Some(Bytes::from_static(b"body")),
        })
    }

    fn event(session: u64, entry: &Arc<Entry>, deliver: bool) -> Out {
        let position = Position::new(Epoch(1), entry.seq);
        Out::Event(session, SessionEvent::Entry { entry: entry.clone(), position, deliver })
    }

    /// What each session hears of messages, in order.
    fn heard(messages: Vec<pb::ToEdge>, by: &mut HashMap<u64, Vec<u64>>) {
        for message in messages {
            let (seq, sessions) = match message.what.unwrap() {
                pb::to_edge::What::Event(event) => {
                    (event.entry.unwrap().seq, [event.deliver, event.pass].concat())
                }
                pb::to_edge::What::Lagged(lagged) => (0, lagged.sessions),
                pb::to_edge::What::RoomNews(news) => (news.entries[0].seq, news.sessions),
                other => panic!("{other:?}"),
            };
            sessions.into_iter().for_each(|session| by.entry(session).or_default().push(seq));
        }
    }

    #[test]
    fn every_session_hears_in_order_however_far_the_others_are() {
        let entries: Vec<_> = (1..=30).map(entry).collect();
        // Every third is news of a room.
        let news =
            |entry: &Arc<Entry>| Arc::new(RoomNews::new(entry.conversation.clone(), vec![entry.clone()]));
        let news: Vec<_> = entries.iter().map(news).collect();
        for seed in 0..300u64 {
            let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut roll = |sides: u64| {
                dice ^= dice << 13;
                dice ^= dice >> 7;
                dice ^= dice << 17;
                dice % sides
            };
            let (mut next, mut told) = ([0; 4], HashMap::<u64, Vec<u64>>::new());
            let mut by = HashMap::new();
            while next.iter().any(|next| *next < entries.len()) {
                let mut taken = Vec::new();
                for _ in 0..=roll(40) {
                    let session = roll(4);
                    let at = &mut next[session as usize];
                    if roll(20) == 0 {
                        taken.push(Out::Event(session, SessionEvent::Lagged));
                        told.entry(session).or_default().push(0);
                    } else if let Some(entry) = entries.get(*at) {
                        *at += 1;
                        taken.push(match *at % 3 {
                            0 => Out::Event(session, SessionEvent::Room(news[*at - 1].clone())),
                            _ => event(session, entry, roll(2) == 0),
                        });
                        told.entry(session).or_default().push(entry.seq.0);
                    }
                }
                heard(together(taken.into_iter()), &mut by);
            }
            assert_eq!(by, told, "seed {seed}");
        }
    }

    #[test]
    fn an_entry_goes_out_once_for_all_sessions_and_in_order() {
        let (first, second) = (entry(1), entry(2));
        let out = [
            event(1, &first, true),
            event(2, &first, false),
            Out::Event(3, SessionEvent::Lagged),
            event(1, &second, true),
            event(3, &first, true),
            event(2, &second, true),
        ];
        let messages = together(out.into_iter());
        let told: Vec<_> = messages
            .into_iter()
            .map(|message| match message.what.unwrap() {
                pb::to_edge::What::Event(event) => (event.entry.unwrap().seq, event.deliver, event.pass),
                pb::to_edge::What::Lagged(lagged) => (0, lagged.sessions, vec![]),
                other => panic!("{other:?}"),
            })
            .collect();
        let behind_the_gap = (1, vec![3], vec![]);
        let expected = [(1, vec![1], vec![2]), (0, vec![3], vec![]), (2, vec![1, 2], vec![]), behind_the_gap];
        assert_eq!(told, expected);
    }
}
