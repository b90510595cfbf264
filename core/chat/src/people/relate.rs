//! What one person does to another: the one command on a pair, in the pair's log, so that it has its place among their messages.

use crate::{
    ChatError,
    log::{Command, Draft, NewEntry},
    people::{BLOCK, CONTACT, FOLLOWED, FOLLOWS, INVITED, INVITES, gone},
};
use async_trait::async_trait;
use bytes::Bytes;
use meridian_types::{
    Audience, ConversationKey, Effect, EntryKind, Kind, Notice, Relation, Resource, UserName,
    notice::ContactChange,
};
use serde::{Deserialize, Serialize};

/// A person as an account that existed when the command was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Party {
    pub(crate) name: UserName,
    pub(crate) uuid: String,
}

/// Something that one person does to another.
#[derive(Serialize, Deserialize)]
pub(crate) struct Relate {
    pub(crate) actor: Party,
    /// Which of the actor's devices; the others are told.
    pub(crate) device: Option<Resource>,
    pub(crate) peer: Party,
    pub(crate) action: Action,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Action {
    Invite {
        reason: String,
    },
    Accept,
    Decline,
    /// Ends the contact, and withdraws an invitation.
    Remove,
    /// By the app, without an invitation.
    Add {
        told: bool,
    },
    Remark(String),
    Block,
    Unblock,
    /// Until then, in seconds since 1970.
    Follow(u64),
    Unfollow,
}

impl Relate {
    pub(crate) fn conversation(&self) -> ConversationKey {
        ConversationKey::pair(&self.actor.name, &self.peer.name)
    }

    async fn has(&self, draft: &Draft<'_>, kind: &Kind, from: &Party, to: &Party) -> Result<bool, ChatError> {
        Ok(draft.relation(kind, from.name.as_str(), to.name.as_str()).await?.is_some())
    }

    /// Tells the two, or one of them.
    async fn tell(
        &self,
        draft: &mut Draft<'_>,
        change: ContactChange,
        reason: &str,
        (audience, device): (Audience, Option<Resource>),
    ) -> Result<(), ChatError> {
        let conversation = self.conversation();
        draft.load(&conversation).await?;
        if audience != Audience::Others {
            draft.join(&conversation, &self.actor.name).await?;
        }
        if audience != Audience::Own {
            draft.join(&conversation, &self.peer.name).await?;
        }
        let notice = Notice::Contact { change, reason: reason.to_owned() };
        draft.append(NewEntry {
            conversation,
            kind: EntryKind::Notice,
            sender: self.actor.name.clone(),
            sender_device: device,
            audience,
            target: None,
            idempotency: None,
            ext: Bytes::new(),
            body: notice.encode(),
            at: None,
        });
        Ok(())
    }

    async fn invite(&self, draft: &mut Draft<'_>, reason: &str) -> Result<bool, ChatError> {
        if self.has(draft, &CONTACT, &self.actor, &self.peer).await? {
            return Ok(false);
        }
        if self.has(draft, &BLOCK, &self.peer, &self.actor).await? {
            return Err(ChatError::Blocked);
        }
        if self.has(draft, &INVITED, &self.actor, &self.peer).await? {
            // Both want it: nobody needs to answer.
            return self.accept(draft).await;
        }
        let at = rank(draft.now().0);
        put(draft, &INVITED, &self.peer, &self.actor, at, reason);
        put(draft, &INVITES, &self.actor, &self.peer, at, "");
        self.tell(draft, ContactChange::Invited, reason, (Audience::Others, None)).await?;
        Ok(true)
    }

    async fn accept(&self, draft: &mut Draft<'_>) -> Result<bool, ChatError> {
        if self.has(draft, &CONTACT, &self.actor, &self.peer).await? {
            return Ok(false);
        }
        if !self.has(draft, &INVITED, &self.actor, &self.peer).await? {
            return Err(ChatError::NoInvitation);
        }
        self.befriend(draft);
        self.tell(draft, ContactChange::Accepted, "", (Audience::Everyone, None)).await?;
        Ok(true)
    }

    fn befriend(&self, draft: &mut Draft<'_>) {
        let at = rank(draft.now().0);
        put(draft, &CONTACT, &self.actor, &self.peer, at, "");
        put(draft, &CONTACT, &self.peer, &self.actor, at, "");
        self.end_invitations(draft);
    }

    fn end_invitations(&self, draft: &mut Draft<'_>) {
        for (one, other) in [(&self.actor, &self.peer), (&self.peer, &self.actor)] {
            delete(draft, &INVITED, one, other);
            delete(draft, &INVITES, one, other);
        }
    }

    async fn decline(&self, draft: &mut Draft<'_>) -> Result<bool, ChatError> {
        if !self.has(draft, &INVITED, &self.actor, &self.peer).await? {
            return Ok(false);
        }
        delete(draft, &INVITED, &self.actor, &self.peer);
        delete(draft, &INVITES, &self.peer, &self.actor);
        self.tell(draft, ContactChange::Declined, "", (Audience::Others, None)).await?;
        Ok(true)
    }

    async fn remove(&self, draft: &mut Draft<'_>) -> Result<bool, ChatError> {
        if self.has(draft, &INVITES, &self.actor, &self.peer).await? {
            delete(draft, &INVITED, &self.peer, &self.actor);
            delete(draft, &INVITES, &self.actor, &self.peer);
        }
        if !self.has(draft, &CONTACT, &self.actor, &self.peer).await? {
            return Ok(false);
        }
        delete(draft, &CONTACT, &self.actor, &self.peer);
        delete(draft, &CONTACT, &self.peer, &self.actor);
        self.tell(draft, ContactChange::Removed, "", (Audience::Everyone, self.device.clone())).await?;
        Ok(true)
    }

    async fn add(&self, draft: &mut Draft<'_>, told: bool) -> Result<bool, ChatError> {
        if self.has(draft, &CONTACT, &self.actor, &self.peer).await? {
            return Ok(false);
        }
        self.befriend(draft);
        if told {
            self.tell(draft, ContactChange::Added, "", (Audience::Everyone, None)).await?;
        }
        Ok(true)
    }

    async fn remark(&self, draft: &mut Draft<'_>, remark: &str) -> Result<bool, ChatError> {
        let (from, to) = (self.actor.name.as_str(), self.peer.name.as_str());
        let contact = draft.relation(&CONTACT, from, to).await?.ok_or(ChatError::NotContacts)?;
        let body = Bytes::copy_from_slice(remark.as_bytes());
        draft.put_relation(Relation { body, ..contact });
        Ok(true)
    }

    async fn block(&self, draft: &mut Draft<'_>) -> Result<bool, ChatError> {
        if self.has(draft, &BLOCK, &self.actor, &self.peer).await? {
            return Ok(false);
        }
        put(draft, &BLOCK, &self.actor, &self.peer, rank(draft.now().0), "");
        self.tell(draft, ContactChange::Blocked, "", (Audience::Own, self.device.clone())).await?;
        Ok(true)
    }

    async fn unblock(&self, draft: &mut Draft<'_>) -> Result<bool, ChatError> {
        if !self.has(draft, &BLOCK, &self.actor, &self.peer).await? {
            return Ok(false);
        }
        delete(draft, &BLOCK, &self.actor, &self.peer);
        self.tell(draft, ContactChange::Unblocked, "", (Audience::Own, self.device.clone())).await?;
        Ok(true)
    }
}

#[async_trait]
impl Command for Relate {
    /// Whether anything changed.
    type Output = bool;
    type Error = ChatError;

    const NAME: &'static str = "relate";

    fn is_repeatable(&self) -> bool {
        true
    }

    async fn decide(&mut self, draft: &mut Draft<'_>) -> Result<bool, ChatError> {
        for party in [&self.actor, &self.peer] {
            if gone::is_gone(draft, party).await? {
                return Err(ChatError::UserNotFound);
            }
        }
        match &self.action {
            Action::Invite { reason } => self.invite(draft, reason).await,
            Action::Accept => self.accept(draft).await,
            Action::Decline => self.decline(draft).await,
            Action::Remove => self.remove(draft).await,
            Action::Add { told } => self.add(draft, *told).await,
            Action::Remark(remark) => self.remark(draft, remark).await,
            Action::Block => self.block(draft).await,
            Action::Unblock => self.unblock(draft).await,
            Action::Follow(until) => {
                put(draft, &FOLLOWS, &self.actor, &self.peer, rank(*until), "");
                put(draft, &FOLLOWED, &self.peer, &self.actor, rank(*until), "");
                Ok(true)
            }
            Action::Unfollow => {
                delete(draft, &FOLLOWS, &self.actor, &self.peer);
                delete(draft, &FOLLOWED, &self.peer, &self.actor);
                Ok(true)
            }
        }
    }
}

fn rank(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn put(draft: &mut Draft<'_>, kind: &Kind, from: &Party, to: &Party, rank: i64, body: &str) {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let (from, to) = (from.name.to_string(), to.name.to_string());
    draft.put_relation(Relation { kind: kind.clone(), from, to, rank, body });
}

fn delete(draft: &mut Draft<'_>, kind: &Kind, from: &Party, to: &Party) {
    let (from, to) = (from.name.to_string(), to.name.to_string());
    draft.push(Effect::DeleteRelation { kind: kind.clone(), from, to });
}
