//! The beginning of a group.

use crate::{
    App, Chat, ChatError,
    log::{Command, Draft},
    muc::{
        Actor, Consent, MEMBER, MUC_INVITED, MucError, MucInfo, NewGroup,
        life::{Sweep, put_public},
        manage::tell,
        members::enter,
        object_kind,
        state::Muc,
    },
    people::{COUNTER, Party, is_gone, read_counter},
    service::Inner,
};
use async_trait::async_trait;
use bytes::Bytes;
use meridian_types::{
    Audience, ConversationKey, LogId, MucId, MucKind, Seq, UserName,
    notice::{Joining, MucChange},
};
use serde::{Deserialize, Serialize};

/// What is counted in each log.
pub(super) const GROUPS: &str = "groups";
pub(super) const THREADS: &str = "threads";
pub(super) const ROOMS: &str = "rooms";
/// Ids of one second in one log.
const IDS: u16 = 1024;

/// Makes a group.
#[derive(Serialize, Deserialize)]
pub(crate) struct Create {
    /// Its `id` counts only when it was chosen.
    pub(super) info: MucInfo,
    pub(super) chosen: bool,
    pub(super) owner: Party,
    pub(super) members: Vec<Party>,
    pub(super) actor: Actor,
    pub(super) consent: Consent,
}

#[async_trait]
impl Command for Create {
    type Output = MucId;
    type Error = ChatError;

    const NAME: &'static str = "muc.create";

    fn is_repeatable(&self) -> bool {
        false
    }

    async fn decide(&mut self, draft: &mut Draft<'_>) -> Result<MucId, ChatError> {
        let now = draft.now();
        for party in self.members.iter().chain([&self.owner]) {
            if is_gone(draft, party).await? {
                return Err(MucError::NoUser { user: party.name.clone() }.into());
            }
        }
        let id = match self.chosen {
            true => self.info.id,
            false => free_id(draft, self.info.id.kind()).await?,
        };
        let key = ConversationKey::from(id);
        let name = id.to_string();
        // Of an earlier group that is not swept yet.
        let left = draft.relations(&MEMBER, &name, 1).await?;
        if draft.object(&object_kind(id), &name).await?.is_some() || !left.is_empty() {
            return Err(MucError::Exists.into());
        }
        draft.load(&key).await?;
        let info = MucInfo { id, created: now, modified: now, ..self.info.clone() };
        let muc = Muc::new(info.clone());
        draft.put_muc(&muc, info.clone())?;
        put_public(draft, &info).await?;
        count(draft, counter(id), 1).await?;
        let first = draft.next_seq(&key).0;
        enter(draft, id, &self.owner.name, first).await?;
        let by = (&self.owner.name, &self.actor);
        tell(draft, &muc, by, MucChange::Created, Audience::Own).await?;
        let people: Vec<_> = self.members.iter().map(|member| member.name.clone()).collect();
        let mut size = 1;
        if !people.is_empty() && self.consent == Consent::AsSet && info.invite_need_confirm {
            let (at, inviter) = (i64::try_from(now.0).unwrap_or(i64::MAX), self.owner.name.to_string());
            for person in &people {
                draft.put_muc_relation(&MUC_INVITED, id, person.as_str(), at, Bytes::from(inviter.clone()));
            }
            let change = MucChange::Invited { people: people.clone() };
            tell(draft, &muc, by, change, Audience::People(people)).await?;
        } else if !people.is_empty() {
            let seq = draft.next_seq(&key).0;
            for person in &people {
                enter(draft, id, person, seq).await?;
            }
            size += people.len() as u64;
            let change = MucChange::Joined { people, how: Joining::Added, size, ext: String::new() };
            tell(draft, &muc, by, change, Audience::Everyone).await?;
        }
        draft.put_size(id, size);
        Ok(id)
    }
}

/// An id of this log that nothing has had.
pub(super) async fn free_id(draft: &mut Draft<'_>, kind: MucKind) -> Result<MucId, ChatError> {
    let (log, now) = (draft.log(), draft.now());
    // Not from 0, so that what was made and destroyed in this second is seldom met.
    let start: u16 = rand::random();
    for n in 0..IDS {
        let id = MucId::new(kind, now, log.region(), log.index(), start.wrapping_add(n));
        if draft.last_seq(&id.into()).await? == Seq(0)
            && draft.object(&object_kind(id), &id.to_string()).await?.is_none()
        {
            return Ok(id);
        }
    }
    Err(ChatError::Busy)
}

/// What it counts as.
pub(super) const fn counter(id: MucId) -> &'static str {
    match id.kind() {
        MucKind::Group => GROUPS,
        MucKind::Thread => THREADS,
        MucKind::Room => ROOMS,
    }
}

/// Changes the number of groups, threads or rooms in this log.
pub(super) async fn count(draft: &mut Draft<'_>, what: &str, by: i64) -> Result<(), ChatError> {
    let stored = draft.object(&COUNTER, what).await?;
    let count = stored.as_ref().map_or(0, read_counter).saturating_add_signed(by);
    let version = stored.map_or(0, |stored| stored.version);
    draft.put_object(&COUNTER, what, 0, version, Bytes::from(count.to_string()));
    Ok(())
}

impl Inner {
    /// The log in which a group, thread or room lives.
    pub(crate) fn muc_log(&self, app: &App, id: MucId) -> LogId {
        self.placement.conversation(app.tenant, &id.into())
    }

    /// How many groups, threads or rooms an app has.
    pub(super) async fn count(&self, app: &App, what: &str) -> Result<u64, ChatError> {
        let mut count = 0;
        for log in self.placement.all_owned(app.tenant) {
            let counter = self.store.object(log, &COUNTER, what).await?;
            count += counter.as_ref().map_or(0, read_counter);
        }
        Ok(count)
    }

    pub(super) async fn party(&self, app: &App, user: &UserName) -> Result<Party, ChatError> {
        match self.existing(app, user).await {
            Ok(account) => Ok(Party { name: account.username.clone(), uuid: account.uuid.clone() }),
            Err(ChatError::UserNotFound) => Err(MucError::NoUser { user: user.clone() }.into()),
            Err(other) => Err(other),
        }
    }
}

impl Chat {
    /// Makes a group. The owner must exist, and every member.
    pub async fn create_group(
        &self,
        app: &App,
        actor: Actor,
        consent: Consent,
        group: NewGroup,
    ) -> Result<MucId, ChatError> {
        let inner = &self.inner;
        let settings = &app.settings;
        if group.max_users > settings.group_size_limit {
            return Err(MucError::SizeLimit { limit: settings.group_size_limit }.into());
        }
        if settings.max_groups > 0 && inner.count(app, GROUPS).await? >= settings.max_groups {
            return Err(MucError::GroupLimit { limit: settings.max_groups }.into());
        }
        let owner = inner.party(app, &group.owner).await?;
        inner.check_joined(app, &group.owner).await?;
        let mut names = group.members;
        names.sort_unstable();
        names.dedup();
        names.retain(|name| name != &owner.name);
        if names.len() as u64 >= group.max_users {
            return Err(MucError::Full.into());
        }
        let mut members = Vec::with_capacity(names.len());
        for name in names {
            inner.check_joined(app, &name).await?;
            members.push(inner.party(app, &name).await?);
        }
        let now = inner.clock.now();
        let (id, log) = match group.id {
            Some(id) if id.is_own() => return Err(MucError::Id.into()),
            Some(id) => (id, inner.muc_log(app, id)),
            None => {
                let log = inner.placement.any_owned(app.tenant);
                (MucId::new(MucKind::Group, now, log.region(), log.index(), 0), log)
            }
        };
        let info = MucInfo {
            id,
            name: group.name,
            description: group.description,
            owner: owner.name.clone(),
            public: group.public,
            approval: group.approval,
            allow_invites: group.allow_invites,
            invite_need_confirm: group.invite_need_confirm,
            max_users: group.max_users,
            custom: group.custom,
            avatar: group.avatar,
            created: now,
            modified: now,
            mute_all: false,
            disabled: false,
            announcement: String::new(),
            thread: None,
        };
        if group.id.is_some() {
            // What an earlier group of this id may have left.
            inner.sweep(app, id).await?;
        }
        let create = Create { info, chosen: group.id.is_some(), owner, members, actor, consent };
        inner.logs.execute(log, create).await
    }
}

impl Inner {
    /// Takes out what a destroyed group has left.
    pub(crate) async fn sweep(&self, app: &App, id: MucId) -> Result<(), ChatError> {
        let log = self.muc_log(app, id);
        let mut left = vec![id];
        while let Some(id) = left.pop() {
            loop {
                let (more, threads) = self.logs.execute(log, Sweep { id }).await?;
                left.extend(threads);
                if !more {
                    break;
                }
            }
        }
        Ok(())
    }
}
