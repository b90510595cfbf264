//! How far a connection has told of each of its rooms. A room's news come by themselves, some left out; after a gap the room is
//! read from there, and what comes meanwhile is in what is read.

use meridian_types::{
    ConversationKey, Entry, Epoch, Position, Resource, Seq, UserName,
    room::{RoomNews, is_for_all},
};
use std::{collections::HashMap, sync::Arc};

/// Rooms remembered; a person may be in fewer.
const LIMIT: usize = 1000;

#[derive(Debug, Default)]
struct Place {
    told: u64,
    /// Something may be missing, and is to be read.
    behind: bool,
    /// Something has come since the reading began.
    again: bool,
}

#[derive(Debug, Default)]
pub(super) struct Rooms(HashMap<ConversationKey, Place>);

/// What a piece of news is for one reader.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// What everybody is told.
    Shared,
    Own(Vec<Arc<Entry>>),
    Nothing,
}

impl Rooms {
    /// The person has come in, and has been told up to there.
    pub(super) fn come_in(&mut self, room: ConversationKey, seq: u64) {
        let place = self.0.entry(room).or_default();
        place.told = place.told.max(seq);
    }

    pub(super) fn leave(&mut self, room: &ConversationKey) {
        self.0.remove(room);
    }

    pub(super) fn hear(&mut self, news: &RoomNews, (user, device): (&UserName, &Resource)) -> Heard {
        if let (false, Some(first)) = (self.0.contains_key(&news.conversation), news.first()) {
            if self.0.len() >= LIMIT {
                self.0.clear();
            }
            // Another device, or an earlier connection, came in.
            let place = Place { told: first.saturating_sub(1), ..Place::default() };
            self.0.insert(news.conversation.clone(), place);
        }
        let mut unknown = Place::default();
        let place = self.0.get_mut(&news.conversation).unwrap_or(&mut unknown);
        if place.behind {
            place.again = true;
            return Heard::Nothing;
        }
        let told = place.told;
        place.told = told.max(news.last());
        let is_new = news.first().is_none_or(|first| first > told);
        if is_new && !news.concerned.contains(user) && news.entries.iter().all(|entry| is_for_all(entry)) {
            return Heard::Shared;
        }
        let fresh = |entry: &&Arc<Entry>| entry.seq.0 == 0 || entry.seq.0 > told;
        let own = news.entries.iter().filter(fresh).filter(|entry| entry.reaches(user, device));
        let own: Vec<_> = own.cloned().collect();
        if own.is_empty() { Heard::Nothing } else { Heard::Own(own) }
    }

    /// Something was missed, it is not known of which room.
    pub(super) fn miss(&mut self) {
        self.0.values_mut().for_each(|place| place.behind = true);
    }

    /// A room to read, and from where.
    pub(super) fn behind(&mut self) -> Option<(ConversationKey, Position)> {
        let (room, place) = self.0.iter_mut().find(|(_, place)| place.behind)?;
        place.again = false;
        Some((room.clone(), Position::new(Epoch(0), Seq(place.told))))
    }

    /// A room was read up to there.
    pub(super) fn read(&mut self, room: &ConversationKey, up_to: Position, more: bool) {
        if let Some(place) = self.0.get_mut(room) {
            place.told = place.told.max(up_to.seq.0);
            place.behind = more || place.again;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use meridian_types::{Audience, EntryKind, MessageId, Millis};

    fn name(text: &str) -> UserName {
        UserName::parse(text).unwrap()
    }

    fn room() -> ConversationKey {
        ConversationKey::from_stored("r/288230376218820608")
    }

    fn entry(seq: u64, audience: Audience) -> Arc<Entry> {
        Arc::new(Entry {
            conversation: room(),
            seq: Seq(seq),
            message_id: MessageId(seq),
            at: Millis(1),
            kind: EntryKind::Message,
            sender: name("alice"),
            sender_device: Some(Resource::parse("a1").unwrap()),
            audience,
            target: None,
            idempotency: None,
            ext: Bytes::new(),
            body: Some(Bytes::from_static(b"hi")),
        })
    }

    fn news(seqs: &[u64]) -> RoomNews {
        RoomNews::new(room(), seqs.iter().map(|seq| entry(*seq, Audience::Everyone)).collect())
    }

    fn hear(rooms: &mut Rooms, news: &RoomNews, who: &str, device: &str) -> Vec<u64> {
        match rooms.hear(news, (&name(who), &Resource::parse(device).unwrap())) {
            Heard::Shared => news.entries.iter().map(|entry| entry.seq.0).collect(),
            Heard::Own(own) => own.iter().map(|entry| entry.seq.0).collect(),
            Heard::Nothing => Vec::new(),
        }
    }

    #[test]
    fn all_are_told_the_same_and_who_said_it_not_on_that_device() {
        let both = news(&[5, 7]);
        let bob = (&name("bob"), &Resource::parse("b1").unwrap());
        assert_eq!(Rooms::default().hear(&both, bob), Heard::Shared);
        assert_eq!(hear(&mut Rooms::default(), &both, "alice", "a1"), [0; 0]);
        assert_eq!(hear(&mut Rooms::default(), &both, "alice", "a2"), [5, 7]);
    }

    #[test]
    fn what_is_for_some_is_not_told_to_others() {
        let entries = vec![entry(1, Audience::Everyone), entry(2, Audience::People(vec![name("bob")]))];
        let news = RoomNews::new(room(), entries);
        assert_eq!(hear(&mut Rooms::default(), &news, "bob", "b1"), [1, 2]);
        assert_eq!(hear(&mut Rooms::default(), &news, "carol", "c1"), [1]);
    }

    #[test]
    fn after_a_gap_a_room_is_read_and_nothing_is_told_twice() {
        let mut rooms = Rooms::default();
        rooms.come_in(room(), 4);
        assert_eq!(hear(&mut rooms, &news(&[5]), "bob", "b1"), [5]);
        rooms.miss();
        let (_, after) = rooms.behind().unwrap();
        assert_eq!(after.seq, Seq(5));
        // It may be missing in what is read.
        assert_eq!(hear(&mut rooms, &news(&[8]), "bob", "b1"), [0; 0]);
        rooms.read(&room(), Position::new(Epoch(0), Seq(7)), false);
        assert_eq!(rooms.behind().unwrap().1.seq, Seq(7));
        rooms.read(&room(), Position::new(Epoch(0), Seq(8)), false);
        assert!(rooms.behind().is_none());
        assert_eq!(hear(&mut rooms, &news(&[8, 9]), "bob", "b1"), [9]);
    }
}
