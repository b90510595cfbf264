//! What a group is, whose it is, and its end.

use crate::{
    ChatError,
    log::{Command, Draft, JOINED},
    muc::{
        ADMIN, Actor, GroupChanges, MEMBER, Manage, MucError, MucInfo, OF_ONE, PUBLIC, Role, SIZE, THREAD,
        create::{THREADS, count, counter},
        manage::tell,
        members, object_kind,
        state::{Muc, read_stay, stay_body},
        threads,
    },
};
use async_trait::async_trait;
use bytes::Bytes;
use meridian_types::{Audience, ConversationKey, MucId, MucKind, Relation, UserName, notice::MucChange};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Members taken out by one operation.
const SWEPT: usize = 500;

/// Lists the group among the public ones, or not.
pub(super) async fn put_public(draft: &mut Draft<'_>, info: &MucInfo) -> Result<(), ChatError> {
    let id = info.id.to_string();
    let stored = draft.object(&PUBLIC, &id).await?;
    let is_listed = info.public && !info.disabled && info.id.kind() == MucKind::Group;
    match (is_listed, stored) {
        (true, stored) => {
            let rank = -i64::try_from(info.created.0).unwrap_or(i64::MAX);
            let version = stored.map_or(0, |stored| stored.version);
            draft.put_object(&PUBLIC, &id, rank, version, Bytes::copy_from_slice(info.name.as_bytes()));
        }
        (false, Some(_)) => draft.delete_object(&PUBLIC, &id),
        (false, None) => {}
    }
    Ok(())
}

impl Manage {
    pub(super) async fn update(
        &self,
        draft: &mut Draft<'_>,
        muc: &Muc,
        changes: &GroupChanges,
    ) -> Result<(), ChatError> {
        self.need(draft, muc, Role::Admin).await?;
        if let Some(max_users) = changes.max_users {
            if max_users > self.limits.size {
                return Err(MucError::SizeLimit { limit: self.limits.size }.into());
            }
            if max_users < muc.size {
                return Err(MucError::SizeBelow { size: max_users }.into());
            }
        }
        let mut info = MucInfo::clone(&muc.info);
        let fields = info.take(changes);
        if fields.is_empty() {
            return Ok(());
        }
        info.modified = draft.now();
        if changes.name.is_some() || changes.public.is_some() {
            put_public(draft, &info).await?;
        }
        let mut fields = fields;
        fields.insert("last_modified".into(), info.modified.0.into());
        draft.put_muc(muc, info)?;
        self.tell(draft, muc, MucChange::Updated { fields }, Audience::Everyone).await
    }

    pub(super) async fn transfer(
        &self,
        draft: &mut Draft<'_>,
        muc: &Muc,
        owner: &UserName,
    ) -> Result<(), ChatError> {
        self.need(draft, muc, Role::Owner).await?;
        if owner == &muc.info.owner {
            return Err(MucError::SameOwner.into());
        }
        let standing = draft.standing(muc.info.id, owner).await?;
        if standing.since.is_none() {
            return Err(MucError::NotMember { user: owner.clone() }.into());
        }
        if standing.is_admin {
            draft.delete_muc_relation(&ADMIN, muc.info.id, owner.as_str());
        }
        let info = MucInfo { owner: owner.clone(), modified: draft.now(), ..MucInfo::clone(&muc.info) };
        draft.put_muc(muc, info)?;
        self.tell(draft, muc, MucChange::OwnerChanged { owner: owner.clone() }, Audience::Everyone).await
    }

    pub(super) async fn disable(
        &self,
        draft: &mut Draft<'_>,
        muc: &Muc,
        disabled: bool,
    ) -> Result<(), ChatError> {
        self.need(draft, muc, Role::App).await?;
        if muc.info.disabled == disabled {
            return Ok(());
        }
        let info = MucInfo { disabled, modified: draft.now(), ..MucInfo::clone(&muc.info) };
        put_public(draft, &info).await?;
        draft.put_muc(muc, info)?;
        let change = if disabled { MucChange::Disabled } else { MucChange::Enabled };
        self.tell(draft, muc, change, Audience::Everyone).await
    }

    pub(super) async fn destroy(&self, draft: &mut Draft<'_>, muc: &Muc) -> Result<(), ChatError> {
        self.need(draft, muc, Role::Owner).await?;
        end(draft, muc, (self.sender(muc), &self.actor)).await
    }
}

/// From here on there is no group; what its members left is [`Sweep`]'s.
pub(super) async fn end(draft: &mut Draft<'_>, muc: &Muc, by: (&UserName, &Actor)) -> Result<(), ChatError> {
    let id = muc.info.id.to_string();
    draft.delete_object(&object_kind(muc.info.id), &id);
    if draft.object(&PUBLIC, &id).await?.is_some() {
        draft.delete_object(&PUBLIC, &id);
    }
    draft.delete_muc_relation(&SIZE, muc.info.id, "");
    count(draft, counter(muc.info.id), -1).await?;
    tell(draft, muc, by, MucChange::Destroyed, Audience::Everyone).await
}

impl MucInfo {
    /// Takes changes over, and gives those that are some, as clients name them.
    fn take(&mut self, changes: &GroupChanges) -> BTreeMap<String, Value> {
        let mut fields = BTreeMap::new();
        let mut text = |name: &str, to: &mut String, from: &Option<String>| {
            if let Some(from) = from.as_ref().filter(|from| *from != to) {
                to.clone_from(from);
                fields.insert(name.to_owned(), Value::from(from.as_str()));
            }
        };
        text("name", &mut self.name, &changes.name);
        text("description", &mut self.description, &changes.description);
        text("custom", &mut self.custom, &changes.custom);
        text("avatar", &mut self.avatar, &changes.avatar);
        let mut flag = |name: &str, to: &mut bool, from: Option<bool>| {
            if let Some(from) = from.filter(|from| from != to) {
                *to = from;
                fields.insert(name.to_owned(), Value::from(from));
            }
        };
        flag("public", &mut self.public, changes.public);
        flag("members_only", &mut self.approval, changes.approval);
        flag("allow_user_invites", &mut self.allow_invites, changes.allow_invites);
        flag("invite_need_confirm", &mut self.invite_need_confirm, changes.invite_need_confirm);
        if let Some(max_users) = changes.max_users.filter(|max_users| *max_users != self.max_users) {
            self.max_users = max_users;
            fields.insert("max_users".into(), max_users.into());
        }
        fields
    }
}

/// Takes the members of a destroyed group out of it, some at a time.
#[derive(Serialize, Deserialize)]
pub(crate) struct Sweep {
    pub(crate) id: MucId,
}

#[async_trait]
impl Command for Sweep {
    /// Whether there may be more, and threads that have ended with the group and are to be swept too.
    type Output = (bool, Vec<MucId>);
    type Error = ChatError;

    const NAME: &'static str = "muc.sweep";

    fn is_repeatable(&self) -> bool {
        true
    }

    async fn decide(&mut self, draft: &mut Draft<'_>) -> Result<(bool, Vec<MucId>), ChatError> {
        let id = self.id.to_string();
        if draft.object(&object_kind(self.id), &id).await?.is_some() {
            return Ok((false, Vec::new()));
        }
        let key = ConversationKey::from(self.id);
        let last = draft.last_seq(&key).await?.0;
        let members = draft.relations(&MEMBER, &id, SWEPT).await?;
        let mut more = members.len() >= SWEPT;
        for member in members {
            members::drop_member(draft, self.id, &member);
            if let Some(joined) = draft.relation(&JOINED, &member.to, key.as_str()).await? {
                let mut stay = read_stay(&joined);
                stay.leave(last);
                draft.put_relation(Relation { body: stay_body(&stay), ..joined });
            }
        }
        for kind in OF_ONE {
            let rows = draft.relations(&kind, &id, SWEPT).await?;
            more |= rows.len() >= SWEPT;
            rows.iter().for_each(|row| draft.delete_muc_relation(&kind, self.id, &row.to));
        }
        let (mut ended, mut threads) = (Vec::new(), 0);
        for row in draft.relations(&THREAD, &id, SWEPT).await? {
            let Some(thread) = MucId::parse(&row.to) else { continue };
            match draft.muc(thread).await {
                Ok(found) => {
                    threads::end(draft, &found)?;
                    threads -= 1;
                }
                Err(ChatError::Muc(MucError::NotFound)) => {
                    draft.delete_muc_relation(&THREAD, self.id, &row.to);
                }
                Err(other) => return Err(other),
            }
            ended.push(thread);
        }
        if threads != 0 {
            count(draft, THREADS, threads).await?;
        }
        Ok((more || ended.len() >= SWEPT, ended))
    }
}
