//! An attached device: its commands.

use crate::{
    accounts::ChatKind,
    conversation::Submit,
    log::JOINED,
    model::App,
    muc::{Actor, MEMBER, read_stay},
    service::Inner,
    sessions::{
        Slot, admits,
        positions::device_key,
        unread::{Joined, conversations_of, count_after, end_of, read_batch},
    },
};
use meridian_ports::ErrorKind;
use meridian_types::{
    AppKey, ConversationKey, Entry, Events, LogId, Millis, MucId, MucKind, Position, Resource, Seq, Stay,
    UserName,
    room::{Priority, RoomError, RoomRequest, Standing},
    session::{Batch, CloseReason, LinkError, PullRequest, SendError, Sent, Submission, Unread},
};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Entries of a room behind which a device that comes late gets only those of high priority.
const ROOM_LATE: u64 = 1000;

/// A device that is logged in: who it is, its commands, and what it is told.
#[derive(Debug)]
pub struct Attached {
    pub app: AppKey,
    pub user: UserName,
    pub resource: Resource,
    pub attached_at: Millis,
    pub token_expires_at: Option<Millis>,
    /// See [`meridian_types::session::Resume`].
    pub token_epoch: u64,
    pub session: Session,
    pub events: Events,
    pub closed: oneshot::Receiver<CloseReason>,
}

/// The commands of an attached device. Dropping it detaches.
#[derive(Debug)]
pub struct Session {
    pub(super) chat: Arc<Inner>,
    pub(super) app: Arc<App>,
    pub(super) user: UserName,
    pub(super) slot: Arc<Slot>,
}

impl Session {
    /// See the link's `Session::send`.
    pub fn send(&self, submission: Submission) -> oneshot::Receiver<Result<Sent, SendError>> {
        let device = Some(self.slot.device.resource.clone());
        // Settings may have changed since the login.
        let app = self.chat.apps.get(&self.app.key).unwrap_or_else(|| self.app.clone());
        let submit = if self.slot.is_closed() {
            Err(SendError::Unavailable)
        } else if self.slot.is_muted(chat_kind(&submission), self.chat.clock.now()) {
            Err(SendError::Muted)
        } else {
            Submit::from_device(&app, &self.user, device, submission)
        };
        match submit {
            Ok(submit) => {
                let log = self.chat.placement.conversation(app.tenant, submit.conversation());
                self.chat.logs.submit(log, submit)
            }
            Err(refused) => {
                let (reply, pending) = oneshot::channel();
                // The receiver is in hand: this cannot fail.
                let _ = reply.send(Err(refused));
                pending
            }
        }
    }

    /// See the link's `Session::unread`.
    pub async fn unread(&self) -> Result<Vec<Unread>, LinkError> {
        self.read_unread().await.map_err(|error| link_error(&error))
    }

    async fn read_unread(&self) -> meridian_ports::Result<Vec<Unread>> {
        let tenant = self.app.tenant;
        self.chat.follow_rooms(tenant, &self.user).await?;
        let from = device_key(&self.user, &self.slot.device.resource);
        let positions = self.chat.positions.load(tenant, &from).await?;
        let logs = self.chat.placement.all_owned(tenant);
        let mut unread = Vec::new();
        let follow = |stays| self.chat.hub.follow(tenant, &self.user, stays);
        for joined in conversations_of(&*self.chat.store, &logs, &self.user, follow).await? {
            let position = positions.get(&joined.conversation).copied().unwrap_or_default().max(joined.from);
            if joined.head.seq.min(joined.end()) <= position.seq {
                continue;
            }
            if let Some(owed) = self.owed(&joined, position).await? {
                unread.push(owed);
            }
        }
        Ok(unread)
    }

    /// What one conversation owes the device; entries that are not for it are passed over for good.
    async fn owed(&self, joined: &Joined, position: Position) -> meridian_ports::Result<Option<Unread>> {
        let wanted = |entry: &Entry| self.receives(entry) && joined.admits(entry, &self.user);
        let (count, clear_up_to) = count_after(&*self.chat.store, joined, position, wanted).await?;
        if clear_up_to > position {
            self.acknowledge(&joined.conversation, clear_up_to);
        }
        let conversation = joined.conversation.clone();
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Ok((count > 0).then_some(Unread { conversation, position: clear_up_to, count }))
    }

    /// See the link's `Session::pull`.
    pub async fn pull(&self, request: PullRequest) -> Result<Batch, LinkError> {
        let nothing = Batch { entries: Vec::new(), position: request.after, more: false };
        let log = self.chat.placement.conversation(self.app.tenant, &request.conversation);
        if request.conversation.muc().is_some_and(|id| id.kind() == MucKind::Room) {
            return self.pull_room(log, &request).await.map_err(|error| link_error(&error));
        }
        // A conversation of others is empty for this person.
        let stay = match (request.conversation.peer(&self.user), request.conversation.muc()) {
            (Some(_), _) => None,
            (None, None) => return Ok(nothing),
            (None, Some(_)) => match self.stay(log, &request.conversation).await {
                Ok(Some(stay)) => Some(stay),
                Ok(None) => return Ok(nothing),
                Err(error) => return Err(link_error(&error)),
            },
        };
        let limits = (request.max_entries.max(1), request.max_bytes);
        let place = (log, &request.conversation);
        let wanted = |entry: &Entry| {
            self.receives(entry) && stay.as_ref().is_none_or(|stay| admits(stay, entry, &self.user))
        };
        let after = stay.as_ref().map_or(request.after.seq, |stay| Seq(stay.skip(request.after.seq.0)));
        let stretch = (after, end_of(stay.as_ref()));
        let (entries, seq, more) = read_batch(&*self.chat.store, place, stretch, limits, wanted)
            .await
            .map_err(|error| link_error(&error))?;
        Ok(Batch { entries, position: Position { seq, ..request.after }, more })
    }

    /// What a device has missed of a room since it heard of it last, as long as its person has been in. Of what lies far back
    /// only what matters.
    async fn pull_room(&self, log: LogId, request: &PullRequest) -> meridian_ports::Result<Batch> {
        let (store, key) = (&*self.chat.store, &request.conversation);
        let nothing = Batch { entries: Vec::new(), position: request.after, more: false };
        let id = key.muc().map(|id| id.to_string()).unwrap_or_default();
        let Some(member) = store.relation(log, &MEMBER, &id, self.user.as_str()).await? else {
            return Ok(nothing);
        };
        let since = Millis(member.rank.unsigned_abs());
        let head = store.conversation_heads(&[(log, key.clone())]).await?.pop();
        let head = head.map_or(0, |head| head.seq.0);
        let wanted = |entry: &Entry| {
            let is_near = head.saturating_sub(entry.seq.0) < ROOM_LATE;
            entry.at >= since && self.receives(entry) && (is_near || Priority::of(entry) == Priority::High)
        };
        let limits = (request.max_entries.max(1), request.max_bytes);
        let stretch = (request.after.seq, Seq(head));
        let (entries, seq, more) = read_batch(store, (log, key), stretch, limits, wanted).await?;
        Ok(Batch { entries, position: Position { seq, ..request.after }, more })
    }

    /// See the link's `Session::room`.
    pub async fn room(&self, request: RoomRequest) -> Result<Standing, RoomError> {
        if self.slot.is_closed() {
            return Err(RoomError::Unavailable);
        }
        let app = self.chat.apps.get(&self.app.key).unwrap_or_else(|| self.app.clone());
        let device = Some(self.slot.device.resource.clone());
        let actor = Actor { user: Some(self.user.clone()), device };
        self.chat.ask_room(&app, actor, request).await
    }

    /// See the link's `Session::acknowledge`.
    pub fn acknowledge(&self, conversation: &ConversationKey, position: Position) {
        let tenant = self.app.tenant;
        let is_own = match conversation.muc() {
            Some(_) => self.chat.hub.stay(tenant, &self.user, conversation).is_some(),
            None => conversation.peer(&self.user).is_some(),
        };
        if is_own {
            let device = &self.slot.device.resource;
            self.chat.positions.raise(self.app.tenant, &self.user, device, conversation, position);
        }
    }

    /// Takes the device off the books; the session can no longer be told anything.
    pub fn detach(&self) {
        self.chat.hub.leave(self.app.tenant, &self.user, &self.slot);
        if let Some(presence) = &self.chat.presence {
            presence.left(self.app.tenant, &self.user, &self.slot.device.resource);
        }
        self.chat.presence_feed.changed(&self.app, &self.user);
    }

    async fn stay(&self, log: LogId, group: &ConversationKey) -> meridian_ports::Result<Option<Stay>> {
        let joined = self.chat.store.relation(log, &JOINED, self.user.as_str(), group.as_str()).await?;
        Ok(joined.as_ref().map(read_stay))
    }

    fn receives(&self, entry: &Entry) -> bool {
        entry.reaches(&self.user, &self.slot.device.resource)
    }
}

fn chat_kind(submission: &Submission) -> ChatKind {
    let muc = MucId::parse(&submission.to).filter(|_| submission.to_conference);
    match muc.map(MucId::kind) {
        _ if !submission.to_conference => ChatKind::Single,
        Some(MucKind::Room) => ChatKind::Room,
        _ => ChatKind::Group,
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.detach();
    }
}

fn link_error(error: &meridian_ports::Error) -> LinkError {
    tracing::warn!(error = ?error, "read for a session failed");
    match error.kind() {
        ErrorKind::Busy => LinkError::Busy,
        _ => LinkError::Unavailable,
    }
}
