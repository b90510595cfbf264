//! Admins, and who may speak.

use crate::{
    ChatError,
    log::Draft,
    muc::{
        ADMIN, ALLOW, MUTE, Manage, MucError, MucInfo, Outcome, Role,
        manage::{done, failed},
        state::Muc,
    },
};
use bytes::Bytes;
use meridian_types::{
    Audience, ConversationKey, EntryKind, MucId, UserName, notice::MucChange, session::SendError,
};

/// Admins counted.
const ADMINS: usize = 10_000;

impl Manage {
    pub(super) async fn set_admin(
        &self,
        draft: &mut Draft<'_>,
        muc: &Muc,
        user: &UserName,
        on: bool,
    ) -> Result<(), ChatError> {
        self.need(draft, muc, Role::Owner).await?;
        let id = muc.info.id;
        let standing = draft.standing(id, user).await?;
        let role = standing.role(&muc.info, user);
        match (role, on) {
            // An admin of a room who is away.
            (Role::Outsider, false) if standing.is_admin => {
                draft.delete_muc_relation(&ADMIN, id, user.as_str());
            }
            (Role::Outsider, _) => return Err(MucError::NotMember { user: user.clone() }.into()),
            (Role::Owner | Role::App, _) => return Err(MucError::Owner.into()),
            (Role::Admin, true) | (Role::Member, false) => return Ok(()),
            (Role::Member, true) => {
                let admins = draft.relations(&ADMIN, &id.to_string(), ADMINS).await?;
                let limit = self.limits.admins;
                if admins.len() >= limit {
                    return Err(MucError::TooManyAdmins { limit }.into());
                }
                let now = i64::try_from(draft.now().0).unwrap_or(i64::MAX);
                draft.put_muc_relation(&ADMIN, id, user.as_str(), now, Bytes::new());
            }
            (Role::Admin, false) => draft.delete_muc_relation(&ADMIN, id, user.as_str()),
        }
        let user = user.clone();
        let change = if on { MucChange::AdminAdded { user } } else { MucChange::AdminRemoved { user } };
        self.tell(draft, muc, change, Audience::Everyone).await
    }

    pub(super) async fn mute(
        &self,
        draft: &mut Draft<'_>,
        muc: &Muc,
        people: &[UserName],
        until: u64,
    ) -> Result<Vec<Outcome>, ChatError> {
        let role = self.need(draft, muc, Role::Admin).await?;
        let id = muc.info.id;
        let mut outcomes = Vec::with_capacity(people.len());
        for user in people {
            let error = match draft.standing(id, user).await?.role(&muc.info, user) {
                Role::Outsider => Some(MucError::NotMember { user: user.clone() }),
                Role::Owner | Role::App => Some(MucError::Owner),
                Role::Admin if role < Role::Owner => Some(MucError::NotPermitted { needed: Role::Owner }),
                Role::Admin | Role::Member => None,
            };
            if let Some(error) = error {
                outcomes.push(failed(user, error));
                continue;
            }
            let rank = i64::try_from(until).unwrap_or(i64::MAX);
            draft.put_muc_relation(&MUTE, id, user.as_str(), rank, Bytes::new());
            let change = MucChange::Muted { user: user.clone(), until };
            self.tell(draft, muc, change, Audience::Everyone).await?;
            outcomes.push(done(user));
        }
        Ok(outcomes)
    }

    pub(super) async fn unmute(
        &self,
        draft: &mut Draft<'_>,
        muc: &Muc,
        people: &[UserName],
    ) -> Result<Vec<Outcome>, ChatError> {
        self.need(draft, muc, Role::Admin).await?;
        let id = muc.info.id;
        for user in people {
            if draft.standing(id, user).await?.muted_until > 0 {
                draft.delete_muc_relation(&MUTE, id, user.as_str());
                let change = MucChange::Unmuted { user: user.clone() };
                self.tell(draft, muc, change, Audience::Everyone).await?;
            }
        }
        Ok(people.iter().map(done).collect())
    }

    pub(super) async fn mute_all(&self, draft: &mut Draft<'_>, muc: &Muc, on: bool) -> Result<(), ChatError> {
        self.need(draft, muc, Role::Admin).await?;
        if muc.info.mute_all == on {
            return Ok(());
        }
        draft.put_muc(muc, MucInfo { mute_all: on, ..MucInfo::clone(&muc.info) })?;
        let change = if on { MucChange::AllMuted } else { MucChange::AllUnmuted };
        self.tell(draft, muc, change, Audience::Everyone).await
    }

    pub(super) async fn allow(
        &self,
        draft: &mut Draft<'_>,
        muc: &Muc,
        people: &[UserName],
        on: bool,
    ) -> Result<Vec<Outcome>, ChatError> {
        self.need(draft, muc, Role::Admin).await?;
        let id = muc.info.id;
        let mut outcomes = Vec::with_capacity(people.len());
        for user in people {
            let standing = draft.standing(id, user).await?;
            if on && standing.since.is_none() {
                outcomes.push(failed(user, MucError::NotMember { user: user.clone() }));
                continue;
            }
            outcomes.push(done(user));
            if standing.is_allowed == on {
                continue;
            }
            let now = i64::try_from(draft.now().0).unwrap_or(i64::MAX);
            let user = user.clone();
            let change = if on {
                draft.put_muc_relation(&ALLOW, id, user.as_str(), now, Bytes::new());
                MucChange::Allowed { user }
            } else {
                draft.delete_muc_relation(&ALLOW, id, user.as_str());
                MucChange::Disallowed { user }
            };
            self.tell(draft, muc, change, Audience::Everyone).await?;
        }
        Ok(outcomes)
    }
}

fn refused(error: ChatError) -> SendError {
    match error {
        ChatError::Muc(MucError::NotFound) => SendError::GroupNotFound,
        ChatError::Busy => SendError::Busy,
        _ => SendError::Unavailable,
    }
}

/// Whether somebody may send this there now. The app may speak for anybody.
pub(crate) async fn check_speaker(
    draft: &mut Draft<'_>,
    id: MucId,
    sender: &UserName,
    by_app: bool,
    kind: EntryKind,
) -> Result<(), SendError> {
    let muc = draft.muc(id).await.map_err(refused)?;
    if muc.info.disabled {
        return Err(SendError::GroupDisabled);
    }
    if by_app {
        return Ok(());
    }
    let standing = draft.standing(id, sender).await.map_err(refused)?;
    let mut role = standing.role(&muc.info, sender);
    if standing.since.is_none() {
        return Err(SendError::NotMember);
    }
    // In a thread the group's rules hold.
    let (mut muc, mut standing) = (muc, standing);
    if let Some(thread) = muc.info.thread {
        muc = draft.muc(thread.group).await.map_err(refused)?;
        standing = draft.standing(thread.group, sender).await.map_err(refused)?;
        role = standing.role(&muc.info, sender);
        if muc.info.disabled {
            return Err(SendError::GroupDisabled);
        }
        if role == Role::Outsider {
            return Err(SendError::NotMember);
        }
    }
    let speaks = matches!(kind, EntryKind::Message | EntryKind::Edit);
    if !speaks || role == Role::Owner {
        return Ok(());
    }
    if standing.muted_until > draft.now().0 {
        return Err(SendError::MutedHere);
    }
    let is_silenced = muc.info.mute_all && role == Role::Member && !standing.is_allowed;
    if is_silenced { Err(SendError::NotAllowed) } else { Ok(()) }
}

/// Whether somebody is on the allow list.
pub(crate) async fn is_allowed(
    draft: &mut Draft<'_>,
    id: MucId,
    sender: &UserName,
) -> Result<bool, SendError> {
    Ok(draft.standing(id, sender).await.map_err(refused)?.is_allowed)
}

/// Whether all who are named are in.
pub(crate) async fn check_named(
    draft: &mut Draft<'_>,
    id: MucId,
    sender: &UserName,
    people: &[UserName],
) -> Result<(), SendError> {
    for person in people.iter().filter(|person| *person != sender) {
        if draft.standing(id, person).await.map_err(refused)?.since.is_none() {
            return Err(SendError::NotMember);
        }
    }
    Ok(())
}

/// Whether somebody may withdraw what others have said.
pub(crate) async fn may_recall_others(
    draft: &mut Draft<'_>,
    conversation: &ConversationKey,
    by: &UserName,
) -> Result<bool, SendError> {
    let Some(id) = conversation.muc() else { return Ok(false) };
    let muc = draft.muc(id).await.map_err(refused)?;
    let standing = draft.standing(id, by).await.map_err(refused)?;
    Ok(standing.role(&muc.info, by) >= Role::Admin)
}
