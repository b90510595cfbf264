//! The one command on a group that is there: the rights are checked, then what is done has a file of its own.

use crate::{
    ChatError,
    log::{Command, Draft, NewEntry},
    muc::{Actor, Consent, GroupChanges, GroupFile, MucError, Outcome, Role, state::Muc},
    people::{Party, is_gone},
};
use async_trait::async_trait;
use bytes::Bytes;
use meridian_types::{
    Audience, EntryKind, MucId, MucKind, Notice, UserName,
    notice::{MucChange, MucNotice},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Something that is done to a group.
#[derive(Serialize, Deserialize)]
pub(crate) struct Manage {
    pub(crate) id: MucId,
    pub(crate) actor: Actor,
    pub(crate) action: GroupAction,
    /// The accounts of those whom the action may bring in, as far as they exist.
    pub(crate) parties: Vec<Party>,
    /// Those of them who are in as many groups as the app allows.
    pub(crate) over_limit: Vec<UserName>,
    pub(crate) limits: Limits,
}

/// Of the app.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) admins: usize,
    pub(crate) size: u64,
    pub(crate) joined: usize,
}

/// What can be done to a group.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum GroupAction {
    Update(GroupChanges),
    Transfer(UserName),
    Disable(bool),
    Destroy,
    Add {
        people: Vec<UserName>,
        consent: Consent,
    },
    /// The actor wants in.
    Apply {
        reason: String,
    },
    /// On somebody who wants in.
    Decide {
        applicant: UserName,
        accept: bool,
        reason: String,
    },
    /// The actor's, to an invitation.
    Answer {
        accept: bool,
        reason: String,
    },
    Leave,
    Remove(Vec<UserName>),
    Block(Vec<UserName>),
    Unblock(Vec<UserName>),
    Admin {
        user: UserName,
        on: bool,
    },
    /// Until then, in milliseconds since 1970.
    Mute {
        people: Vec<UserName>,
        until: u64,
    },
    Unmute(Vec<UserName>),
    MuteAll(bool),
    Allow {
        people: Vec<UserName>,
        on: bool,
    },
    Announce(String),
    Attributes {
        user: UserName,
        changes: BTreeMap<String, String>,
    },
    AddFile(GroupFile),
    RemoveFile(String),
    /// Whether the actor wants no messages.
    Shield(bool),
}

#[async_trait]
impl Command for Manage {
    /// What became of each, where there are several.
    type Output = Vec<Outcome>;
    type Error = ChatError;

    const NAME: &'static str = "muc.manage";

    fn is_repeatable(&self) -> bool {
        true
    }

    async fn decide(&mut self, draft: &mut Draft<'_>) -> Result<Vec<Outcome>, ChatError> {
        let muc = draft.muc(self.id).await?;
        if muc.info.disabled && !matches!(self.action, GroupAction::Destroy | GroupAction::Disable(_)) {
            return Err(MucError::Disabled.into());
        }
        match &self.action {
            GroupAction::Update(changes) => self.update(draft, &muc, changes).await?,
            GroupAction::Transfer(owner) => self.transfer(draft, &muc, owner).await?,
            GroupAction::Disable(disabled) => self.disable(draft, &muc, *disabled).await?,
            GroupAction::Destroy => self.destroy(draft, &muc).await?,
            GroupAction::Add { people, consent } => return self.add(draft, &muc, people, *consent).await,
            GroupAction::Apply { reason } => self.apply(draft, &muc, reason).await?,
            GroupAction::Decide { applicant, accept, reason } => {
                self.decide_on(draft, &muc, applicant, *accept, reason).await?;
            }
            GroupAction::Answer { accept, reason } => self.answer(draft, &muc, *accept, reason).await?,
            GroupAction::Leave => self.leave(draft, &muc).await?,
            GroupAction::Remove(people) => return self.remove(draft, &muc, people, false).await,
            GroupAction::Block(people) => return self.remove(draft, &muc, people, true).await,
            GroupAction::Unblock(people) => return self.unblock(draft, &muc, people).await,
            GroupAction::Admin { user, on } => self.set_admin(draft, &muc, user, *on).await?,
            GroupAction::Mute { people, until } => return self.mute(draft, &muc, people, *until).await,
            GroupAction::Unmute(people) => return self.unmute(draft, &muc, people).await,
            GroupAction::MuteAll(on) => self.mute_all(draft, &muc, *on).await?,
            GroupAction::Allow { people, on } => return self.allow(draft, &muc, people, *on).await,
            GroupAction::Announce(text) => self.announce(draft, &muc, text).await?,
            GroupAction::Attributes { user, changes } => self.attributes(draft, &muc, user, changes).await?,
            GroupAction::AddFile(file) => self.add_file(draft, &muc, file).await?,
            GroupAction::RemoveFile(file) => self.remove_file(draft, &muc, file).await?,
            GroupAction::Shield(on) => self.shield(draft, &muc, *on).await?,
        }
        Ok(Vec::new())
    }
}

impl Manage {
    /// Who is seen to act: what the app does is seen as the owner's doing.
    pub(super) fn sender<'a>(&'a self, muc: &'a Muc) -> &'a UserName {
        self.actor.user.as_ref().unwrap_or(&muc.info.owner)
    }

    /// The acting user; the app cannot do this for anybody.
    pub(super) fn user(&self) -> Result<&UserName, ChatError> {
        self.actor.user.as_ref().ok_or_else(|| MucError::NotPermitted { needed: Role::Member }.into())
    }

    /// Tells of a change, as an entry of the group. Those who are named and not in will find it.
    pub(super) async fn tell(
        &self,
        draft: &mut Draft<'_>,
        muc: &Muc,
        change: MucChange,
        audience: Audience,
    ) -> Result<(), ChatError> {
        tell(draft, muc, (self.sender(muc), &self.actor), change, audience).await
    }

    /// Refuses an actor who is less, and gives what the actor is.
    pub(super) async fn need(
        &self,
        draft: &mut Draft<'_>,
        muc: &Muc,
        needed: Role,
    ) -> Result<Role, ChatError> {
        draft.need(muc, &self.actor, needed).await
    }

    /// Whether somebody who is to come in has no account, or has none any more.
    pub(super) async fn is_gone(&self, draft: &Draft<'_>, user: &UserName) -> Result<bool, ChatError> {
        match self.parties.iter().find(|party| &party.name == user) {
            Some(party) => is_gone(draft, party).await,
            None => Ok(true),
        }
    }
}

/// See [`Manage::tell`].
pub(super) async fn tell(
    draft: &mut Draft<'_>,
    muc: &Muc,
    (sender, actor): (&UserName, &Actor),
    change: MucChange,
    audience: Audience,
) -> Result<(), ChatError> {
    let id = muc.info.id;
    let is_room = id.kind() == MucKind::Room;
    if let (Audience::People(people), false) = (&audience, is_room) {
        let seq = draft.next_seq(&id.into()).0;
        for person in people {
            if draft.standing(id, person).await?.since.is_none() {
                draft.change_stay(id, person, seq, |stay| stay.tell(seq)).await?;
            }
        }
    }
    let name = match &change {
        MucChange::Updated { fields } => fields.get("name").and_then(|name| name.as_str()),
        _ => None,
    };
    let name = name.unwrap_or(&muc.info.name).to_owned();
    // Whoever comes to a room and goes must not fill its history.
    let is_passing =
        is_room && matches!(change, MucChange::Created | MucChange::Joined { .. } | MucChange::Left { .. });
    let entry = NewEntry {
        conversation: id.into(),
        kind: EntryKind::Notice,
        sender: sender.clone(),
        sender_device: actor.user.as_ref().and(actor.device.clone()),
        audience,
        target: None,
        idempotency: None,
        ext: Bytes::new(),
        body: Notice::Muc(MucNotice { name, parent: muc.info.thread.map(|thread| thread.group), change })
            .encode(),
        at: None,
    };
    if is_passing {
        draft.transient(entry)
    } else {
        draft.append(entry)
    };
    Ok(())
}

pub(super) fn done(user: &UserName) -> Outcome {
    Outcome { user: user.clone(), error: None }
}

pub(super) fn failed(user: &UserName, error: MucError) -> Outcome {
    Outcome { user: user.clone(), error: Some(error) }
}
