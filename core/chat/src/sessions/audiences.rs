//! Which of the people attached to this core are in which group, so that what is said there reaches them. Read from the
//! store when a session asks what it is owed; the entries of the groups themselves keep it true from then on.

use crate::log::Publication;
use meridian_types::{
    Audience, ConversationKey, Entry, EntryKind, Notice, Stay, TenantId, UserName, notice::MucNotice,
};
use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

type Group = (TenantId, ConversationKey);

#[derive(Debug, Default)]
struct State {
    groups: HashMap<Group, HashMap<UserName, Stay>>,
    /// The groups of each person, for when they leave this core.
    people: HashMap<(TenantId, UserName), HashSet<ConversationKey>>,
}

#[derive(Debug, Default)]
pub(crate) struct Audiences {
    state: Mutex<State>,
}

/// Whether a message, or what was made of one: what a shield keeps away.
pub(crate) fn is_said(entry: &Entry) -> bool {
    matches!(entry.kind, EntryKind::Message | EntryKind::Edit)
}

/// Whether an entry of a group is for this person, as far as it is not about devices.
pub(crate) fn admits(stay: &Stay, entry: &Entry, user: &UserName) -> bool {
    match &entry.audience {
        Audience::People(people) => people.contains(user),
        _ => stay.admits(entry.seq.0, is_said(entry)),
    }
}

impl State {
    fn stay(&mut self, group: &Group, user: &UserName) -> &mut Stay {
        let person = (group.0, user.clone());
        self.people.entry(person).or_default().insert(group.1.clone());
        self.groups.entry(group.clone()).or_default().entry(user.clone()).or_default()
    }
}

impl Audiences {
    pub(crate) fn follow(&self, tenant: TenantId, user: &UserName, stays: Vec<(ConversationKey, Stay)>) {
        let mut state = self.state();
        for (conversation, stay) in stays {
            let known = state.stay(&(tenant, conversation), user);
            // An entry may have been heard that the store did not show yet.
            if known.changed_at() <= stay.changed_at() {
                *known = stay;
            }
        }
    }

    pub(crate) fn stay(
        &self,
        tenant: TenantId,
        user: &UserName,
        conversation: &ConversationKey,
    ) -> Option<Stay> {
        self.state().groups.get(&(tenant, conversation.clone()))?.get(user).cloned()
    }

    /// The person has no device here any more.
    pub(crate) fn forget(&self, tenant: TenantId, user: &UserName) {
        let mut state = self.state();
        for conversation in state.people.remove(&(tenant, user.clone())).unwrap_or_default() {
            let group = (tenant, conversation);
            if let Some(people) = state.groups.get_mut(&group) {
                people.remove(user);
                if people.is_empty() {
                    state.groups.remove(&group);
                }
            }
        }
    }

    /// Whom of this core an entry of a group concerns, and whether they may read it; the others need to know that it is there.
    pub(crate) fn of(
        &self,
        tenant: TenantId,
        publication: &Publication,
        is_here: impl Fn(&UserName) -> bool,
    ) -> Vec<(UserName, bool)> {
        let entry = &*publication.entry;
        let group = (tenant, entry.conversation.clone());
        let change = match Notice::of(entry) {
            Some(Notice::Muc(MucNotice { change, .. })) => Some(change),
            _ => None,
        };
        let mut state = self.state();
        for user in newcomers(entry, change.as_ref()) {
            if is_here(user) {
                state.stay(&group, user);
            }
        }
        let Some(people) = state.groups.get_mut(&group) else { return Vec::new() };
        let seq = entry.seq.0;
        let mut concerned = Vec::with_capacity(people.len());
        for (user, stay) in people {
            if publication.position.is_none() {
                if stay.is_in() && !(stay.is_shielded() && is_said(entry)) {
                    concerned.push((user.clone(), true));
                }
                continue;
            }
            if let Some(change) = &change {
                stay.note(seq, user, &entry.sender, change);
            }
            let admitted = admits(stay, entry, user);
            if admitted && !stay.is_in() {
                stay.tell(seq);
            }
            if admitted || stay.is_in() {
                concerned.push((user.clone(), admitted));
            }
        }
        concerned
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those who may not be known in the group yet.
fn newcomers<'a>(
    entry: &'a Entry,
    change: Option<&'a meridian_types::notice::MucChange>,
) -> Vec<&'a UserName> {
    use meridian_types::notice::MucChange;
    let mut people = match change {
        Some(MucChange::Joined { people, .. }) => people.iter().collect(),
        Some(MucChange::Created) => vec![&entry.sender],
        _ => Vec::new(),
    };
    if let Audience::People(named) = &entry.audience {
        people.extend(named);
    }
    people
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use meridian_types::{
        Epoch, MessageId, Millis, MucId, Position, Seq,
        notice::{Joining, MucChange},
    };
    use std::sync::Arc;

    const TENANT: TenantId = TenantId(1);

    fn name(text: &str) -> UserName {
        UserName::parse(text).unwrap()
    }

    fn group() -> ConversationKey {
        MucId::parse("77").unwrap().into()
    }

    fn publication(seq: u64, kind: EntryKind, audience: Audience, body: Bytes) -> Publication {
        let entry = Entry {
            conversation: group(),
            seq: Seq(seq),
            message_id: MessageId(seq),
            at: Millis(1),
            kind,
            sender: name("owner"),
            sender_device: None,
            audience,
            target: None,
            idempotency: None,
            ext: Bytes::new(),
            body: Some(body),
        };
        Publication { entry: Arc::new(entry), position: Some(Position::new(Epoch(1), Seq(seq))) }
    }

    fn said(seq: u64) -> Publication {
        publication(seq, EntryKind::Message, Audience::Everyone, Bytes::from_static(b"hi"))
    }

    fn told(seq: u64, change: MucChange, audience: Audience) -> Publication {
        let body = Notice::Muc(MucNotice { name: "G".into(), parent: None, change }).encode();
        publication(seq, EntryKind::Notice, audience, body)
    }

    fn hear(audiences: &Audiences, publication: &Publication) -> Vec<(String, bool)> {
        let heard = audiences.of(TENANT, publication, |user| user.as_str() != "away");
        let mut heard: Vec<_> = heard.into_iter().map(|(user, may)| (user.to_string(), may)).collect();
        heard.sort();
        heard
    }

    fn ann(may: bool) -> Vec<(String, bool)> {
        vec![("ann".to_owned(), may)]
    }

    fn joined(people: &[&str]) -> MucChange {
        let people: Vec<_> = people.iter().map(|person| name(person)).collect();
        MucChange::Joined { people, how: Joining::Added, size: 3, ext: String::new() }
    }

    #[test]
    fn who_comes_hears_and_who_goes_hears_it_last() {
        let audiences = Audiences::default();
        assert_eq!(hear(&audiences, &said(1)), []);
        let come = told(2, joined(&["ann", "away"]), Audience::Everyone);
        assert_eq!(hear(&audiences, &come), ann(true));
        assert_eq!(hear(&audiences, &said(3)), ann(true));
        let removed = MucChange::Removed { people: vec![name("ann")], blocked: false, size: 1 };
        assert_eq!(hear(&audiences, &told(4, removed, Audience::Everyone)), ann(true));
        assert_eq!(hear(&audiences, &said(5)), []);
        assert_eq!(audiences.stay(TENANT, &name("ann"), &group()).unwrap().end(), Some(4));
        audiences.forget(TENANT, &name("ann"));
        assert!(audiences.state().groups.is_empty() && audiences.state().people.is_empty());
    }

    #[test]
    fn the_invited_hear_only_their_invitation() {
        let audiences = Audiences::default();
        let invited = MucChange::Invited { people: vec![name("ann")] };
        assert_eq!(hear(&audiences, &told(2, invited, Audience::People(vec![name("ann")]))), ann(true));
        assert_eq!(hear(&audiences, &said(3)), []);
        assert_eq!(audiences.stay(TENANT, &name("ann"), &group()).unwrap().end(), Some(2));
    }

    #[test]
    fn what_is_for_others_is_only_counted() {
        let audiences = Audiences::default();
        hear(&audiences, &told(2, joined(&["ann"]), Audience::Everyone));
        let directed = publication(
            3,
            EntryKind::Message,
            Audience::People(vec![name("bob")]),
            Bytes::from_static(b"hi"),
        );
        assert_eq!(hear(&audiences, &directed), [("ann".to_owned(), false), ("bob".to_owned(), true)]);
    }

    #[test]
    fn an_older_stay_from_the_store_does_not_replace_what_was_heard() {
        let audiences = Audiences::default();
        hear(&audiences, &told(7, joined(&["ann"]), Audience::Everyone));
        let old = Stay { stretches: vec![(1, Some(3))], ..Stay::default() };
        audiences.follow(TENANT, &name("ann"), vec![(group(), old)]);
        assert_eq!(hear(&audiences, &said(8)), ann(true));
        let newer = Stay { stretches: vec![(7, Some(9))], ..Stay::default() };
        audiences.follow(TENANT, &name("ann"), vec![(group(), newer)]);
        assert_eq!(hear(&audiences, &said(10)), []);
    }

    #[test]
    fn a_shield_keeps_messages_away_and_nothing_else() {
        let audiences = Audiences::default();
        let mut stay = Stay { stretches: vec![(1, None)], ..Stay::default() };
        stay.shield(1, true);
        audiences.follow(TENANT, &name("ann"), vec![(group(), stay)]);
        assert_eq!(hear(&audiences, &said(2)), ann(false));
        assert_eq!(hear(&audiences, &told(3, MucChange::AllMuted, Audience::Everyone)), ann(true));
        let transient = Publication { position: None, ..said(0) };
        assert_eq!(hear(&audiences, &transient), []);
    }
}
