//! Groups as REST asks for them.

use crate::{
    App, Chat, ChatError, Page,
    log::JOINED,
    muc::{
        ADMIN, ALLOW, Actor, GROUP, GroupAction, GroupFile, MEMBER, MEMBER_ORDER, MUC_ATTRIBUTES, MUC_BLOCK,
        MUC_FILE, MUTE, Manage, Member, MucError, MucInfo, MutedMember, Outcome, PUBLIC, Role, SIZE,
        extras::read_attributes,
        files::read_file,
        manage::Limits,
        object_kind,
        state::{read_info, read_stay},
    },
    service::Inner,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use meridian_ports::{ObjectPage, RelationPage};
use meridian_types::{ConversationKey, Kind, LogId, Millis, MucId, MucKind, Relation, UserName};
use std::collections::BTreeMap;

type Result<T> = std::result::Result<T, ChatError>;

/// Rows read at once.
const PAGE: usize = 1000;
/// In the order of keys, behind every group.
const BEHIND_GROUPS: &str = "g0";

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupEntry {
    pub info: MucInfo,
    /// How many are in, with the owner.
    pub size: u64,
    /// What the one whose list it is, or who asks, is there.
    pub role: Role,
    pub shielded: bool,
}

fn millis(rank: i64) -> Millis {
    Millis(rank.unsigned_abs())
}

fn names(relations: Vec<Relation>) -> Result<Vec<UserName>> {
    relations.iter().map(|relation| Ok(UserName::parse(&relation.to)?)).collect()
}

pub(super) fn read_cursor(cursor: &str) -> Option<String> {
    String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()
}

/// Cuts keys, of which one more than asked for was read, to a page.
pub(super) fn paged(mut keys: Vec<String>, limit: usize) -> (Vec<String>, Option<String>) {
    let more = keys.len() > limit;
    keys.truncate(limit);
    let cursor = keys.last().filter(|_| more).map(|last| BASE64_URL_SAFE_NO_PAD.encode(last));
    (keys, cursor)
}

impl Inner {
    pub(super) async fn info(&self, app: &App, id: MucId) -> Result<MucInfo> {
        let object = self.store.object(self.muc_log(app, id), &object_kind(id), &id.to_string()).await?;
        read_info(&object.ok_or(MucError::NotFound)?)
    }

    pub(super) async fn size(&self, log: LogId, id: MucId) -> Result<u64> {
        let size = self.store.relation(log, &SIZE, &id.to_string(), "").await?;
        Ok(size.and_then(|size| u64::try_from(size.rank).ok()).unwrap_or(0))
    }

    async fn role(&self, app: &App, info: &MucInfo, user: &UserName) -> Result<Role> {
        let (log, id) = (self.muc_log(app, info.id), info.id.to_string());
        let is_owner = &info.owner == user;
        if is_owner && info.id.kind() == MucKind::Room {
            return Ok(Role::Owner);
        }
        if self.store.relation(log, &MEMBER, &id, user.as_str()).await?.is_none() {
            return Ok(Role::Outsider);
        }
        if is_owner {
            return Ok(Role::Owner);
        }
        let admin = self.store.relation(log, &ADMIN, &id, user.as_str()).await?;
        Ok(if admin.is_some() { Role::Admin } else { Role::Member })
    }

    pub(super) async fn entry(
        &self,
        app: &App,
        info: MucInfo,
        user: Option<&UserName>,
    ) -> Result<GroupEntry> {
        let log = self.muc_log(app, info.id);
        let size = self.size(log, info.id).await?;
        let Some(user) = user else { return Ok(GroupEntry { info, size, role: Role::App, shielded: false }) };
        let role = self.role(app, &info, user).await?;
        let key = ConversationKey::from(info.id);
        let joined = self.store.relation(log, &JOINED, user.as_str(), key.as_str()).await?;
        let shielded = joined.is_some_and(|joined| read_stay(&joined).is_shielded());
        Ok(GroupEntry { info, size, role, shielded })
    }

    /// All relations of a kind that a group has; only for kinds of which there are few.
    pub(super) async fn all_of(&self, app: &App, id: MucId, kind: &Kind) -> Result<Vec<Relation>> {
        let log = self.muc_log(app, id);
        let mut all: Vec<Relation> = Vec::new();
        loop {
            let page = RelationPage::new(all.last().map(|relation| relation.to.clone()), PAGE);
            let found = self.store.relations(&[log], kind, &id.to_string(), page).await?;
            let end = found.len() < PAGE;
            all.extend(found.into_iter().map(|(_, relation)| relation));
            if end {
                return Ok(all);
            }
        }
    }

    /// The groups that a person is in, the newest made first.
    async fn joined_ids(&self, app: &App, user: &UserName) -> Result<Vec<MucId>> {
        let logs = self.placement.all_owned(app.tenant);
        let (mut ids, mut after) = (Vec::new(), Some("g/".to_owned()));
        loop {
            let page = RelationPage::new(after.take(), PAGE);
            let found = self.store.relations(&logs, &JOINED, user.as_str(), page).await?;
            let mut end = found.len() < PAGE;
            for (_, relation) in &found {
                if relation.to.as_str() >= BEHIND_GROUPS {
                    end = true;
                    break;
                }
                if read_stay(relation).is_in() {
                    ids.extend(ConversationKey::from_stored(&relation.to).muc());
                }
            }
            if end {
                // Decimal, so that the order of keys is not that of numbers.
                ids.sort_unstable_by_key(|id| std::cmp::Reverse(*id));
                return Ok(ids);
            }
            after = found.last().map(|(_, relation)| relation.to.clone());
        }
    }

    /// The groups that a person has.
    pub(crate) async fn owned_mucs(&self, app: &App, user: &UserName) -> Result<Vec<MucId>> {
        let mut owned = Vec::new();
        let mut ids = self.joined_ids(app, user).await?;
        ids.extend(self.room_ids(app.tenant, user).await?);
        for id in ids {
            match self.info(app, id).await {
                Ok(info) if &info.owner == user => owned.push(id),
                Ok(_) | Err(ChatError::Muc(MucError::NotFound)) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(owned)
    }

    /// Refuses somebody who is in as many groups as the app allows.
    pub(super) async fn check_joined(&self, app: &App, user: &UserName) -> Result<()> {
        let limit = app.settings.max_joined_groups;
        if limit > 0 && self.joined_ids(app, user).await?.len() >= limit {
            return Err(MucError::JoinedLimit { user: user.clone(), limit }.into());
        }
        Ok(())
    }

    async fn member(&self, relation: &Relation, info: &MucInfo, admins: &[UserName]) -> Result<Member> {
        let (_, name) = relation.to.split_once('/').unwrap_or(("", &relation.to));
        let user = UserName::parse(name)?;
        let role = match () {
            () if user == info.owner => Role::Owner,
            () if admins.contains(&user) => Role::Admin,
            () => Role::Member,
        };
        Ok(Member { user, role, joined: millis(relation.rank) })
    }
}

/// What is done to groups.
impl Chat {
    /// Does something to a group or room. Gives what became of each person where there are several.
    pub async fn manage_group(
        &self,
        app: &App,
        id: MucId,
        actor: Actor,
        action: GroupAction,
    ) -> Result<Vec<Outcome>> {
        self.inner.manage(app, id, actor, action).await
    }
}

impl Inner {
    /// See [`Chat::manage_group`].
    pub(super) async fn manage(
        &self,
        app: &App,
        id: MucId,
        actor: Actor,
        action: GroupAction,
    ) -> Result<Vec<Outcome>> {
        let inner = self;
        let newcomers = match (&action, &actor.user) {
            (GroupAction::Add { people, .. }, _) => people.clone(),
            (GroupAction::Decide { applicant, accept: true, .. }, _) => vec![applicant.clone()],
            (GroupAction::Apply { .. } | GroupAction::Answer { accept: true, .. }, Some(user)) => {
                vec![user.clone()]
            }
            _ => Vec::new(),
        };
        let (mut parties, mut over_limit) = (Vec::with_capacity(newcomers.len()), Vec::new());
        for user in &newcomers {
            match inner.party(app, user).await {
                Ok(party) => parties.push(party),
                Err(ChatError::Muc(MucError::NoUser { .. })) => continue,
                Err(other) => return Err(other),
            }
            if id.kind() == MucKind::Room {
                continue;
            }
            match inner.check_joined(app, user).await {
                Ok(()) => {}
                Err(ChatError::Muc(MucError::JoinedLimit { user, .. })) => over_limit.push(user),
                Err(other) => return Err(other),
            }
        }
        let destroys = matches!(action, GroupAction::Destroy);
        let settings = &app.settings;
        let limits = Limits {
            admins: settings.max_admins,
            size: match id.kind() {
                MucKind::Room => settings.room_size_limit,
                _ => settings.group_size_limit,
            },
            joined: settings.max_joined_groups,
        };
        let manage = Manage { id, actor, action, parties, over_limit, limits };
        let outcomes = inner.logs.execute(inner.muc_log(app, id), manage).await?;
        if destroys {
            inner.sweep(app, id).await?;
        }
        Ok(outcomes)
    }
}

/// What is read of groups.
impl Chat {
    /// A group as this person, or the app, sees it.
    pub async fn group(&self, app: &App, id: MucId, asker: Option<&UserName>) -> Result<GroupEntry> {
        let info = self.inner.info(app, id).await?;
        self.inner.entry(app, info, asker).await
    }

    /// Whether somebody is in.
    pub async fn is_in_group(&self, app: &App, id: MucId, user: &UserName) -> Result<bool> {
        let info = self.inner.info(app, id).await?;
        let (log, id) = (self.inner.muc_log(app, info.id), id.to_string());
        Ok(self.inner.store.relation(log, &MEMBER, &id, user.as_str()).await?.is_some())
    }

    /// Every group of the app, the newest first.
    pub async fn groups(&self, app: &App, cursor: Option<&str>, limit: usize) -> Result<Page<GroupEntry>> {
        let (objects, cursor) = self.muc_page(app, &GROUP, cursor, limit).await?;
        let mut items = Vec::with_capacity(objects.len());
        for object in &objects {
            items.push(self.inner.entry(app, read_info(object)?, None).await?);
        }
        Ok(Page { items, cursor })
    }

    /// The public groups with their names, the newest first.
    pub async fn public_groups(
        &self,
        app: &App,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<(MucId, String)>> {
        let (objects, cursor) = self.muc_page(app, &PUBLIC, cursor, limit).await?;
        let named = objects.iter().filter_map(|object| {
            Some((MucId::parse(&object.id)?, String::from_utf8_lossy(&object.body).into_owned()))
        });
        Ok(Page { items: named.collect(), cursor })
    }

    pub(super) async fn muc_page(
        &self,
        app: &App,
        kind: &Kind,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<meridian_types::Object>, Option<String>)> {
        let after = cursor.and_then(read_cursor).and_then(|text| {
            let (rank, id) = text.split_once('/')?;
            Some((rank.parse().ok()?, id.to_owned()))
        });
        let logs = self.inner.placement.all_owned(app.tenant);
        // One more than asked for tells whether another page follows.
        let found = self.inner.store.objects(&logs, kind, ObjectPage::new(after, limit + 1)).await?;
        let more = found.len() > limit;
        let objects: Vec<_> = found.into_iter().take(limit).map(|(_, object)| object).collect();
        let last = objects.last().filter(|_| more);
        let cursor = last.map(|last| BASE64_URL_SAFE_NO_PAD.encode(format!("{}/{}", last.rank, last.id)));
        Ok((objects, cursor))
    }

    /// How many groups a person is in.
    pub async fn joined_group_count(&self, app: &App, user: &UserName) -> Result<usize> {
        Ok(self.inner.joined_ids(app, user).await?.len())
    }

    /// The groups that a person is in, the newest made first: `limit` of them behind the first `skip`.
    pub async fn joined_groups(
        &self,
        app: &App,
        user: &UserName,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<GroupEntry>> {
        let ids = self.inner.joined_ids(app, user).await?;
        let mut items = Vec::new();
        for id in ids.into_iter().skip(skip).take(limit) {
            match self.inner.info(app, id).await {
                Ok(info) => items.push(self.inner.entry(app, info, Some(user)).await?),
                // Destroyed, and not swept yet.
                Err(ChatError::Muc(MucError::NotFound)) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(items)
    }

    /// Members in the order of coming, or the last to come first; the owner among them.
    pub async fn group_members(
        &self,
        app: &App,
        id: MucId,
        cursor: Option<&str>,
        limit: usize,
        backwards: bool,
    ) -> Result<Page<Member>> {
        let (inner, info) = (&self.inner, self.inner.info(app, id).await?);
        let admins = self.group_admins(app, id).await?;
        let page = if backwards { RelationPage::backwards } else { RelationPage::new };
        let page = page(cursor.and_then(read_cursor), limit + 1);
        let log = inner.muc_log(app, id);
        let found = inner.store.relations(&[log], &MEMBER_ORDER, &id.to_string(), page).await?;
        let more = found.len() > limit;
        let mut items = Vec::with_capacity(limit);
        for (_, relation) in found.iter().take(limit) {
            items.push(inner.member(relation, &info, &admins).await?);
        }
        let last = found.get(limit.wrapping_sub(1)).filter(|_| more);
        let cursor = last.map(|(_, relation)| BASE64_URL_SAFE_NO_PAD.encode(&relation.to));
        Ok(Page { items, cursor })
    }

    /// Members in the order of coming: `limit` of them behind the first `skip`, which are walked over.
    pub async fn group_members_behind(
        &self,
        app: &App,
        id: MucId,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<Member>> {
        let (mut skip, mut cursor) = (skip, None);
        while skip > 0 {
            let page = self.group_members(app, id, cursor.as_deref(), skip.min(PAGE), false).await?;
            skip -= page.items.len();
            cursor = page.cursor;
            if cursor.is_none() {
                return Ok(Vec::new());
            }
        }
        Ok(self.group_members(app, id, cursor.as_deref(), limit, false).await?.items)
    }

    pub async fn group_admins(&self, app: &App, id: MucId) -> Result<Vec<UserName>> {
        names(self.inner.all_of(app, id, &ADMIN).await?)
    }

    /// Those who may speak while all are muted.
    pub async fn group_allowed(&self, app: &App, id: MucId) -> Result<Vec<UserName>> {
        names(self.inner.all_of(app, id, &ALLOW).await?)
    }

    pub async fn group_blocked(&self, app: &App, id: MucId) -> Result<Vec<UserName>> {
        names(self.inner.all_of(app, id, &MUC_BLOCK).await?)
    }

    /// Those whose mute has not ended.
    pub async fn group_muted(&self, app: &App, id: MucId) -> Result<Vec<MutedMember>> {
        let now = self.inner.clock.now().0;
        let mut muted = Vec::new();
        for relation in self.inner.all_of(app, id, &MUTE).await? {
            let until = match relation.rank {
                i64::MAX => crate::Mutes::FOR_EVER,
                rank => millis(rank).0,
            };
            if until > now {
                muted.push(MutedMember { user: UserName::parse(&relation.to)?, until });
            }
        }
        Ok(muted)
    }

    /// Attributes of members, by name; somebody who has none is not listed. Without keys: all of them.
    pub async fn group_attributes(
        &self,
        app: &App,
        id: MucId,
        users: &[UserName],
        keys: &[String],
    ) -> Result<BTreeMap<UserName, BTreeMap<String, String>>> {
        self.inner.info(app, id).await?;
        let log = self.inner.muc_log(app, id);
        let mut all = BTreeMap::new();
        for user in users {
            let kind = &MUC_ATTRIBUTES;
            let Some(row) = self.inner.store.relation(log, kind, &id.to_string(), user.as_str()).await?
            else {
                continue;
            };
            let mut attributes = read_attributes(&row);
            if !keys.is_empty() {
                attributes.retain(|name, _| keys.contains(name));
            }
            all.insert(user.clone(), attributes);
        }
        Ok(all)
    }

    /// The files of a group, the newest first.
    pub async fn group_files(&self, app: &App, id: MucId) -> Result<Vec<GroupFile>> {
        self.inner.info(app, id).await?;
        let rows = self.inner.all_of(app, id, &MUC_FILE).await?;
        let mut files: Vec<_> = rows.iter().filter_map(read_file).collect();
        files.sort_by(|one, other| (other.created, &other.file).cmp(&(one.created, &one.file)));
        Ok(files)
    }

    pub async fn group_file(&self, app: &App, id: MucId, file: &str) -> Result<GroupFile> {
        self.inner.info(app, id).await?;
        let log = self.inner.muc_log(app, id);
        let row = self.inner.store.relation(log, &MUC_FILE, &id.to_string(), file).await?;
        Ok(row.as_ref().and_then(read_file).ok_or(MucError::NoFile)?)
    }
}
