//! The receiving half: lists, pulls, pushes and wake-ups.

use super::{End, Session, now};
use crate::protocols::msync::{
    frame,
    items::{Cursor, QueueName, Reader, conversation_of, delivery, queue_name},
    queues::{Answer, Live},
};
use futures_util::future::BoxFuture;
use meridian_link::{Batch, LinkError, PullRequest, SessionEvent, Unread};
use meridian_types::{
    ConversationKey, Entry, Position,
    msync::{Jid, MetaQueue},
};
use std::{collections::VecDeque, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout},
};

/// Conversations in one answer to UNREAD; the client pulls all of them at once. The others are noticed one by one.
const LISTED: usize = 500;

/// What fits one packet, for a slow line: a frame counts only when all of it has come, and what has not must be sent again on
/// the next connection.
const SMALL_ENTRIES: usize = 8;
const SMALL_BYTES: usize = 1024;
/// Conversations that are sent unasked at once.
const PUSHED: usize = 8;

/// What the core is asked for.
#[derive(Debug)]
pub(super) enum Wish {
    /// The client's UNREAD waits for the list.
    Unread,
    /// The list is needed after a gap; nobody waits.
    Resync,
    Pull(ConversationKey),
    /// The client was told of it, and does not pull.
    Offer(ConversationKey),
    /// Something was missed of rooms.
    Rooms,
}

/// What the core has answered.
pub(super) enum Granted {
    Unread { asked: bool, list: Result<Vec<Unread>, LinkError> },
    Pulled { conversation: ConversationKey, asked: bool, after: Position, batch: Result<Batch, LinkError> },
    Room { room: ConversationKey, batch: Result<Batch, LinkError> },
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Session<S> {
    pub(super) async fn unread(&mut self) -> Result<(), End> {
        self.has_asked = true;
        if !self.synced {
            // A list under way will do for this UNREAD too, but each is answered.
            self.wishes.push_back(Wish::Unread);
            return self.ask_next().await;
        }
        self.answer_heartbeat().await
    }

    /// From local state alone: lists what was not sent on this connection.
    async fn answer_heartbeat(&mut self) -> Result<(), End> {
        let owed = self.queues.list_owed();
        self.answer_unread(owed.iter().map(|conversation| (conversation, 1))).await
    }

    async fn answer_unread<'a>(
        &mut self,
        listed: impl Iterator<Item = (&'a ConversationKey, u32)>,
    ) -> Result<(), End> {
        let queues = listed.filter_map(|(conversation, count)| {
            let queue = queue_name(&self.me, conversation)?;
            Some(MetaQueue { queue: Some(self.jid(&queue)), n: Some(count) })
        });
        let answer = frame::unread(queues.collect(), now().0);
        self.feed("unread", answer).await
    }

    pub(super) async fn pull(&mut self, queue: Jid, key: Option<u64>) -> Result<(), End> {
        let conversation = conversation_of(&self.me, &queue);
        let Some(conversation) = conversation.filter(|conversation| self.queues.knows(conversation)) else {
            // Nothing is known of it, so it is caught up, or never was a queue of this person.
            return self.feed("drained", frame::drained(queue)).await;
        };
        if let Some(position) = key.and_then(|key| self.queues.acknowledged(&conversation, key)) {
            self.link.acknowledge(&conversation, position);
        }
        self.queues.asked(&conversation);
        self.wishes.push_back(Wish::Pull(conversation));
        self.ask_next().await
    }

    /// Takes up wishes in order until one needs the core.
    pub(super) async fn ask_next(&mut self) -> Result<(), End> {
        while self.under_way.is_none() {
            let Some(wish) = self.wishes.pop_front() else {
                if self.wishes.capacity() > 8 {
                    self.wishes = VecDeque::new();
                }
                break;
            };
            match wish {
                Wish::Unread if self.synced => self.answer_heartbeat().await?,
                Wish::Unread => self.under_way = Some(self.list(true)),
                Wish::Resync if self.synced => {}
                Wish::Resync => self.under_way = Some(self.list(false)),
                Wish::Pull(conversation) => match self.queues.answer(&conversation) {
                    Answer::Drained => self.answer_drained(&conversation).await?,
                    Answer::After(after) => self.under_way = Some(self.ask(conversation, true, after)),
                },
                Wish::Rooms => {
                    if let Some((room, after)) = self.rooms.behind() {
                        self.under_way = Some(self.ask_room(room, after));
                    }
                }
                Wish::Offer(conversation) => {
                    if let Some(after) = self.queues.offer(&conversation) {
                        self.under_way = Some(self.ask(conversation, false, after));
                    }
                }
            }
        }
        Ok(())
    }

    fn list(&self, asked: bool) -> BoxFuture<'static, Granted> {
        let (link, limit) = (self.link.clone(), self.config.pull_timeout);
        Box::pin(async move {
            let list = timeout(limit, link.unread()).await.unwrap_or(Err(LinkError::Busy));
            Granted::Unread { asked, list }
        })
    }

    fn ask(
        &self,
        conversation: ConversationKey,
        asked: bool,
        after: Position,
    ) -> BoxFuture<'static, Granted> {
        let (link, limit) = (self.link.clone(), self.config.pull_timeout);
        let (entries, bytes) = (self.config.batch_entries, self.config.batch_bytes);
        let slow = !asked || self.pulse.is_slow(Instant::now());
        let request = PullRequest {
            conversation: conversation.clone(),
            after,
            max_entries: if slow { entries.min(SMALL_ENTRIES) } else { entries },
            max_bytes: if slow { bytes.min(SMALL_BYTES) } else { bytes },
        };
        Box::pin(async move {
            let batch = timeout(limit, link.pull(request)).await.unwrap_or(Err(LinkError::Busy));
            Granted::Pulled { conversation, asked, after, batch }
        })
    }

    fn ask_room(&self, room: ConversationKey, after: Position) -> BoxFuture<'static, Granted> {
        let (link, limit) = (self.link.clone(), self.config.pull_timeout);
        let request = PullRequest {
            conversation: room.clone(),
            after,
            max_entries: self.config.batch_entries,
            max_bytes: self.config.batch_bytes,
        };
        Box::pin(async move {
            let batch = timeout(limit, link.pull(request)).await.unwrap_or(Err(LinkError::Busy));
            Granted::Room { room, batch }
        })
    }

    pub(super) async fn granted(&mut self, granted: Granted) -> Result<(), End> {
        match granted {
            Granted::Unread { asked, list: Ok(list) } => self.listed(asked, list).await,
            Granted::Unread { asked, list: Err(error) } => {
                tracing::warn!(%error, "cannot list what is owed");
                self.retry_later();
                // An UNREAD is always answered; the notices come when the list does.
                if asked { self.answer_unread(std::iter::empty()).await } else { Ok(()) }
            }
            Granted::Room { room, batch } => {
                if batch.is_ok() {
                    self.wishes.push_back(Wish::Rooms);
                }
                self.read_room(&room, batch).await
            }
            Granted::Pulled { conversation, asked, after, batch: Ok(batch) } => {
                self.pulled(conversation, asked, after, batch).await
            }
            Granted::Pulled { conversation, asked, batch: Err(error), .. } => {
                tracing::warn!(%error, "cannot pull");
                self.queues.pull_failed(&conversation);
                self.retry_later();
                if asked { self.answer_drained(&conversation).await } else { Ok(()) }
            }
        }
    }

    async fn listed(&mut self, asked: bool, mut list: Vec<Unread>) -> Result<(), End> {
        self.synced = true;
        list.retain(|unread| queue_name(&self.me, &unread.conversation).is_some());
        let (told, rest) = if asked { list.split_at(list.len().min(LISTED)) } else { list.split_at(0) };
        told.iter().for_each(|unread| self.queues.owe(unread, true));
        rest.iter().for_each(|unread| self.queues.owe(unread, false));
        if asked {
            self.answer_unread(told.iter().map(|unread| (&unread.conversation, unread.count))).await?;
        }
        if !told.is_empty() {
            self.push_later();
        }
        if !self.has_asked {
            return self.push_unasked().await;
        }
        for unread in rest {
            self.wake(&unread.conversation).await?;
        }
        Ok(())
    }

    fn push_later(&mut self) {
        let at = Instant::now() + self.config.push_after;
        self.push_at.get_or_insert(at);
    }

    /// Sends what the client has not asked for in time.
    pub(super) async fn push_unasked(&mut self) -> Result<(), End> {
        if !self.synced {
            return self.resync().await;
        }
        let overdue = self.queues.overdue();
        if overdue.len() > PUSHED {
            self.push_later();
        }
        self.wishes.extend(overdue.into_iter().take(PUSHED).map(Wish::Offer));
        self.ask_next().await
    }

    async fn pulled(
        &mut self,
        conversation: ConversationKey,
        asked: bool,
        after: Position,
        batch: Batch,
    ) -> Result<(), End> {
        let progress = batch.position > after;
        let more = self.queues.pulled(&conversation, batch.position, batch.more);
        if batch.entries.iter().any(|entry| entry.body.is_some()) {
            let Some(queue) = queue_name(&self.me, &conversation) else { return Ok(()) };
            let entries = batch.entries.iter().map(Arc::as_ref);
            self.deliver(&conversation, &queue, entries, batch.position).await?;
            if asked {
                self.queues.answered(&conversation);
            } else if more {
                self.wishes.push_back(Wish::Offer(conversation));
            }
            return Ok(());
        }
        if more && progress {
            // A stretch that is not for this device: the client waits for what follows it.
            let wish = if asked { Wish::Pull } else { Wish::Offer };
            self.wishes.push_front(wish(conversation));
            return Ok(());
        }
        if more {
            // An entry was announced that the core does not show yet.
            self.retry_later();
        }
        if asked {
            return self.answer_drained(&conversation).await;
        }
        if let Some(position) = self.queues.offered(&conversation) {
            self.link.acknowledge(&conversation, position);
        }
        Ok(())
    }

    async fn deliver<'a>(
        &mut self,
        conversation: &ConversationKey,
        queue: &QueueName,
        entries: impl Iterator<Item = &'a Entry> + Clone,
        position: Position,
    ) -> Result<(), End> {
        let key = self.keys.next();
        self.queues.pushed(conversation, key, position);
        let frame = delivery(Reader::Me(&self.me), queue, entries, Cursor::Key(key));
        self.feed("delivery", frame).await
    }

    /// "Empty, last": ends a pull of the client.
    async fn answer_drained(&mut self, conversation: &ConversationKey) -> Result<(), End> {
        if let Some(position) = self.queues.answered(conversation) {
            self.link.acknowledge(conversation, position);
        }
        let Some(queue) = queue_name(&self.me, conversation) else { return Ok(()) };
        let frame = frame::drained(self.jid(&queue));
        self.feed("drained", frame).await
    }

    pub(super) async fn event(&mut self, event: SessionEvent) -> Result<(), End> {
        match event {
            SessionEvent::Entry { entry, position, deliver } => {
                let conversation = &entry.conversation;
                let queue = queue_name(&self.me, conversation).filter(|_| deliver && entry.body.is_some());
                match (self.queues.live(conversation, position, queue.is_some()), queue) {
                    (Live::Push, Some(queue)) => {
                        self.deliver(conversation, &queue, [&*entry].into_iter(), position).await
                    }
                    (Live::Acknowledge(position), _) => {
                        self.link.acknowledge(conversation, position);
                        Ok(())
                    }
                    (Live::Push, None) | (Live::Later, _) => self.wake(conversation).await,
                }
            }
            SessionEvent::Room(news) => self.room_news(&news).await,
            SessionEvent::Transient(entry) => {
                self.note_alone(&entry);
                let Some(queue) = queue_name(&self.me, &entry.conversation) else { return Ok(()) };
                let frame = delivery(Reader::Me(&self.me), &queue, [&*entry].into_iter(), Cursor::Last);
                self.feed("delivery", frame).await
            }
            SessionEvent::Lagged => {
                metrics::counter!("gateway_lagged_total").increment(1);
                self.rooms.miss();
                self.resync().await
            }
        }
    }

    /// Asks for the list again; events wait until it is there.
    async fn resync(&mut self) -> Result<(), End> {
        self.synced = false;
        self.wishes.push_back(Wish::Resync);
        self.wishes.push_back(Wish::Rooms);
        self.ask_next().await
    }

    /// Tells the client that something is owed, if it must be told.
    async fn wake(&mut self, conversation: &ConversationKey) -> Result<(), End> {
        let Some(queue) = queue_name(&self.me, conversation) else { return Ok(()) };
        let Some(wake) = self.queues.wake(conversation) else { return Ok(()) };
        let queue = self.jid(&queue);
        if wake.clear_first {
            self.feed("drained", frame::drained(queue.clone())).await?;
        }
        self.push_later();
        self.feed("notice", frame::notice(queue)).await
    }

    /// Offers again what could not be listed or pulled.
    pub(super) async fn retry(&mut self) -> Result<(), End> {
        if !self.synced {
            return self.resync().await;
        }
        for conversation in self.queues.owed() {
            self.wake(&conversation).await?;
        }
        self.wishes.push_back(Wish::Rooms);
        self.ask_next().await
    }

    pub(super) fn retry_later(&mut self) {
        let at = Instant::now() + self.config.retry_delay;
        self.retry_at = Some(self.retry_at.map_or(at, |earlier| earlier.min(at)));
    }

    fn jid(&self, queue: &QueueName) -> Jid {
        queue.jid(self.me.app.as_str())
    }
}
