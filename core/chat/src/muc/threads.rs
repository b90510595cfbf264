//! Threads: side conversations of a group, each about one message. A thread lives in its group's log, so that leaving the
//! group and writing in the thread have one order.

use crate::{
    ChatError,
    log::{Command, Draft, JOINED, NewEntry},
    muc::{
        Actor, MucError, MucInfo, Outcome, Role, SIZE, THREAD, THREAD_MESSAGES, THREAD_ON, THREADS,
        create::{self, count, free_id},
        manage::{done, failed, tell},
        members::{Exit, enter, exit},
        model::ThreadOf,
        object_kind,
        state::Muc,
    },
};
use async_trait::async_trait;
use bytes::Bytes;
use meridian_types::{
    Audience, ConversationKey, Entry, EntryKind, MessageId, MucId, MucKind, Notice, UserName,
    notice::{Joining, LastMessage, MucChange, ThreadChange, ThreadNotice},
};
use serde::{Deserialize, Serialize};

/// Threads of a person that are left with the group in one operation.
const LEFT: usize = 1000;

/// Begins a thread about a message.
#[derive(Serialize, Deserialize)]
pub(crate) struct CreateThread {
    pub(crate) group: MucId,
    pub(crate) message: MessageId,
    pub(crate) name: String,
    pub(crate) owner: UserName,
    pub(crate) actor: Actor,
    pub(crate) max_users: u64,
}

#[async_trait]
impl Command for CreateThread {
    type Output = MucId;
    type Error = ChatError;

    const NAME: &'static str = "thread.create";

    fn is_repeatable(&self) -> bool {
        false
    }

    async fn decide(&mut self, draft: &mut Draft<'_>) -> Result<MucId, ChatError> {
        let group = draft.muc(self.group).await?;
        if group.info.disabled {
            return Err(MucError::Disabled.into());
        }
        if draft.standing(self.group, &self.owner).await?.since.is_none() {
            return Err(MucError::NotMember { user: self.owner.clone() }.into());
        }
        let on = format!("{}/{}", self.group, self.message);
        if !draft.relations(&THREAD_ON, &on, 1).await?.is_empty() {
            return Err(MucError::ThreadExists.into());
        }
        let message = draft.find(&self.group.into(), self.message).await?;
        let is_there = message.is_some_and(|entry| entry.kind == EntryKind::Message && entry.body.is_some());
        if !is_there {
            return Err(MucError::NoMessage.into());
        }
        let id = free_id(draft, MucKind::Thread).await?;
        let (key, now) = (ConversationKey::from(id), draft.now());
        draft.load(&key).await?;
        let info = MucInfo {
            id,
            name: self.name.clone(),
            description: String::new(),
            owner: self.owner.clone(),
            public: true,
            approval: false,
            allow_invites: false,
            invite_need_confirm: false,
            max_users: self.max_users,
            custom: String::new(),
            avatar: String::new(),
            created: now,
            modified: now,
            mute_all: false,
            disabled: false,
            announcement: String::new(),
            thread: Some(ThreadOf { group: self.group, message: self.message }),
        };
        let thread = Muc::new(info.clone());
        draft.put_muc(&thread, info)?;
        let rank = i64::try_from(now.0).unwrap_or(i64::MAX);
        draft.put_muc_relation(&THREAD, self.group, &id.to_string(), rank, Bytes::new());
        put(draft, &THREAD_ON, &on, id, rank);
        put(draft, &THREADS, "", id, rank);
        count(draft, create::THREADS, 1).await?;
        enter(draft, id, &self.owner, 1).await?;
        draft.put_size(id, 1);
        let by = (&self.owner, &self.actor);
        tell(draft, &thread, by, MucChange::Created, Audience::Own).await?;
        tell_group(draft, &thread, by, ThreadChange::Created)?;
        Ok(id)
    }
}

fn put(draft: &mut Draft<'_>, kind: &meridian_types::Kind, from: &str, id: MucId, rank: i64) {
    let (from, to) = (from.to_owned(), id.to_string());
    draft.put_relation(meridian_types::Relation { kind: kind.clone(), from, to, rank, body: Bytes::new() });
}

fn drop_from(draft: &mut Draft<'_>, kind: &meridian_types::Kind, from: &str, id: MucId) {
    let (from, to) = (from.to_owned(), id.to_string());
    draft.push(meridian_types::Effect::DeleteRelation { kind: kind.clone(), from, to });
}

/// Where a thread hangs; a group hangs nowhere.
fn place(thread: &Muc) -> Result<ThreadOf, ChatError> {
    thread.info.thread.ok_or_else(|| MucError::NotFound.into())
}

/// Tells the whole group of a thread.
fn tell_group(
    draft: &mut Draft<'_>,
    thread: &Muc,
    (sender, actor): (&UserName, &Actor),
    change: ThreadChange,
) -> Result<(), ChatError> {
    let ThreadOf { group, message } = place(thread)?;
    let notice = ThreadNotice { id: thread.info.id, name: thread.info.name.clone(), message, change };
    draft.append(NewEntry {
        conversation: group.into(),
        kind: EntryKind::Notice,
        sender: sender.clone(),
        sender_device: actor.user.as_ref().and(actor.device.clone()),
        audience: Audience::Everyone,
        target: None,
        idempotency: None,
        ext: Bytes::new(),
        body: Notice::Thread(notice).encode(),
        at: None,
    });
    Ok(())
}

/// Something that is done to a thread that is there.
#[derive(Serialize, Deserialize)]
pub(crate) struct ManageThread {
    pub(crate) id: MucId,
    pub(crate) actor: Actor,
    pub(crate) action: ThreadAction,
}

/// What can be done to a thread.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ThreadAction {
    Rename(String),
    Destroy,
    /// Members of the group come in: the actor, or by the app others.
    Join(Vec<UserName>),
    Leave,
    Remove(Vec<UserName>),
}

#[async_trait]
impl Command for ManageThread {
    type Output = Vec<Outcome>;
    type Error = ChatError;

    const NAME: &'static str = "thread.manage";

    fn is_repeatable(&self) -> bool {
        true
    }

    async fn decide(&mut self, draft: &mut Draft<'_>) -> Result<Vec<Outcome>, ChatError> {
        let mut thread = draft.muc(self.id).await?;
        let group = draft.muc(place(&thread)?.group).await?;
        if group.info.disabled {
            return Err(MucError::Disabled.into());
        }
        let own = self.actor.user.as_ref() == Some(&thread.info.owner);
        let role = draft.role_of(&group, &self.actor).await?;
        if let (Some(user), Role::Outsider) = (&self.actor.user, role) {
            return Err(MucError::NotMember { user: user.clone() }.into());
        }
        let sender = self.actor.user.clone().unwrap_or_else(|| thread.info.owner.clone());
        let by = (&sender, &self.actor);
        match &self.action {
            ThreadAction::Rename(_) | ThreadAction::Destroy | ThreadAction::Remove(_)
                if !own && role < Role::Admin =>
            {
                Err(MucError::NotPermitted { needed: Role::Admin }.into())
            }
            ThreadAction::Rename(name) => {
                let info =
                    MucInfo { name: name.clone(), modified: draft.now(), ..MucInfo::clone(&thread.info) };
                draft.put_muc(&thread, info.clone())?;
                thread.info = info.into();
                tell_group(draft, &thread, by, ThreadChange::Renamed)?;
                Ok(Vec::new())
            }
            ThreadAction::Destroy => {
                end(draft, &thread)?;
                count(draft, create::THREADS, -1).await?;
                tell_group(draft, &thread, by, ThreadChange::Destroyed)?;
                Ok(Vec::new())
            }
            ThreadAction::Join(people) => self.join(draft, &thread, &group, people, by).await,
            ThreadAction::Leave => {
                let standing = draft.standing(self.id, &sender).await?;
                if standing.since.is_none() {
                    return Err(MucError::NotMember { user: sender.clone() }.into());
                }
                leave(draft, &thread, &sender, &self.actor).await?;
                Ok(Vec::new())
            }
            ThreadAction::Remove(people) => self.remove(draft, &thread, people, by).await,
        }
    }
}

impl ManageThread {
    async fn join(
        &self,
        draft: &mut Draft<'_>,
        thread: &Muc,
        group: &Muc,
        people: &[UserName],
        by: (&UserName, &Actor),
    ) -> Result<Vec<Outcome>, ChatError> {
        let (mut outcomes, mut joined) = (Vec::with_capacity(people.len()), Vec::new());
        for user in people {
            if draft.standing(group.info.id, user).await?.since.is_none() {
                outcomes.push(failed(user, MucError::NotMember { user: user.clone() }));
            } else if draft.standing(self.id, user).await?.since.is_some() || joined.contains(user) {
                outcomes.push(failed(user, MucError::AlreadyMember { user: user.clone() }));
            } else if thread.size + joined.len() as u64 >= thread.info.max_users {
                outcomes.push(failed(user, MucError::Full));
            } else {
                joined.push(user.clone());
                outcomes.push(done(user));
            }
        }
        if !joined.is_empty() {
            let seq = draft.next_seq(&self.id.into()).0;
            for user in &joined {
                enter(draft, self.id, user, seq).await?;
            }
            let size = thread.size + joined.len() as u64;
            draft.put_size(self.id, size);
            let change = MucChange::Joined { people: joined, how: Joining::Joined, size, ext: String::new() };
            tell(draft, thread, by, change, Audience::Everyone).await?;
        }
        Ok(outcomes)
    }

    async fn remove(
        &self,
        draft: &mut Draft<'_>,
        thread: &Muc,
        people: &[UserName],
        by: (&UserName, &Actor),
    ) -> Result<Vec<Outcome>, ChatError> {
        let seq = draft.next_seq(&self.id.into()).0;
        let (mut outcomes, mut removed) = (Vec::with_capacity(people.len()), Vec::new());
        for user in people {
            let standing = draft.standing(self.id, user).await?;
            if standing.since.is_none() || removed.contains(user) {
                outcomes.push(failed(user, MucError::NotMember { user: user.clone() }));
                continue;
            }
            exit(draft, self.id, user, standing, (seq, Exit::Removed)).await?;
            removed.push(user.clone());
            outcomes.push(done(user));
        }
        if !removed.is_empty() {
            let size = thread.size.saturating_sub(removed.len() as u64);
            draft.put_size(self.id, size);
            let change = MucChange::Removed { people: removed, blocked: false, size };
            tell(draft, thread, by, change, Audience::Everyone).await?;
        }
        Ok(outcomes)
    }
}

async fn leave(draft: &mut Draft<'_>, thread: &Muc, user: &UserName, actor: &Actor) -> Result<(), ChatError> {
    let id = thread.info.id;
    let standing = draft.standing(id, user).await?;
    let (seq, size) = (draft.next_seq(&id.into()).0, thread.size.saturating_sub(1));
    exit(draft, id, user, standing, (seq, Exit::Left)).await?;
    draft.put_size(id, size);
    tell(draft, thread, (user, actor), MucChange::Left { size }, Audience::Everyone).await
}

/// From here on there is no thread; what its members left is swept.
pub(super) fn end(draft: &mut Draft<'_>, thread: &Muc) -> Result<(), ChatError> {
    let (id, ThreadOf { group, message }) = (thread.info.id, place(thread)?);
    draft.delete_object(&object_kind(id), &id.to_string());
    draft.delete_muc_relation(&SIZE, id, "");
    draft.delete_muc_relation(&THREAD_MESSAGES, id, "");
    draft.delete_muc_relation(&THREAD, group, &id.to_string());
    drop_from(draft, &THREAD_ON, &format!("{group}/{message}"), id);
    drop_from(draft, &THREADS, "", id);
    Ok(())
}

/// Who leaves a group leaves its threads.
pub(super) async fn leave_threads(
    draft: &mut Draft<'_>,
    group: MucId,
    user: &UserName,
) -> Result<(), ChatError> {
    // Keys of threads begin with `t/`.
    let joined = draft.relations_after(&JOINED, user.as_str(), Some("t/"), LEFT).await?;
    for row in joined {
        let Some(id) = ConversationKey::from_stored(&row.to).muc() else { continue };
        if id.kind() != MucKind::Thread || draft.standing(id, user).await?.since.is_none() {
            continue;
        }
        let thread = match draft.muc(id).await {
            Ok(thread) => thread,
            Err(ChatError::Muc(MucError::NotFound)) => continue,
            Err(other) => return Err(other),
        };
        if place(&thread)?.group == group {
            leave(draft, &thread, user, &Actor { user: None, device: None }).await?;
        }
    }
    Ok(())
}

/// What is said in a thread is told to the group's connected devices, with how much there is.
pub(crate) async fn tell_said(draft: &mut Draft<'_>, entry: &Entry) -> meridian_ports::Result<()> {
    let Some(id) = entry.conversation.muc().filter(|id| id.kind() == MucKind::Thread) else { return Ok(()) };
    let (Ok(thread), Some(body)) = (draft.muc(id).await, &entry.body) else { return Ok(()) };
    let Some(ThreadOf { group, message }) = thread.info.thread else { return Ok(()) };
    let counted = draft.relation(&THREAD_MESSAGES, &id.to_string(), "").await?;
    let count = counted.map_or(0, |counted| counted.rank) + 1;
    draft.put_muc_relation(&THREAD_MESSAGES, id, "", count, Bytes::new());
    draft.load(&group.into()).await?;
    let last =
        LastMessage { id: entry.message_id, at: entry.at, from: entry.sender.clone(), body: body.to_vec() };
    let change = ThreadChange::Said { count: u64::try_from(count).unwrap_or(0), last };
    let notice = ThreadNotice { id, name: thread.info.name.clone(), message, change };
    draft.transient(NewEntry {
        conversation: group.into(),
        kind: EntryKind::Notice,
        sender: entry.sender.clone(),
        sender_device: entry.sender_device.clone(),
        audience: Audience::Everyone,
        target: None,
        idempotency: None,
        ext: Bytes::new(),
        body: Notice::Thread(notice).encode(),
        at: None,
    });
    Ok(())
}
