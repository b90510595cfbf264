//! Coming and going.

use crate::{
    ChatError,
    log::Draft,
    muc::{
        ADMIN, ALLOW, Actor, Consent, MEMBER, MEMBER_ORDER, MUC_APPLIED, MUC_ATTRIBUTES, MUC_BLOCK,
        MUC_INVITED, Manage, MucError, OF_ONE, Outcome, Role,
        life::end,
        manage::{done, failed, tell},
        order_key,
        room_attributes::exit_room,
        rooms::{drop_room, enter_room},
        state::{Muc, Standing},
        threads::leave_threads,
    },
};
use bytes::Bytes;
use meridian_types::{
    Audience, MucId, MucKind, Relation, UserName,
    notice::{Joining, MucChange},
};

/// Admins that are told of applications; there are never more.
const DECIDERS: usize = 1000;

/// Writes down that a person is in from the entry `seq` on.
pub(super) async fn enter(
    draft: &mut Draft<'_>,
    id: MucId,
    person: &UserName,
    seq: u64,
) -> Result<(), ChatError> {
    let now = i64::try_from(draft.now().0).unwrap_or(i64::MAX);
    let mut seq = seq;
    if id.kind() == MucKind::Room {
        // Coming and going have no place in a room.
        seq = draft.now().0;
        enter_room(draft, id, person);
    } else {
        draft.change_stay(id, person, seq, |stay| stay.enter(seq)).await?;
    }
    draft.put_muc_relation(&MEMBER, id, person.as_str(), now, seq.to_string().into());
    draft.put_muc_relation(&MEMBER_ORDER, id, &order_key(seq, person.as_str()), now, Bytes::new());
    for kind in [MUC_INVITED, MUC_APPLIED, MUC_BLOCK] {
        if draft.relation(&kind, &id.to_string(), person.as_str()).await?.is_some() {
            draft.delete_muc_relation(&kind, id, person.as_str());
        }
    }
    Ok(())
}

/// Whether somebody goes by themself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    Left,
    Removed,
}

/// Writes down that the entry `seq` is a member's last.
pub(super) async fn exit(
    draft: &mut Draft<'_>,
    id: MucId,
    person: &UserName,
    standing: Standing,
    (seq, how): (u64, Exit),
) -> Result<(), ChatError> {
    let is_room = id.kind() == MucKind::Room;
    if is_room {
        exit_room(draft, id, person).await?;
    } else {
        draft.change_stay(id, person, seq, |stay| stay.leave(seq)).await?;
    }
    draft.delete_muc_relation(&MEMBER, id, person.as_str());
    draft.delete_muc_relation(&MEMBER_ORDER, id, &order_key(standing.since.unwrap_or(0), person.as_str()));
    // A room is left with every broken connection: what somebody is there outlasts that.
    if is_room && how == Exit::Left {
        return Ok(());
    }
    draft.delete_muc_relation(&MUC_ATTRIBUTES, id, person.as_str());
    if standing.is_admin {
        draft.delete_muc_relation(&ADMIN, id, person.as_str());
    }
    if id.kind() == MucKind::Group {
        Box::pin(leave_threads(draft, id, person)).await?;
    }
    // A mute stays: nobody gets rid of it by leaving and coming again.
    if standing.is_allowed {
        draft.delete_muc_relation(&ALLOW, id, person.as_str());
    }
    Ok(())
}

impl Manage {
    /// Brings people in, or asks them.
    pub(super) async fn add(
        &self,
        draft: &mut Draft<'_>,
        muc: &Muc,
        people: &[UserName],
        consent: Consent,
    ) -> Result<Vec<Outcome>, ChatError> {
        let needed = if muc.info.allow_invites { Role::Member } else { Role::Admin };
        self.need(draft, muc, needed).await?;
        let id = muc.info.id;
        let asks = consent == Consent::AsSet && muc.info.invite_need_confirm;
        let (mut outcomes, mut wanted) = (Vec::with_capacity(people.len()), Vec::new());
        for user in people {
            let standing = draft.standing(id, user).await?;
            let room = muc.size + (wanted.len() as u64) < muc.info.max_users;
            let error = if self.is_gone(draft, user).await? {
                Some(MucError::NoUser { user: user.clone() })
            } else if standing.since.is_some() || wanted.contains(user) {
                Some(MucError::AlreadyMember { user: user.clone() })
            } else if standing.is_blocked && self.actor.user.is_some() {
                Some(MucError::Blocked { user: user.clone() })
            } else if !asks && self.over_limit.contains(user) {
                Some(MucError::JoinedLimit { user: user.clone(), limit: self.limits.joined })
            } else if !room && !asks {
                Some(MucError::Full)
            } else {
                wanted.push(user.clone());
                None
            };
            outcomes.push(Outcome { user: user.clone(), error });
        }
        if wanted.is_empty() {
            return Ok(outcomes);
        }
        if asks {
            let now = i64::try_from(draft.now().0).unwrap_or(i64::MAX);
            let inviter = self.sender(muc).to_string();
            for user in &wanted {
                draft.put_muc_relation(&MUC_INVITED, id, user.as_str(), now, inviter.clone().into());
            }
            let change = MucChange::Invited { people: wanted.clone() };
            self.tell(draft, muc, change, Audience::People(wanted)).await?;
        } else {
            self.bring_in(draft, muc, wanted, Joining::Added, "").await?;
        }
        Ok(outcomes)
    }

    /// Whoever is brought in here is not in, and there is room.
    async fn bring_in(
        &self,
        draft: &mut Draft<'_>,
        muc: &Muc,
        people: Vec<UserName>,
        how: Joining,
        words: &str,
    ) -> Result<(), ChatError> {
        let id = muc.info.id;
        let seq = draft.next_seq(&id.into()).0;
        for user in &people {
            enter(draft, id, user, seq).await?;
        }
        let size = muc.size + people.len() as u64;
        draft.put_size(id, size);
        let ext = if id.kind() == MucKind::Room { words.to_owned() } else { String::new() };
        self.tell(draft, muc, MucChange::Joined { people, how, size, ext }, Audience::Everyone).await
    }

    /// Whether there is a place for one more, and they may take it.
    fn check_room(&self, muc: &Muc, user: &UserName) -> Result<(), ChatError> {
        if self.over_limit.contains(user) {
            return Err(MucError::JoinedLimit { user: user.clone(), limit: self.limits.joined }.into());
        }
        if muc.size < muc.info.max_users { Ok(()) } else { Err(MucError::Full.into()) }
    }

    pub(super) async fn apply(
        &self,
        draft: &mut Draft<'_>,
        muc: &Muc,
        reason: &str,
    ) -> Result<(), ChatError> {
        let (id, user) = (muc.info.id, self.user()?.clone());
        if self.is_gone(draft, &user).await? {
            return Err(ChatError::UserNotFound);
        }
        let standing = draft.standing(id, &user).await?;
        if standing.since.is_some() {
            return Err(MucError::AlreadyMember { user }.into());
        }
        if standing.is_blocked {
            return Err(MucError::Blocked { user }.into());
        }
        let is_invited = draft.relation(&MUC_INVITED, &id.to_string(), user.as_str()).await?.is_some();
        if !muc.info.public && !is_invited {
            return Err(MucError::NotPublic.into());
        }
        self.check_room(muc, &user)?;
        if !muc.info.approval || is_invited {
            return self.bring_in(draft, muc, vec![user], Joining::Joined, reason).await;
        }
        let now = i64::try_from(draft.now().0).unwrap_or(i64::MAX);
        let body = Bytes::copy_from_slice(reason.as_bytes());
        draft.put_muc_relation(&MUC_APPLIED, id, user.as_str(), now, body);
        let deciders = Audience::People(deciders(draft, muc).await?);
        self.tell(draft, muc, MucChange::Applied { reason: reason.to_owned() }, deciders).await
    }

    pub(super) async fn decide_on(
        &self,
        draft: &mut Draft<'_>,
        muc: &Muc,
        user: &UserName,
        accept: bool,
        reason: &str,
    ) -> Result<(), ChatError> {
        self.need(draft, muc, Role::Admin).await?;
        let id = muc.info.id;
        if draft.relation(&MUC_APPLIED, &id.to_string(), user.as_str()).await?.is_none() {
            return Err(MucError::NoApplication.into());
        }
        if accept && !self.is_gone(draft, user).await? {
            self.check_room(muc, user)?;
            return self.bring_in(draft, muc, vec![user.clone()], Joining::Accepted, "").await;
        }
        draft.delete_muc_relation(&MUC_APPLIED, id, user.as_str());
        let change = MucChange::ApplicationDeclined { applicant: user.clone(), reason: reason.to_owned() };
        self.tell(draft, muc, change, Audience::People(vec![user.clone()])).await
    }

    pub(super) async fn answer(
        &self,
        draft: &mut Draft<'_>,
        muc: &Muc,
        accept: bool,
        reason: &str,
    ) -> Result<(), ChatError> {
        let (id, user) = (muc.info.id, self.user()?.clone());
        let invitation = draft.relation(&MUC_INVITED, &id.to_string(), user.as_str()).await?;
        let invitation = invitation.ok_or(MucError::NoInvitation)?;
        let inviter = std::str::from_utf8(&invitation.body).ok().and_then(|name| UserName::parse(name).ok());
        let inviter = Audience::People(vec![inviter.unwrap_or_else(|| muc.info.owner.clone())]);
        if !accept {
            draft.delete_muc_relation(&MUC_INVITED, id, user.as_str());
            let change = MucChange::InvitationDeclined { reason: reason.to_owned() };
            return self.tell(draft, muc, change, inviter).await;
        }
        if self.is_gone(draft, &user).await? {
            return Err(ChatError::UserNotFound);
        }
        self.check_room(muc, &user)?;
        self.tell(draft, muc, MucChange::InvitationAccepted, inviter).await?;
        self.bring_in(draft, muc, vec![user], Joining::Invited, "").await
    }

    pub(super) async fn leave(&self, draft: &mut Draft<'_>, muc: &Muc) -> Result<(), ChatError> {
        let (id, user) = (muc.info.id, self.user()?);
        let standing = draft.standing(id, user).await?;
        if standing.since.is_none() {
            return Err(MucError::NotMember { user: user.clone() }.into());
        }
        if &muc.info.owner == user && id.kind() != MucKind::Room {
            return Err(MucError::OwnerLeaves.into());
        }
        let (seq, size) = (draft.next_seq(&id.into()).0, muc.size.saturating_sub(1));
        exit(draft, id, user, standing, (seq, Exit::Left)).await?;
        draft.put_size(id, size);
        self.tell(draft, muc, MucChange::Left { size }, Audience::Everyone).await
    }

    /// Puts members out; `block` keeps them out.
    pub(super) async fn remove(
        &self,
        draft: &mut Draft<'_>,
        muc: &Muc,
        people: &[UserName],
        block: bool,
    ) -> Result<Vec<Outcome>, ChatError> {
        let role = self.need(draft, muc, Role::Admin).await?;
        let id = muc.info.id;
        let seq = draft.next_seq(&id.into()).0;
        let now = i64::try_from(draft.now().0).unwrap_or(i64::MAX);
        let (mut outcomes, mut removed) = (Vec::with_capacity(people.len()), Vec::new());
        for user in people {
            let standing = draft.standing(id, user).await?;
            match standing.role(&muc.info, user) {
                _ if removed.contains(user) => continue,
                Role::Outsider => outcomes.push(failed(user, MucError::NotMember { user: user.clone() })),
                Role::Owner => outcomes.push(failed(user, MucError::Owner)),
                Role::Admin if role < Role::Owner => {
                    outcomes.push(failed(user, MucError::NotPermitted { needed: Role::Owner }));
                }
                _ => {
                    exit(draft, id, user, standing, (seq, Exit::Removed)).await?;
                    if block {
                        draft.put_muc_relation(&MUC_BLOCK, id, user.as_str(), now, Bytes::new());
                    }
                    removed.push(user.clone());
                    outcomes.push(done(user));
                }
            }
        }
        if !removed.is_empty() {
            let size = muc.size.saturating_sub(removed.len() as u64);
            draft.put_size(id, size);
            let change = MucChange::Removed { people: removed, blocked: block, size };
            self.tell(draft, muc, change, Audience::Everyone).await?;
        }
        Ok(outcomes)
    }

    pub(super) async fn unblock(
        &self,
        draft: &mut Draft<'_>,
        muc: &Muc,
        people: &[UserName],
    ) -> Result<Vec<Outcome>, ChatError> {
        self.need(draft, muc, Role::Admin).await?;
        let id = muc.info.id;
        for user in people {
            if draft.standing(id, user).await?.is_blocked {
                draft.delete_muc_relation(&MUC_BLOCK, id, user.as_str());
                let change = MucChange::Unblocked { user: user.clone() };
                self.tell(draft, muc, change, Audience::People(vec![user.clone()])).await?;
            }
        }
        Ok(people.iter().map(done).collect())
    }
}

/// Who decides on applications.
async fn deciders(draft: &Draft<'_>, muc: &Muc) -> Result<Vec<UserName>, ChatError> {
    let admins = draft.relations(&ADMIN, &muc.info.id.to_string(), DECIDERS).await?;
    let mut deciders = vec![muc.info.owner.clone()];
    deciders.extend(admins.iter().filter_map(|admin| UserName::parse(&admin.to).ok()));
    Ok(deciders)
}

/// Takes a member of a destroyed group off the lists.
pub(super) fn drop_member(draft: &mut Draft<'_>, id: MucId, member: &Relation) {
    let since = std::str::from_utf8(&member.body).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    draft.delete_muc_relation(&MEMBER, id, &member.to);
    if let (MucKind::Room, Ok(person)) = (id.kind(), UserName::parse(&member.to)) {
        drop_room(draft, id, &person);
    }
    draft.delete_muc_relation(&MEMBER_ORDER, id, &order_key(since, &member.to));
}

/// Takes a deleted person out of a group; one of their own ends.
pub(crate) async fn forget(draft: &mut Draft<'_>, id: MucId, person: &UserName) -> Result<(), ChatError> {
    for kind in OF_ONE {
        if draft.relation(&kind, &id.to_string(), person.as_str()).await?.is_some() {
            draft.delete_muc_relation(&kind, id, person.as_str());
        }
    }
    let muc = match draft.muc(id).await {
        Ok(muc) => muc,
        Err(ChatError::Muc(MucError::NotFound)) => return Ok(()),
        Err(other) => return Err(other),
    };
    let Some(since) = draft.standing(id, person).await?.since else { return Ok(()) };
    if id.kind() == MucKind::Room {
        exit_room(draft, id, person).await?;
    }
    draft.delete_muc_relation(&MEMBER, id, person.as_str());
    draft.delete_muc_relation(&MEMBER_ORDER, id, &order_key(since, person.as_str()));
    let app = Actor { user: None, device: None };
    if &muc.info.owner == person {
        return end(draft, &muc, (person, &app)).await;
    }
    let size = muc.size.saturating_sub(1);
    draft.put_size(id, size);
    tell(draft, &muc, (person, &app), MucChange::Left { size }, Audience::Everyone).await
}
