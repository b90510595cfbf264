//! What a session says of rooms. Nothing of it is acknowledged: what a socket has taken is told.

use super::{Answer, End, Granted, Session};
use crate::protocols::{
    json::{
        event::{self, error},
        frame::Id,
    },
    rooms::Heard,
};
use meridian_link::{RoomError, RoomNews, RoomRequest, Standing};
use meridian_types::{ConversationKey, Entry, MucId, MucKind, room::Protocol};
use std::sync::Arc;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Session<S> {
    pub(super) async fn ask_room(
        &mut self,
        id: Id,
        room: &str,
        request: impl FnOnce(MucId) -> RoomRequest,
    ) -> Result<(), End> {
        let Some(room) = MucId::parse(room).filter(|room| room.kind() == MucKind::Room) else {
            return self.tell(&error(Some(id.0), "room_not_found", "there is no such room")).await;
        };
        let (request, link, limit) = (request(room), self.link.clone(), self.config.answer_timeout);
        self.answers.push(Box::pin(async move {
            let asked = timeout(limit, link.room(request.clone())).await;
            Answer::Room(id.0, request, asked.unwrap_or(Err(RoomError::Busy)))
        }));
        Ok(())
    }

    pub(super) async fn room_answer(
        &mut self,
        id: u64,
        request: &RoomRequest,
        asked: Result<Standing, RoomError>,
    ) -> Result<(), End> {
        self.tell(&event::asked_room(&self.me, id, request, &asked)).await?;
        match (request, asked) {
            (RoomRequest::Join { room, .. }, Ok(standing)) => {
                self.rooms.come_in((*room).into(), standing.seq);
            }
            (RoomRequest::Leave { room }, Ok(_)) => self.rooms.leave(&(*room).into()),
            (_, Err(_)) => {}
        }
        Ok(())
    }

    pub(super) async fn room_news(&mut self, news: &RoomNews) -> Result<(), End> {
        match self.rooms.hear(news, (&self.me, &self.device)) {
            Heard::Nothing => Ok(()),
            Heard::Own(own) => self.tell_room(&news.conversation, &own).await,
            Heard::Shared => {
                let Some(room) = news.conversation.muc() else { return Ok(()) };
                // Whoever reads it, it says the same.
                let frame =
                    news.shared(Protocol::Json, || event::text(&event::room(&self.me, room, &news.entries)));
                self.feed(frame).await
            }
        }
    }

    /// To this device alone.
    pub(super) async fn tell_room(
        &mut self,
        room: &ConversationKey,
        entries: &[Arc<Entry>],
    ) -> Result<(), End> {
        match room.muc().filter(|_| !entries.is_empty()) {
            Some(room) => self.tell(&event::room(&self.me, room, entries)).await,
            None => Ok(()),
        }
    }

    /// What comes by itself of a room is that the person is not in it any more.
    pub(super) fn note_alone(&mut self, entry: &Entry) {
        if entry.conversation.muc().is_some_and(|id| id.kind() == MucKind::Room) {
            self.rooms.leave(&entry.conversation);
        }
    }

    /// Asks for what was missed of rooms.
    pub(super) fn ask_rooms(&mut self) -> bool {
        let Some((room, after)) = self.rooms.behind() else { return false };
        let pull = self.pull(&room, after, self.config.batch_entries);
        self.under_way = Some(Box::pin(async move { Granted::Room { room, batch: pull.await } }));
        true
    }
}
