//! Who of this core is in which room, and telling them. A room's news wait a little, the longer the more people are in it, and go
//! out together: the same piece for everybody, so that each edge makes one frame of it. When more is said than can be told, what
//! matters least is left out first; it is in the room's history all the same.

use crate::{log::Publication, sessions::Hub};
use meridian_types::{
    Audience, ConversationKey, Entry, MucId, Notice, TenantId, UserName,
    notice::{MucChange, MucNotice},
    room::{Priority, RoomNews},
};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// Entries told at once, and about so many bytes.
const PIECE: usize = 64;
const PIECE_BYTES: usize = 48 * 1024;
/// Waiting entries beyond which low ones are left out, then normal ones; beyond the last, members must ask.
const LOW: usize = PIECE;
const NORMAL: usize = 2 * PIECE;
const HIGH: usize = 16 * PIECE;
/// What telling one member costs the machine, with their edge: news wait for the others' turn so long.
const PER_MEMBER: Duration = Duration::from_micros(25);
const LONGEST_WAIT: Duration = Duration::from_millis(250);
/// Members told before others have a turn.
const TOGETHER: usize = 500;

type Room = (TenantId, MucId);
type Person = (TenantId, UserName);

#[derive(Debug, Default)]
struct Hall {
    members: HashSet<UserName>,
    waiting: VecDeque<(Priority, Arc<Entry>)>,
    told_at: Option<Instant>,
    /// Something that mattered was left out.
    lags: bool,
    ended: bool,
}

#[derive(Debug, Default)]
struct Followed {
    rooms: HashSet<MucId>,
    /// Looks into the store that are under way, and what was heard meanwhile.
    readings: usize,
    came: HashSet<MucId>,
    went: HashSet<MucId>,
}

#[derive(Debug, Default)]
struct State {
    halls: HashMap<Room, Hall>,
    people: HashMap<Person, Followed>,
    /// Rooms with something to tell.
    owing: HashSet<Room>,
}

#[derive(Debug, Default)]
pub(crate) struct Rooms {
    state: Mutex<State>,
    wake: Notify,
}

impl Hall {
    fn due(&self, now: Instant) -> Instant {
        let members = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        let pause = PER_MEMBER.saturating_mul(members).min(LONGEST_WAIT);
        match self.told_at {
            Some(at) if !self.ended => at + pause,
            _ => now,
        }
    }

    /// Puts an entry behind the others; may leave one out.
    fn push(&mut self, entry: Arc<Entry>) {
        self.waiting.push_back((Priority::of(&entry), entry));
        let left_out = match self.waiting.len() {
            ..=LOW => None,
            len => {
                self.first(Priority::Low).or_else(|| self.first(Priority::Normal).filter(|_| len > NORMAL))
            }
        };
        let at = left_out.or_else(|| {
            self.lags |= self.waiting.len() > HIGH;
            (self.waiting.len() > HIGH).then_some(0)
        });
        if let Some((priority, _)) = at.and_then(|at| self.waiting.remove(at)) {
            metrics::counter!("room_shed_total", "priority" => priority.name()).increment(1);
        }
    }

    fn first(&self, priority: Priority) -> Option<usize> {
        self.waiting.iter().position(|(of, _)| *of == priority)
    }

    fn piece(&mut self) -> Vec<Arc<Entry>> {
        let (mut piece, mut bytes) = (Vec::new(), 0);
        while let Some((_, entry)) = self.waiting.front() {
            let size = entry.body.as_ref().map_or(0, bytes::Bytes::len) + entry.ext.len();
            if piece.len() >= PIECE || (!piece.is_empty() && bytes + size > PIECE_BYTES) {
                break;
            }
            bytes += size;
            piece.extend(self.waiting.pop_front().map(|(_, entry)| entry));
        }
        piece
    }
}

impl State {
    fn follow(&mut self, (tenant, room): Room, user: &UserName) {
        self.people.entry((tenant, user.clone())).or_default().rooms.insert(room);
        self.halls.entry((tenant, room)).or_default().members.insert(user.clone());
    }

    fn unfollow(&mut self, (tenant, room): Room, user: &UserName) {
        if let Some(followed) = self.people.get_mut(&(tenant, user.clone())) {
            followed.rooms.remove(&room);
        }
        if let Some(hall) = self.halls.get_mut(&(tenant, room)) {
            hall.members.remove(user);
            if hall.members.is_empty() {
                self.drop_hall((tenant, room));
            }
        }
    }

    /// Forgets a person of whom there is nothing to remember.
    fn tidy(&mut self, person: &Person) {
        let is_empty = |followed: &Followed| followed.rooms.is_empty() && followed.readings == 0;
        if self.people.get(person).is_some_and(is_empty) {
            self.people.remove(person);
        }
    }

    fn drop_hall(&mut self, room: Room) {
        self.owing.remove(&room);
        for user in self.halls.remove(&room).map(|hall| hall.members).unwrap_or_default() {
            if let Some(followed) = self.people.get_mut(&(room.0, user)) {
                followed.rooms.remove(&room.1);
            }
        }
    }

    /// Notes that somebody has come or gone while their rooms are read.
    fn note(&mut self, (tenant, room): Room, user: &UserName, came: bool) {
        if let Some(followed) = self.people.get_mut(&(tenant, user.clone()))
            && followed.readings > 0
        {
            let (to, from) = match came {
                true => (&mut followed.came, &mut followed.went),
                false => (&mut followed.went, &mut followed.came),
            };
            from.remove(&room);
            to.insert(room);
        }
    }
}

/// A look into the store for the rooms of somebody, whose coming and going is heard meanwhile and counts more.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    rooms: &'a Rooms,
    person: Person,
}

impl Reading<'_> {
    /// Surely in that room.
    pub(crate) fn finds(self, room: MucId) {
        let mut state = self.rooms.state();
        if state.people.get(&self.person).is_some_and(|followed| !followed.went.contains(&room)) {
            state.follow((self.person.0, room), &self.person.1);
        }
    }

    /// These are all.
    pub(crate) fn finds_all(self, rooms: &[MucId]) {
        let mut state = self.rooms.state();
        let Some(followed) = state.people.get(&self.person) else { return };
        let stays = |room: &&MucId| !followed.went.contains(*room);
        let come: Vec<_> = rooms.iter().filter(stays).copied().collect();
        let gone = |room: &&MucId| !rooms.contains(room) && !followed.came.contains(*room);
        let go: Vec<_> = followed.rooms.iter().filter(gone).copied().collect();
        come.into_iter().for_each(|room| state.follow((self.person.0, room), &self.person.1));
        go.into_iter().for_each(|room| state.unfollow((self.person.0, room), &self.person.1));
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let mut state = self.rooms.state();
        let Some(followed) = state.people.get_mut(&self.person) else { return };
        followed.readings = followed.readings.saturating_sub(1);
        if followed.readings == 0 {
            followed.came.clear();
            followed.went.clear();
            state.tidy(&self.person);
        }
    }
}

impl Rooms {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to read which rooms somebody is in who is attached here.
    pub(crate) fn read(&self, tenant: TenantId, user: &UserName) -> Reading<'_> {
        let person = (tenant, user.clone());
        self.state().people.entry(person.clone()).or_default().readings += 1;
        Reading { rooms: self, person }
    }

    /// The person has no device here any more.
    pub(crate) fn forget(&self, tenant: TenantId, user: &UserName) {
        let mut state = self.state();
        let Some(followed) = state.people.get_mut(&(tenant, user.clone())) else { return };
        let rooms = std::mem::take(&mut followed.rooms);
        rooms.into_iter().for_each(|room| state.unfollow((tenant, room), user));
        state.tidy(&(tenant, user.clone()));
    }

    /// Takes in what has happened in a room. Gives those who are to be told of it by themselves: who is not in any more, and
    /// whom it is meant for by name without being in.
    pub(crate) fn hear(
        &self,
        tenant: TenantId,
        publication: &Publication,
        is_here: impl Fn(&UserName) -> bool,
    ) -> Vec<UserName> {
        let entry = &publication.entry;
        let Some(id) = entry.conversation.muc() else { return Vec::new() };
        let room = (tenant, id);
        let change = match Notice::of(entry) {
            Some(Notice::Muc(MucNotice { change, .. })) => Some(change),
            _ => None,
        };
        let mut alone = Vec::new();
        let mut state = self.state();
        match &change {
            Some(MucChange::Joined { people, .. }) => {
                for user in people.iter().filter(|user| is_here(user)) {
                    state.note(room, user, true);
                    state.follow(room, user);
                }
            }
            // With its owner in it.
            Some(MucChange::Created) if is_here(&entry.sender) => state.follow(room, &entry.sender),
            Some(MucChange::Left { .. }) => {
                state.note(room, &entry.sender, false);
                state.unfollow(room, &entry.sender);
                alone.push(entry.sender.clone());
            }
            Some(MucChange::Removed { people, .. }) => {
                for user in people {
                    state.note(room, user, false);
                    state.unfollow(room, user);
                }
                alone.extend(people.iter().cloned());
            }
            _ => {}
        }
        let hall = state.halls.get_mut(&room);
        if let Audience::People(people) = &entry.audience {
            let is_in = |user: &UserName| hall.as_ref().is_some_and(|hall| hall.members.contains(user));
            alone.extend(people.iter().filter(|user| !is_in(user)).cloned());
        }
        if let Some(hall) = hall {
            hall.ended |= change == Some(MucChange::Destroyed);
            hall.push(entry.clone());
            state.owing.insert(room);
            drop(state);
            self.wake.notify_one();
        }
        alone
    }

    /// What is to be told now, to whom, and whether they have missed something; and when there is more.
    fn due(&self, now: Instant) -> (Vec<(TenantId, Told)>, Option<Instant>) {
        let mut state = self.state();
        let State { halls, owing, .. } = &mut *state;
        let (mut told, mut next, mut ended) = (Vec::new(), None::<Instant>, Vec::new());
        owing.retain(|room| {
            let Some(hall) = halls.get_mut(room) else { return false };
            let due = hall.due(now);
            if due > now {
                next = Some(next.map_or(due, |next| next.min(due)));
                return true;
            }
            hall.told_at = Some(now);
            loop {
                let members = hall.members.iter().cloned().collect();
                let news = RoomNews::new(ConversationKey::from(room.1), hall.piece());
                let lags = std::mem::take(&mut hall.lags);
                told.push((room.0, Told { members, news: Arc::new(news), lags }));
                if !hall.ended || hall.waiting.is_empty() {
                    break;
                }
            }
            if hall.ended {
                ended.push(*room);
            }
            let more = !hall.waiting.is_empty();
            if more {
                let due = hall.due(now);
                next = Some(next.map_or(due, |next| next.min(due)));
            }
            more
        });
        ended.into_iter().for_each(|room| state.drop_hall(room));
        (told, next)
    }
}

struct Told {
    members: Vec<UserName>,
    news: Arc<RoomNews>,
    lags: bool,
}

/// Tells the rooms' members of this core. Never ends.
pub(crate) async fn tell_rooms(hub: Arc<Hub>) {
    loop {
        let (told, next) = hub.rooms().due(Instant::now());
        for (tenant, Told { members, news, lags }) in told {
            metrics::counter!("room_pieces_total").increment(1);
            for some in members.chunks(TOGETHER) {
                some.iter().for_each(|user| hub.tell_news(tenant, user, &news, lags));
                tokio::task::yield_now().await;
            }
        }
        let wake = hub.rooms().wake.notified();
        match next {
            Some(at) => tokio::select! {
                () = wake => {}
                () = tokio::time::sleep_until(at) => {}
            },
            None => wake.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use meridian_types::{EntryKind, Epoch, MessageId, Millis, Position, RegionId, Seq, notice::Joining};

    const TENANT: TenantId = TenantId(1);

    fn name(text: &str) -> UserName {
        UserName::parse(text).unwrap()
    }

    fn room() -> MucId {
        MucId::new(meridian_types::MucKind::Room, Millis(1_795_389_662_295), RegionId(0), 1, 1)
    }

    fn entry(seq: u64, kind: EntryKind, priority: Priority, body: Bytes) -> Arc<Entry> {
        Arc::new(Entry {
            conversation: room().into(),
            seq: Seq(seq),
            message_id: MessageId(seq),
            at: Millis(1),
            kind,
            sender: name("owner"),
            sender_device: None,
            audience: Audience::Everyone,
            target: None,
            idempotency: None,
            ext: priority.ext(false),
            body: Some(body),
        })
    }

    fn said(seq: u64, priority: Priority) -> Arc<Entry> {
        entry(seq, EntryKind::Message, priority, Bytes::from_static(b"hi"))
    }

    fn hear(rooms: &Rooms, entry: Arc<Entry>) -> Vec<String> {
        let position = (entry.seq.0 > 0).then(|| Position::new(Epoch(1), entry.seq));
        let alone = rooms.hear(TENANT, &Publication { entry, position }, |user| user.as_str() != "away");
        alone.iter().map(UserName::to_string).collect()
    }

    fn told(change: MucChange) -> Arc<Entry> {
        let body = Notice::Muc(MucNotice { name: "R".into(), parent: None, change }).encode();
        entry(0, EntryKind::Notice, Priority::Normal, body)
    }

    fn joined(people: &[&str]) -> Arc<Entry> {
        let people = people.iter().map(|person| name(person)).collect();
        told(MucChange::Joined { people, how: Joining::Joined, size: 1, ext: String::new() })
    }

    fn removed(person: &str) -> Arc<Entry> {
        told(MucChange::Removed { people: vec![name(person)], blocked: false, size: 0 })
    }

    fn members(rooms: &Rooms) -> Vec<String> {
        let state = rooms.state();
        let mut members: Vec<_> =
            state.halls.values().flat_map(|hall| &hall.members).map(UserName::to_string).collect();
        members.sort();
        members
    }

    fn seqs(rooms: &Rooms, now: Instant) -> Vec<u64> {
        let (told, _) = rooms.due(now);
        told.iter().flat_map(|(_, told)| &told.news.entries).map(|entry| entry.seq.0).collect()
    }

    #[test]
    fn who_comes_hears_until_they_go() {
        let rooms = Rooms::default();
        assert_eq!(hear(&rooms, said(1, Priority::Normal)), [""; 0]);
        hear(&rooms, joined(&["ann", "away"]));
        assert_eq!(members(&rooms), ["ann"]);
        assert_eq!(hear(&rooms, removed("ann")), ["ann"]);
        assert!(members(&rooms).is_empty() && rooms.state().owing.is_empty());
        rooms.forget(TENANT, &name("ann"));
        assert!(rooms.state().people.is_empty());
    }

    #[test]
    fn what_is_heard_while_the_store_is_read_counts_more() {
        let rooms = Rooms::default();
        let reading = rooms.read(TENANT, &name("ann"));
        hear(&rooms, removed("ann"));
        reading.finds_all(&[room()]);
        assert!(members(&rooms).is_empty());
        let reading = rooms.read(TENANT, &name("ann"));
        hear(&rooms, joined(&["ann"]));
        reading.finds_all(&[]);
        assert_eq!(members(&rooms), ["ann"]);
        let reading = rooms.read(TENANT, &name("ann"));
        reading.finds_all(&[]);
        assert!(members(&rooms).is_empty());
        assert!(rooms.state().people.is_empty(), "who is in no room takes no place");
    }

    #[test]
    fn somebody_who_goes_and_comes_while_they_are_read_is_not_mixed_up() {
        let rooms = Rooms::default();
        let ann = name("ann");
        let (first, second) = (rooms.read(TENANT, &ann), rooms.read(TENANT, &ann));
        rooms.forget(TENANT, &ann);
        first.finds_all(&[room()]);
        hear(&rooms, removed("ann"));
        second.finds_all(&[room()]);
        assert!(members(&rooms).is_empty());
    }

    #[test]
    fn low_is_left_out_first_and_high_never_without_a_word() {
        let rooms = Rooms::default();
        hear(&rooms, joined(&["ann"]));
        let now = Instant::now();
        seqs(&rooms, now);
        let order = [Priority::Low, Priority::High, Priority::Normal];
        (1..=600).for_each(|seq| drop(hear(&rooms, said(seq, order[seq as usize % 3]))));
        let waiting: Vec<_> =
            rooms.state().halls[&(TENANT, room())].waiting.iter().map(|(priority, _)| *priority).collect();
        let count = |of| waiting.iter().filter(|priority| **priority == of).count();
        assert_eq!((count(Priority::High), count(Priority::Low)), (200, 0));
        assert_eq!(count(Priority::Normal), 0);
        (601..=2000).for_each(|seq| drop(hear(&rooms, said(seq, Priority::High))));
        let state = rooms.state();
        let hall = &state.halls[&(TENANT, room())];
        assert_eq!((hall.waiting.len(), hall.lags), (HIGH, true));
    }

    #[test]
    fn the_more_there_are_the_longer_news_wait() {
        let rooms = Rooms::default();
        let people: Vec<_> = (0..4000).map(|n| format!("p{n}")).collect();
        hear(&rooms, joined(&people.iter().map(String::as_str).collect::<Vec<_>>()));
        let now = Instant::now();
        assert_eq!(rooms.due(now).0.len(), 1);
        hear(&rooms, said(1, Priority::Normal));
        let (told, next) = rooms.due(now);
        assert_eq!((told.len(), next), (0, Some(now + Duration::from_millis(100))));
        assert_eq!(seqs(&rooms, now + Duration::from_millis(100)), [1]);
    }

    #[test]
    fn pieces_are_bounded_and_the_last_word_of_a_room_is_told() {
        let rooms = Rooms::default();
        hear(&rooms, joined(&["ann"]));
        let now = Instant::now();
        seqs(&rooms, now);
        (1..=100).for_each(|seq| drop(hear(&rooms, said(seq, Priority::High))));
        let later = now + Duration::from_secs(1);
        assert_eq!(seqs(&rooms, later).len(), PIECE);
        let end = told(MucChange::Destroyed);
        hear(&rooms, end);
        assert_eq!(seqs(&rooms, later).len(), 100 - PIECE + 1);
        assert!(rooms.state().halls.is_empty());
    }
}
