//! What rooms have beside what groups have: who may make them, and coming and going on a connection.

use crate::{
    App, Chat, ChatError, Page,
    log::{Apply, Draft},
    muc::{
        ALLOW, Actor, Consent, GroupAction, GroupEntry, IN_ROOM, MUTE, MucError, MucInfo, ROOM, SUPER_ADMIN,
        create::{Create, ROOMS},
        state::read_info,
    },
    service::Inner,
};
use bytes::Bytes;
use meridian_ports::{EntryRange, RelationPage};
use meridian_types::{
    ConversationKey, Effect, LogId, MucId, MucKind, Relation, Seq, TenantId, UserName,
    room::{RoomError, RoomRequest, Standing, is_history},
};
use std::sync::Arc;

type Result<T> = std::result::Result<T, ChatError>;

/// Rooms that one person may be in.
const ROOMS_OF_ONE: usize = 100;
/// Super admins of an app.
const SUPER_ADMINS: usize = 1000;
/// Entries looked through for the last messages.
const LOOKED_AT: usize = 200;
/// Messages that a joiner is told.
const HISTORY: usize = 100;
/// Bytes of a joiner's words.
const WORDS: usize = 1024;

/// A room to be made.
#[derive(Clone, Debug)]
pub struct NewRoom {
    pub name: String,
    pub description: String,
    pub owner: UserName,
    /// Without the owner.
    pub members: Vec<UserName>,
    pub max_users: u64,
    pub custom: String,
}

pub(super) fn enter_room(draft: &mut Draft<'_>, id: MucId, person: &UserName) {
    let rank = i64::try_from(draft.now().0).unwrap_or(i64::MAX);
    let (from, to) = (person.to_string(), ConversationKey::from(id).to_string());
    draft.put_relation(Relation { kind: IN_ROOM, from, to, rank, body: Bytes::new() });
}

pub(super) fn drop_room(draft: &mut Draft<'_>, id: MucId, person: &UserName) {
    let (from, to) = (person.to_string(), ConversationKey::from(id).to_string());
    draft.push(Effect::DeleteRelation { kind: IN_ROOM, from, to });
}

impl Inner {
    /// The rooms that a person is in, the newest made first.
    pub(crate) async fn room_ids(
        &self,
        tenant: TenantId,
        user: &UserName,
    ) -> meridian_ports::Result<Vec<MucId>> {
        let logs = self.placement.all_owned(tenant);
        let page = RelationPage::new(None, 2 * ROOMS_OF_ONE);
        let found = self.store.relations(&logs, &IN_ROOM, user.as_str(), page).await?;
        let id = |(_, relation): &(LogId, Relation)| ConversationKey::from_stored(&relation.to).muc();
        let mut ids: Vec<_> = found.iter().filter_map(id).collect();
        ids.sort_unstable_by_key(|id| std::cmp::Reverse(*id));
        Ok(ids)
    }

    fn super_admin_log(&self, app: &App) -> LogId {
        self.placement.owned(app.tenant, 0)
    }

    async fn is_super_admin(&self, app: &App, user: &UserName) -> Result<bool> {
        let log = self.super_admin_log(app);
        Ok(self.store.relation(log, &SUPER_ADMIN, "", user.as_str()).await?.is_some())
    }

    /// What a device asks of a room. The person comes and goes, with all their devices.
    pub(crate) async fn ask_room(
        &self,
        app: &App,
        actor: Actor,
        request: RoomRequest,
    ) -> std::result::Result<Standing, RoomError> {
        let Some(user) = actor.user.clone() else { return Err(RoomError::Malformed) };
        match request {
            RoomRequest::Join { room, ext, leave_others } => {
                if ext.len() > WORDS {
                    return Err(RoomError::Malformed);
                }
                self.come_in(app, actor, &user, (room, ext, leave_others)).await.map_err(refused)
            }
            RoomRequest::Leave { room } => {
                self.go(app, actor, room).await.map_err(refused)?;
                let info = self.info(app, room).await.map_err(refused)?;
                self.standing_of(app, &info, &user).await.map_err(refused)
            }
        }
    }

    async fn come_in(
        &self,
        app: &App,
        actor: Actor,
        user: &UserName,
        (room, ext, leave_others): (MucId, String, bool),
    ) -> Result<Standing> {
        if room.kind() != MucKind::Room {
            return Err(MucError::NotFound.into());
        }
        let reading = self.hub.read_rooms(app.tenant, user);
        let others = self.room_ids(app.tenant, user).await?;
        let is_in = others.contains(&room);
        if leave_others {
            for other in others.iter().filter(|other| **other != room) {
                match self.go(app, actor.clone(), *other).await {
                    Ok(()) | Err(ChatError::Muc(MucError::NotMember { .. } | MucError::NotFound)) => {}
                    Err(error) => return Err(error),
                }
            }
        } else if others.len() >= ROOMS_OF_ONE && !is_in {
            return Err(MucError::JoinedLimit { user: user.clone(), limit: ROOMS_OF_ONE }.into());
        }
        match self.manage(app, room, actor, GroupAction::Apply { reason: ext }).await {
            // Another device of theirs was first, or this one comes again.
            Ok(_) | Err(ChatError::Muc(MucError::AlreadyMember { .. })) => {}
            Err(error) => return Err(error),
        }
        reading.finds(room);
        let info = self.info(app, room).await?;
        self.standing_of(app, &info, user).await
    }

    /// Takes a person out of a room.
    pub(super) async fn go(&self, app: &App, actor: Actor, room: MucId) -> Result<()> {
        if room.kind() != MucKind::Room {
            return Err(MucError::NotFound.into());
        }
        self.manage(app, room, actor, GroupAction::Leave).await.map(drop)
    }

    async fn standing_of(&self, app: &App, info: &MucInfo, user: &UserName) -> Result<Standing> {
        let (log, id) = (self.muc_log(app, info.id), info.id.to_string());
        let muted = self.store.relation(log, &MUTE, &id, user.as_str()).await?;
        let muted_until = match muted.map_or(0, |muted| muted.rank) {
            i64::MAX => u64::MAX,
            until => until.unsigned_abs(),
        };
        let now = self.clock.now().0;
        let key = ConversationKey::from(info.id);
        let head = self.store.conversation_heads(&[(log, key.clone())]).await?.pop();
        let seq = head.map_or(0, |head| head.seq.0);
        Ok(Standing {
            members: self.size(log, info.id).await?,
            created: info.created,
            all_muted: info.mute_all,
            allowed: self.store.relation(log, &ALLOW, &id, user.as_str()).await?.is_some(),
            muted_until: if muted_until > now { muted_until } else { 0 },
            seq,
            history: self.last_messages(log, &key, seq, app.settings.room_history.min(HISTORY)).await?,
        })
    }

    async fn last_messages(
        &self,
        log: LogId,
        key: &ConversationKey,
        seq: u64,
        limit: usize,
    ) -> Result<Vec<Arc<meridian_types::Entry>>> {
        if limit == 0 || seq == 0 {
            return Ok(Vec::new());
        }
        let looked_at = LOOKED_AT.max(limit);
        let range = EntryRange::after(Seq(seq.saturating_sub(looked_at as u64)), looked_at);
        let mut entries = self.store.entries(log, key, range).await?;
        entries.retain(is_history);
        let skip = entries.len().saturating_sub(limit);
        Ok(entries.drain(skip..).map(Arc::new).collect())
    }
}

fn refused(error: ChatError) -> RoomError {
    match error {
        ChatError::Muc(MucError::NotFound) => RoomError::NotFound,
        ChatError::Muc(MucError::Full) => RoomError::Full,
        ChatError::Muc(MucError::Blocked { .. }) => RoomError::Blocked,
        ChatError::Muc(MucError::Disabled) => RoomError::Disabled,
        ChatError::Muc(MucError::JoinedLimit { .. }) => RoomError::TooMany,
        ChatError::Muc(MucError::NotMember { .. }) => RoomError::NotMember,
        ChatError::Busy => RoomError::Busy,
        error => {
            tracing::warn!(%error, "a room cannot be asked");
            RoomError::Unavailable
        }
    }
}

/// Rooms.
impl Chat {
    /// Makes a room. A user must be a super admin.
    pub async fn create_room(&self, app: &App, actor: Actor, room: NewRoom) -> Result<MucId> {
        let (inner, settings) = (&self.inner, &app.settings);
        if let Some(user) = &actor.user
            && !inner.is_super_admin(app, user).await?
        {
            return Err(MucError::NotSuperAdmin.into());
        }
        if room.max_users > settings.room_size_limit {
            return Err(MucError::SizeLimit { limit: settings.room_size_limit }.into());
        }
        if settings.max_rooms > 0 && inner.count(app, ROOMS).await? >= settings.max_rooms {
            return Err(MucError::RoomLimit { limit: settings.max_rooms }.into());
        }
        let owner = inner.party(app, &room.owner).await?;
        let mut names = room.members;
        names.sort_unstable();
        names.dedup();
        names.retain(|name| name != &owner.name);
        if names.len() as u64 >= room.max_users {
            return Err(MucError::Full.into());
        }
        let mut members = Vec::with_capacity(names.len());
        for name in names {
            members.push(inner.party(app, &name).await?);
        }
        let now = inner.clock.now();
        let log = inner.placement.any_owned(app.tenant);
        let info = MucInfo {
            id: MucId::new(MucKind::Room, now, log.region(), log.index(), 0),
            name: room.name,
            description: room.description,
            owner: owner.name.clone(),
            public: true,
            approval: false,
            allow_invites: false,
            invite_need_confirm: false,
            max_users: room.max_users,
            custom: room.custom,
            avatar: String::new(),
            created: now,
            modified: now,
            mute_all: false,
            disabled: false,
            announcement: String::new(),
            thread: None,
        };
        let consent = Consent::NotAsked;
        inner.logs.execute(log, Create { info, chosen: false, owner, members, actor, consent }).await
    }

    /// Every room of the app, the newest first.
    pub async fn rooms(&self, app: &App, cursor: Option<&str>, limit: usize) -> Result<Page<GroupEntry>> {
        let (objects, cursor) = self.muc_page(app, &ROOM, cursor, limit).await?;
        let mut items = Vec::with_capacity(objects.len());
        for object in &objects {
            items.push(self.inner.entry(app, read_info(object)?, None).await?);
        }
        Ok(Page { items, cursor })
    }

    /// The rooms that a person is in, the newest made first.
    pub async fn joined_rooms(&self, app: &App, user: &UserName) -> Result<Vec<GroupEntry>> {
        let mut items = Vec::new();
        for id in self.inner.room_ids(app.tenant, user).await? {
            match self.inner.info(app, id).await {
                Ok(info) => items.push(self.inner.entry(app, info, Some(user)).await?),
                // Destroyed, and not swept yet.
                Err(ChatError::Muc(MucError::NotFound)) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(items)
    }

    /// Lets a person make rooms, or not any more.
    pub async fn set_super_admin(&self, app: &App, user: &UserName, on: bool) -> Result<()> {
        let inner = &self.inner;
        let (from, to) = (String::new(), user.to_string());
        let effect = if on {
            inner.existing(app, user).await?;
            let rank = i64::try_from(inner.clock.now().0).unwrap_or(i64::MAX);
            Effect::PutRelation(Relation { kind: SUPER_ADMIN, from, to, rank, body: Bytes::new() })
        } else {
            Effect::DeleteRelation { kind: SUPER_ADMIN, from, to }
        };
        let apply = Apply::new("room.super_admin", vec![effect]);
        Ok(inner.logs.execute(inner.super_admin_log(app), apply).await?)
    }

    /// Who may make rooms, by name.
    pub async fn super_admins(&self, app: &App) -> Result<Vec<UserName>> {
        let log = self.inner.super_admin_log(app);
        let page = RelationPage::new(None, SUPER_ADMINS);
        let found = self.inner.store.relations(&[log], &SUPER_ADMIN, "", page).await?;
        found.iter().map(|(_, relation)| Ok(UserName::parse(&relation.to)?)).collect()
    }
}
