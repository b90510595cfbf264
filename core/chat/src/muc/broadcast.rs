//! A message to all rooms of an app.

use crate::{App, Chat, ChatError, OutgoingMessage, Target};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use meridian_types::{ConversationKey, MessageId, MucId, UserName, room::Priority};

/// Rooms looked at together.
const PAGE: usize = 100;
/// Sends under way.
const PARALLEL: usize = 64;

impl Chat {
    /// Sends to every room that somebody is in and in which something has happened. Gives the id of one of the messages;
    /// a fresh one when there is no such room.
    pub async fn broadcast(
        &self,
        app: &App,
        from: &UserName,
        priority: Priority,
        sync_device: bool,
        body: &(dyn Fn(MucId) -> Bytes + Send + Sync),
    ) -> Result<MessageId, ChatError> {
        let (mut cursor, mut first, mut failed) = (None::<String>, None, None);
        loop {
            let page = self.rooms(app, cursor.as_deref(), PAGE).await?;
            let ids: Vec<_> =
                page.items.iter().filter(|room| room.size > 0).map(|room| room.info.id).collect();
            let sends = ids.into_iter().map(|id| async move {
                if !self.is_active(app, id).await? {
                    return Ok(None);
                }
                let message = OutgoingMessage {
                    from: from.clone(),
                    to: Target::Muc(id),
                    only: Vec::new(),
                    body: body(id),
                    priority,
                    is_broadcast: true,
                    sync_device,
                    online_only: false,
                    at: None,
                };
                self.send(app, message).await.map(Some)
            });
            let mut sends = stream::iter(sends).buffer_unordered(PARALLEL);
            while let Some(sent) = sends.next().await {
                match sent {
                    Ok(sent) => first = first.or(sent),
                    // Destroyed or disabled meanwhile.
                    Err(ChatError::Muc(_)) => {}
                    Err(error) => failed = Some(error),
                }
            }
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(first.unwrap_or_else(|| self.inner.ids.next_after(MessageId(0)))),
        }
    }

    async fn is_active(&self, app: &App, id: MucId) -> Result<bool, ChatError> {
        let place = (self.inner.muc_log(app, id), ConversationKey::from(id));
        Ok(!self.inner.store.conversation_heads(&[place]).await?.is_empty())
    }
}
