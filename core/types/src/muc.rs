//! Groups, threads and chat rooms: conversations of many. Their ids say where they live.

use crate::{ConversationKey, Millis, RegionId, UserName, notice::MucChange};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a conversation of many is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MucKind {
    Group,
    /// A side conversation of a group, about one of its messages.
    Thread,
    Room,
}

/// Id of a group, thread or room, shown as decimal; all three share one space. At most 18 digits.
///
/// The server's own ids are 59 bits long: 1, then 31 of seconds since 2020, 2 of kind, 6 of region, 9 of log, 10 of counter. A
/// group may have a smaller id that its creator chose; it lives where its name says, like a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MucId(u64);

impl MucId {
    /// The server's own ids begin here.
    pub const OWN: u64 = 1 << 58;
    const LIMIT: u64 = 1 << 59;

    /// An id for something that lives in this log; `counter` is taken modulo 1024.
    #[must_use]
    pub fn new(kind: MucKind, now: Millis, region: RegionId, log: u16, counter: u16) -> Self {
        let seconds = (now.0.saturating_sub(crate::MessageId::EPOCH.0) / 1000) & ((1 << 31) - 1);
        let kind = match kind {
            MucKind::Group => 0,
            MucKind::Thread => 1,
            MucKind::Room => 2,
        };
        Self(
            Self::OWN
                | (seconds << 27)
                | (kind << 25)
                | (u64::from(region.0 & 63) << 19)
                | (u64::from(log & 511) << 10)
                | u64::from(counter & 1023),
        )
    }

    /// Reads an id as clients write it: digits without a leading zero.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
        let id = Self(text.parse().ok().filter(|_| is_plain)?);
        (id.0 < Self::LIMIT && (!id.is_own() || id.0 >> 25 & 3 < 3)).then_some(id)
    }

    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// Whether the server has made it.
    #[must_use]
    pub const fn is_own(self) -> bool {
        self.0 >= Self::OWN
    }

    #[must_use]
    pub const fn kind(self) -> MucKind {
        match (self.is_own(), self.0 >> 25 & 3) {
            (true, 1) => MucKind::Thread,
            (true, 2) => MucKind::Room,
            _ => MucKind::Group,
        }
    }

    /// Region and index of the log that it lives in; `None` when its creator chose it.
    #[must_use]
    pub const fn place(self) -> Option<(RegionId, u16)> {
        if self.is_own() {
            Some((RegionId((self.0 >> 19 & 63) as u8), (self.0 >> 10 & 511) as u16))
        } else {
            None
        }
    }
}

impl fmt::Display for MucId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<MucId> for ConversationKey {
    fn from(id: MucId) -> Self {
        let letter = match id.kind() {
            MucKind::Group => 'g',
            MucKind::Thread => 't',
            MucKind::Room => 'r',
        };
        Self::from_stored(&format!("{letter}/{id}"))
    }
}

impl ConversationKey {
    /// The group, thread or room; `None` for a conversation of two.
    #[must_use]
    pub fn muc(&self) -> Option<MucId> {
        let (letter, id) = self.as_str().split_once('/')?;
        if matches!(letter, "g" | "t" | "r") { MucId::parse(id) } else { None }
    }
}

/// What a person may read of a conversation of many, as entries' positions; both ends of a stretch belong to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stay {
    /// When the person was in. The last one may be open.
    #[serde(rename = "in", default, skip_serializing_if = "Vec::is_empty")]
    pub stretches: Vec<(u64, Option<u64>)>,
    /// When the person did not want its messages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shields: Vec<(u64, Option<u64>)>,
    /// The last entry that was for this person by name while they were not in.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub told: u64,
}

/// Stretches remembered; of somebody who comes and goes more often the first are forgotten.
const STRETCHES: usize = 16;

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for it
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Stay {
    #[must_use]
    pub fn is_in(&self) -> bool {
        matches!(self.stretches.last(), Some((_, None)))
    }

    #[must_use]
    pub fn is_shielded(&self) -> bool {
        matches!(self.shields.last(), Some((_, None)))
    }

    /// The person is in from this entry on.
    pub fn enter(&mut self, seq: u64) {
        if !self.is_in() && self.changed_at() <= seq {
            push(&mut self.stretches, (seq, None));
        }
    }

    /// This entry is the last one.
    pub fn leave(&mut self, seq: u64) {
        close(&mut self.stretches, seq);
        close(&mut self.shields, seq);
    }

    /// Messages behind this entry are not wanted, or wanted again.
    pub fn shield(&mut self, seq: u64, on: bool) {
        match on {
            true if !self.is_shielded() => push(&mut self.shields, (seq + 1, None)),
            false => close(&mut self.shields, seq),
            true => {}
        }
    }

    /// This entry is for the person by name.
    pub fn tell(&mut self, seq: u64) {
        if !self.is_in() {
            self.told = self.told.max(seq);
        }
    }

    /// Whether an entry that is for everybody is for this person.
    #[must_use]
    pub fn admits(&self, seq: u64, is_message: bool) -> bool {
        within(&self.stretches, seq) && !(is_message && within(&self.shields, seq))
    }

    /// The next entry that may be for the person is not before the one behind this.
    #[must_use]
    pub fn skip(&self, seq: u64) -> u64 {
        if within(&self.stretches, seq + 1) || seq < self.told {
            return seq;
        }
        let next = self.stretches.iter().find(|(from, _)| *from > seq);
        next.map_or(seq, |(from, _)| from - 1)
    }

    /// Takes in an entry that may change this.
    pub fn note(&mut self, seq: u64, user: &UserName, sender: &UserName, change: &MucChange) {
        match change {
            MucChange::Created if user == sender => self.enter(seq),
            MucChange::Joined { people, .. } if people.contains(user) => self.enter(seq),
            MucChange::Left { .. } if user == sender => self.leave(seq),
            MucChange::Removed { people, .. } if people.contains(user) => self.leave(seq),
            MucChange::Destroyed => self.leave(seq),
            MucChange::Shielded { on } if user == sender => self.shield(seq, *on),
            _ => {}
        }
    }

    /// Nothing behind this entry is for the person; `None` as long as they are in.
    #[must_use]
    pub fn end(&self) -> Option<u64> {
        match self.stretches.last() {
            Some((_, None)) => None,
            Some((_, Some(left))) => Some(self.told.max(*left)),
            None => Some(self.told),
        }
    }

    /// The last entry that changed this: of two versions the one that counts has the greater.
    #[must_use]
    pub fn changed_at(&self) -> u64 {
        let bounds = self.stretches.iter().chain(&self.shields);
        bounds.map(|(from, to)| to.unwrap_or(*from)).max().unwrap_or(0).max(self.told)
    }
}

fn within(stretches: &[(u64, Option<u64>)], seq: u64) -> bool {
    stretches.iter().any(|(from, to)| *from <= seq && to.is_none_or(|to| seq <= to))
}

fn push(stretches: &mut Vec<(u64, Option<u64>)>, stretch: (u64, Option<u64>)) {
    if stretches.len() == STRETCHES {
        stretches.remove(0);
    }
    stretches.push(stretch);
}

fn close(stretches: &mut [(u64, Option<u64>)], seq: u64) {
    if let Some((_, to @ None)) = stretches.last_mut() {
        *to = Some(seq);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_what_and_where() {
        let now = Millis(1_795_389_662_295);
        for kind in [MucKind::Group, MucKind::Thread, MucKind::Room] {
            let id = MucId::new(kind, now, RegionId(63), 511, 1023);
            assert_eq!((id.kind(), id.place()), (kind, Some((RegionId(63), 511))));
            assert_eq!(id.to_string().len(), 18);
            assert_eq!(MucId::parse(&id.to_string()), Some(id));
            assert_eq!(ConversationKey::from(id).muc(), Some(id));
        }
        let later = MucId::new(MucKind::Group, Millis(now.0 + 1000), RegionId(0), 0, 0);
        assert!(later > MucId::new(MucKind::Room, now, RegionId(63), 511, 1023), "ids are in order of time");
    }

    #[test]
    fn a_chosen_id_is_a_group_and_says_no_place() {
        let id = MucId::parse("77").unwrap();
        assert_eq!((id.kind(), id.place()), (MucKind::Group, None));
        for text in ["", "0", "07", "-1", "+1", "1x", "1 ", "999999999999999999", "18446744073709551616"] {
            assert_eq!(MucId::parse(text), None, "{text:?}");
        }
        let unknown_kind = MucId::OWN | 3 << 25;
        assert_eq!(MucId::parse(&unknown_kind.to_string()), None);
    }

    #[test]
    fn conversations_of_two_are_no_mucs() {
        assert_eq!(ConversationKey::from_stored("u/1/2").muc(), None);
        assert_eq!(ConversationKey::from_stored("g/x").muc(), None);
    }

    #[test]
    fn a_stay_bounds_what_is_read() {
        let mut stay = Stay::default();
        assert_eq!((stay.is_in(), stay.end()), (false, Some(0)));
        stay.tell(3);
        assert_eq!((stay.end(), stay.admits(3, false)), (Some(3), false));
        stay.enter(5);
        assert_eq!(stay.end(), None);
        stay.leave(9);
        assert_eq!([4, 5, 9, 10].map(|seq| stay.admits(seq, true)), [false, true, true, false]);
        assert_eq!(stay.end(), Some(9));
        stay.enter(9);
        assert!(!stay.admits(12, true) || stay.is_in());
        stay.leave(12);
        stay.enter(20);
        stay.shield(21, true);
        assert_eq!([20, 21, 22].map(|seq| stay.admits(seq, true)), [true, true, false]);
        assert!(stay.admits(22, false));
        stay.shield(25, false);
        assert_eq!([25, 26].map(|seq| stay.admits(seq, true)), [false, true]);
        assert_eq!(stay.changed_at(), 25);
    }

    #[test]
    fn what_nobody_may_read_is_passed_over() {
        let mut stay = Stay { stretches: vec![(5, Some(9)), (100, None)], shields: vec![], told: 0 };
        assert_eq!([0, 4, 6, 8, 9, 50, 99, 200].map(|seq| stay.skip(seq)), [4, 4, 6, 8, 99, 99, 99, 200]);
        stay.told = 20;
        assert_eq!([9, 19, 20].map(|seq| stay.skip(seq)), [9, 19, 99]);
    }

    #[test]
    fn a_stay_is_bounded_and_keeps_its_stored_form() {
        let mut stay = Stay::default();
        for n in 0..100 {
            stay.enter(10 * n + 1);
            stay.leave(10 * n + 5);
        }
        assert_eq!(stay.stretches.len(), STRETCHES);
        assert_eq!(stay.end(), Some(995));
        let stay = Stay { stretches: vec![(1, Some(5)), (9, None)], shields: vec![], told: 0 };
        let text = r#"{"in":[[1,5],[9,null]]}"#;
        assert_eq!(serde_json::to_string(&stay).unwrap(), text);
        assert_eq!(serde_json::from_str::<Stay>(text).unwrap(), stay);
    }
}
