//! What a session says of rooms. Nothing of it is acknowledged: what a socket has taken is told.

use super::{End, Outcome, Session, send};
use crate::protocols::{
    msync::items::{Cursor, Reader, delivery, queue_name},
    rooms::Heard,
};
use meridian_link::{Batch, LinkError, RoomNews, RoomRequest, Standing};
use meridian_types::{ConversationKey, Entry, MucKind, room::Protocol};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Session<S> {
    pub(super) async fn answer(&mut self, client_id: u64, outcome: Outcome) -> Result<(), End> {
        let asked = match &outcome {
            Outcome::Room(request, standing) => Some((request.clone(), standing.clone())),
            _ => None,
        };
        let frame = send::answer(&self.me, client_id, outcome);
        self.feed("answer", frame).await?;
        match asked {
            Some((RoomRequest::Join { room, .. }, standing)) => self.come_in(room.into(), standing).await,
            Some((RoomRequest::Leave { room }, _)) => {
                self.rooms.leave(&room.into());
                Ok(())
            }
            None => Ok(()),
        }
    }

    async fn come_in(&mut self, room: ConversationKey, standing: Standing) -> Result<(), End> {
        self.rooms.come_in(room.clone(), standing.seq);
        self.tell_room(&room, &standing.history).await
    }

    /// To this device alone.
    async fn tell_room(&mut self, room: &ConversationKey, entries: &[Arc<Entry>]) -> Result<(), End> {
        let Some(queue) = queue_name(&self.me, room).filter(|_| !entries.is_empty()) else { return Ok(()) };
        let entries = entries.iter().map(Arc::as_ref);
        let frame = delivery(Reader::Me(&self.me), &queue, entries, Cursor::Last);
        self.feed("room", frame).await
    }

    pub(super) async fn room_news(&mut self, news: &RoomNews) -> Result<(), End> {
        match self.rooms.hear(news, (&self.me.user, &self.device)) {
            Heard::Nothing => Ok(()),
            Heard::Own(own) => self.tell_room(&news.conversation, &own).await,
            Heard::Shared => {
                let Some(queue) = queue_name(&self.me, &news.conversation) else { return Ok(()) };
                let frame = news.shared(Protocol::Msync, || {
                    let entries = news.entries.iter().map(Arc::as_ref);
                    delivery(Reader::All(&self.me.app), &queue, entries, Cursor::Last)
                });
                self.feed("room", frame).await
            }
        }
    }

    /// What was missed of a room.
    pub(super) async fn read_room(
        &mut self,
        room: &ConversationKey,
        batch: Result<Batch, LinkError>,
    ) -> Result<(), End> {
        match batch {
            Ok(batch) => {
                self.rooms.read(room, batch.position, batch.more);
                self.tell_room(room, &batch.entries).await
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read a room");
                self.retry_later();
                Ok(())
            }
        }
    }

    /// What comes by itself of a room is that the person is not in it any more.
    pub(super) fn note_alone(&mut self, entry: &Entry) {
        if entry.conversation.muc().is_some_and(|id| id.kind() == MucKind::Room) {
            self.rooms.leave(&entry.conversation);
        }
    }
}
