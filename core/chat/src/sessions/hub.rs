//! The devices attached to this core, by person. Publishing never waits: a device that is slow is marked as lagging and
//! catches up by asking.

use crate::{
    accounts::{ChatKind, Mutes},
    log::Publication,
    sessions::{Audiences, Reading, Rooms},
};
use meridian_types::{
    ConversationKey, EventSender, Events, Millis, MucKind, Resource, Stay, TenantId, UserName, event_queue,
    room::RoomNews,
    session::{CloseReason, Device, Refusal, SessionEvent},
};
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::sync::oneshot;

const SHARDS: usize = 64;

type Person = (TenantId, UserName);

/// One attached device.
#[derive(Debug)]
pub(crate) struct Slot {
    id: u64,
    pub(crate) device: Device,
    /// Milliseconds since 1970.
    pub(crate) seated_at: u64,
    events: EventSender,
    is_closed: AtomicBool,
    close: Mutex<Option<oneshot::Sender<CloseReason>>>,
    /// Until when the person may not write, by kind of chat, in milliseconds since 1970.
    muted_until: [AtomicU64; ChatKind::ALL.len()],
}

impl Slot {
    fn tell(&self, event: SessionEvent) {
        if self.events.tell(event) {
            metrics::counter!("session_lagged_total").increment(1);
        }
    }

    /// Whether the session was told to end; what it still sends must not count.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    pub(crate) fn mute(&self, mutes: Mutes) {
        for kind in ChatKind::ALL {
            self.muted_until[kind as usize].store(mutes.until(kind), Ordering::Release);
        }
    }

    pub(crate) fn is_muted(&self, kind: ChatKind, now: Millis) -> bool {
        self.muted_until[kind as usize].load(Ordering::Acquire) > now.0
    }

    pub(crate) fn close(&self, reason: CloseReason) {
        self.is_closed.store(true, Ordering::Release);
        let close = self.close.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(close) = close {
            // The session may be closing by itself.
            let _ = close.send(reason);
        }
    }
}

/// All devices attached to this core.
#[derive(Debug)]
pub(crate) struct Hub {
    shards: Vec<Mutex<HashMap<Person, Vec<Arc<Slot>>>>>,
    /// Who of them is in which group.
    audiences: Audiences,
    rooms: Rooms,
    hasher: RandomState,
    next_id: AtomicU64,
    event_limit: usize,
}

/// How many devices of one platform may sit, and who goes when there are more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) limit: usize,
    /// The new device, instead of the one that has sat longest.
    pub(crate) refuse: bool,
}

/// What a newly attached device gets.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) slot: Arc<Slot>,
    pub(crate) events: Events,
    pub(crate) closed: oneshot::Receiver<CloseReason>,
}

impl Hub {
    pub(crate) fn new(event_limit: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            audiences: Audiences::default(),
            rooms: Rooms::default(),
            hasher: RandomState::new(),
            next_id: AtomicU64::new(1),
            event_limit: event_limit.max(2),
        }
    }

    fn shard(&self, person: &Person) -> MutexGuard<'_, HashMap<Person, Vec<Arc<Slot>>>> {
        let index = self.hasher.hash_one(person) as usize % SHARDS;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seats a device. An earlier seat of the same device is replaced; past the limit of devices of one platform, either
    /// the longest seated ones leave or, with `refuse`, the new one does not get in. A session that is resumed does not
    /// replace one of the same device that began later.
    pub(crate) fn seat(
        &self,
        tenant: TenantId,
        user: &UserName,
        device: Device,
        extension: &str,
        Room { limit, refuse }: Room,
        seated_at: u64,
    ) -> Result<Seat, Refusal> {
        let person = (tenant, user.clone());
        let (events, event_receiver) = event_queue(self.event_limit);
        let (close, closed) = oneshot::channel();
        let mut shard = self.shard(&person);
        let slots = shard.entry(person).or_default();
        let platform = device.platform;
        let same = |slot: &Arc<Slot>| slot.device.resource == device.resource;
        if slots.iter().any(|slot| same(slot) && slot.seated_at > seated_at) {
            return Err(Refusal::Replaced);
        }
        let others = slots.iter().filter(|slot| !same(slot) && slot.device.platform == platform).count();
        if refuse && others >= limit {
            return Err(Refusal::TooManyDevices);
        }
        let excess = (others + 1).saturating_sub(limit);
        let mut longest: Vec<(u64, u64)> = slots
            .iter()
            .filter(|slot| !same(slot) && slot.device.platform == platform)
            .map(|slot| (slot.seated_at, slot.id))
            .collect();
        longest.sort_unstable();
        longest.truncate(excess);
        slots.retain(|slot| {
            let leaves = same(slot) || longest.contains(&(slot.seated_at, slot.id));
            if leaves {
                slot.close(CloseReason::Replaced { extension: extension.to_owned() });
            }
            !leaves
        });
        let slot = Arc::new(Slot {
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            device,
            seated_at,
            events,
            is_closed: AtomicBool::new(false),
            close: Mutex::new(Some(close)),
            muted_until: Default::default(),
        });
        slots.push(slot.clone());
        Ok(Seat { slot, events: event_receiver, closed })
    }

    pub(crate) fn leave(&self, tenant: TenantId, user: &UserName, slot: &Slot) {
        let person = (tenant, user.clone());
        let mut shard = self.shard(&person);
        if let Some(slots) = shard.get_mut(&person) {
            slots.retain(|seated| seated.id != slot.id);
            if slots.is_empty() {
                shard.remove(&person);
                drop(shard);
                self.audiences.forget(tenant, user);
                self.rooms.forget(tenant, user);
            }
        }
    }

    /// Takes in the groups of a person who is attached here; they hear of what comes from now on.
    pub(crate) fn follow(&self, tenant: TenantId, user: &UserName, stays: Vec<(ConversationKey, Stay)>) {
        self.audiences.follow(tenant, user, stays);
    }

    /// What a person who is attached here may read of a group.
    pub(crate) fn stay(&self, tenant: TenantId, user: &UserName, group: &ConversationKey) -> Option<Stay> {
        self.audiences.stay(tenant, user, group)
    }

    pub(crate) fn slots(&self, tenant: TenantId, user: &UserName) -> Vec<Arc<Slot>> {
        let person = (tenant, user.clone());
        self.shard(&person).get(&person).cloned().unwrap_or_default()
    }

    pub(crate) fn is_online(&self, tenant: TenantId, user: &UserName) -> bool {
        let person = (tenant, user.clone());
        self.shard(&person).contains_key(&person)
    }

    pub(crate) fn is_device_online(&self, tenant: TenantId, user: &UserName, device: &str) -> bool {
        let person = (tenant, user.clone());
        let shard = self.shard(&person);
        shard
            .get(&person)
            .is_some_and(|slots| slots.iter().any(|slot| slot.device.resource.as_str() == device))
    }

    /// Ends every session of a person, or those of one device. Gives how many there were.
    pub(crate) fn close(
        &self,
        tenant: TenantId,
        user: &UserName,
        device: Option<&Resource>,
        reason: &CloseReason,
    ) -> usize {
        let slots = self.slots(tenant, user);
        let wanted = slots.iter().filter(|slot| device.is_none_or(|device| &slot.device.resource == device));
        wanted
            .map(|slot| {
                slot.close(reason.clone());
                self.leave(tenant, user, slot);
            })
            .count()
    }

    /// Every attached device.
    pub(crate) fn all(&self) -> Vec<(TenantId, UserName, Arc<Slot>)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let seats = shard.iter().flat_map(|(person, slots)| slots.iter().map(move |slot| (person, slot)));
            all.extend(seats.map(|(person, slot)| (person.0, person.1.clone(), slot.clone())));
        }
        all
    }

    /// Makes every session ask what it is owed.
    pub(crate) fn lag_all(&self) {
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.values().flatten().for_each(|slot| slot.events.lag());
        }
    }

    /// Ends every session of this core.
    pub(crate) fn close_all(&self, reason: &CloseReason) {
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.values().flatten().for_each(|slot| slot.close(reason.clone()));
        }
    }

    /// Tells the devices of the conversation's people, in the order of calls.
    pub(crate) fn publish(&self, tenant: TenantId, publication: &Publication) {
        let Some((low, high)) = publication.entry.conversation.people() else {
            let is_here = |user: &UserName| self.is_online(tenant, user);
            if publication.entry.conversation.muc().is_some_and(|id| id.kind() == MucKind::Room) {
                // They are not in any more, and have no place in it.
                let alone = Publication { position: None, ..publication.clone() };
                for user in self.rooms.hear(tenant, publication, is_here) {
                    self.publish_to(&(tenant, user), &alone, true);
                }
                return;
            }
            for (user, admitted) in self.audiences.of(tenant, publication, is_here) {
                self.publish_to(&(tenant, user), publication, admitted);
            }
            return;
        };
        if low != high {
            self.publish_to(&(tenant, low), publication, true);
        }
        self.publish_to(&(tenant, high), publication, true);
    }

    pub(crate) fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    /// Begins to read which rooms a person is in who is attached here.
    pub(crate) fn read_rooms(&self, tenant: TenantId, user: &UserName) -> Reading<'_> {
        self.rooms.read(tenant, user)
    }

    /// Tells a room's member its news.
    pub(crate) fn tell_news(&self, tenant: TenantId, user: &UserName, news: &Arc<RoomNews>, lags: bool) {
        let person = (tenant, user.clone());
        let shard = self.shard(&person);
        for slot in shard.get(&person).into_iter().flatten() {
            slot.tell(SessionEvent::Room(news.clone()));
            if lags {
                slot.events.lag();
            }
        }
    }

    fn publish_to(&self, person: &Person, publication: &Publication, admitted: bool) {
        let shard = self.shard(person);
        let Some(slots) = shard.get(person) else { return };
        for slot in slots {
            let entry = publication.entry.clone();
            let deliver = admitted && entry.reaches(&person.1, &slot.device.resource);
            match publication.position {
                Some(position) => slot.tell(SessionEvent::Entry { entry, position, deliver }),
                None if deliver => slot.tell(SessionEvent::Transient(entry)),
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use meridian_types::session::Platform;

    fn device(resource: &str, platform: Platform) -> Device {
        Device {
            resource: Resource::parse(resource).unwrap(),
            uuid: String::new(),
            name: String::new(),
            platform,
            sdk_version: String::new(),
        }
    }

    fn seat(hub: &Hub, resource: &str, limit: usize, refuse: bool) -> Result<Seat, Refusal> {
        seat_since(hub, resource, Room { limit, refuse }, 0)
    }

    fn seat_since(hub: &Hub, resource: &str, room: Room, since: u64) -> Result<Seat, Refusal> {
        let alice = UserName::parse("alice").unwrap();
        hub.seat(TenantId(1), &alice, device(resource, Platform::Web), "from there", room, since)
    }

    #[test]
    fn a_resumed_session_does_not_replace_a_later_one() {
        let (hub, room) = (Hub::new(8), Room { limit: 4, refuse: false });
        let mut first = seat_since(&hub, "a", room, 10).unwrap();
        let mut resumed = seat_since(&hub, "a", room, 10).unwrap();
        assert!(first.closed.try_recv().is_ok());
        assert_eq!(seat_since(&hub, "a", room, 9).unwrap_err(), Refusal::Replaced);
        assert!(resumed.closed.try_recv().is_err());
    }

    #[test]
    fn the_same_device_replaces_itself() {
        let hub = Hub::new(8);
        let mut first = seat(&hub, "a", 4, false).unwrap();
        let _second = seat(&hub, "a", 4, false).unwrap();
        let replaced = CloseReason::Replaced { extension: "from there".into() };
        assert_eq!(first.closed.try_recv(), Ok(replaced));
        assert_eq!(hub.slots(TenantId(1), &UserName::parse("alice").unwrap()).len(), 1);
    }

    #[test]
    fn past_the_limit_the_oldest_leaves_or_the_newest_is_refused() {
        let hub = Hub::new(8);
        let mut first = seat(&hub, "a", 2, false).unwrap();
        let mut second = seat(&hub, "b", 2, false).unwrap();
        assert_eq!(seat(&hub, "c", 2, true).unwrap_err(), Refusal::TooManyDevices);
        let _third = seat(&hub, "c", 2, false).unwrap();
        assert!(first.closed.try_recv().is_ok());
        assert!(second.closed.try_recv().is_err());
    }

    #[test]
    fn a_leaving_slot_does_not_take_its_successor_along() {
        let hub = Hub::new(8);
        let alice = UserName::parse("alice").unwrap();
        let first = seat(&hub, "a", 4, false).unwrap();
        let _second = seat(&hub, "a", 4, false).unwrap();
        hub.leave(TenantId(1), &alice, &first.slot);
        assert!(hub.is_online(TenantId(1), &alice));
    }
}
