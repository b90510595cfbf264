//! What a client's frames do.

use super::{Answer, End, Session, clock};
use crate::protocols::json::{
    body::{self, About},
    event::error,
    frame::{Chat, ClientFrame, Join, Leave, ReceiptKind},
};
use bytes::Bytes;
use meridian_link::{RoomRequest, RouteTo, SendError, Submission};
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

/// What SDKs send while somebody writes, and show as such.
const TYPING: &str = "TypingBegin";

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Session<S> {
    pub(super) async fn command(&mut self, frame: ClientFrame) -> Result<(), End> {
        match frame {
            ClientFrame::Send(send) => {
                let content = match body::read(&send.body) {
                    Ok(content) => content,
                    Err(text) => return self.mistake(Some(send.id.0), "bad_body", &text).await,
                };
                let parties = (&self.me, send.chat, send.to.as_str());
                let body = body::encode(About::Message, parties, Some(content), send.ext.as_ref());
                let route = match (send.only, send.online_only) {
                    (Some(members), _) => RouteTo::Members(members),
                    (None, true) => RouteTo::OnlineOnly,
                    (None, false) => RouteTo::Everyone,
                };
                let ext = match (send.chat, send.priority) {
                    (Chat::Room, Some(priority)) => priority.ext(false),
                    _ => Bytes::new(),
                };
                let submission = submission(send.id.0, send.to, send.chat, body, (route, send.to_device));
                self.submit(Submission { ext, ..submission });
                Ok(())
            }
            ClientFrame::Edit(edit) => {
                let content = match body::read(&edit.body) {
                    Ok(content) => content,
                    Err(text) => return self.mistake(Some(edit.id.0), "bad_body", &text).await,
                };
                let about = About::Edit(edit.message.0);
                let parties = (&self.me, edit.chat, edit.to.as_str());
                let body = body::encode(about, parties, Some(content), edit.ext.as_ref());
                self.submit(submission(edit.id.0, edit.to, edit.chat, body, (RouteTo::Everyone, None)));
                Ok(())
            }
            ClientFrame::Recall(recall) => {
                let parties = (&self.me, recall.chat, recall.to.as_str());
                let body = body::encode(About::Recall(recall.message.0), parties, None, None);
                self.submit(submission(recall.id.0, recall.to, recall.chat, body, (RouteTo::Everyone, None)));
                Ok(())
            }
            ClientFrame::Receipt(receipt) => {
                let about = match (receipt.kind, receipt.message) {
                    (ReceiptKind::Read, Some(message)) => About::Read(message.0),
                    (ReceiptKind::Delivered, Some(message)) => About::Delivered(message.0),
                    (ReceiptKind::Read, None) => About::ConversationRead,
                    (ReceiptKind::Delivered, None) => {
                        let text = "a delivered receipt needs a message";
                        return self.mistake(Some(receipt.id.0), "bad_frame", text).await;
                    }
                };
                let parties = (&self.me, receipt.chat, receipt.to.as_str());
                let body = body::encode(about, parties, None, None);
                self.submit(submission(
                    receipt.id.0,
                    receipt.to,
                    receipt.chat,
                    body,
                    (RouteTo::Everyone, None),
                ));
                Ok(())
            }
            ClientFrame::Typing(typing) => {
                let content = json!({ "type": "cmd", "action": TYPING });
                let content = content.as_object().and_then(|content| body::read(content).ok());
                let parties = (&self.me, typing.chat, typing.to.as_str());
                let body = body::encode(About::Message, parties, content, None);
                let submission =
                    submission(clock(), typing.to, typing.chat, body, (RouteTo::OnlineOnly, None));
                // Nobody waits for it, and a lost one is no harm.
                drop(self.link.send(submission));
                Ok(())
            }
            ClientFrame::History(history) => {
                self.histories.push_back(history);
                Ok(())
            }
            ClientFrame::Ack(ack) => {
                let conversation = ack.conversation.key(&self.me);
                if let Some(position) = self.queues.acknowledged(&conversation, ack.position.0) {
                    self.link.acknowledge(&conversation, position);
                }
                Ok(())
            }
            ClientFrame::Ping(ping) => {
                let mut pong = json!({ "type": "pong", "server_time": clock() });
                if let Some(id) = ping.id {
                    pong["id"] = id.0.into();
                }
                self.tell(&pong).await
            }
            ClientFrame::Join(Join { id, room, ext, leave_others }) => {
                let join = |room| RoomRequest::Join { room, ext, leave_others };
                self.ask_room(id, &room, join).await
            }
            ClientFrame::Leave(Leave { id, room }) => {
                self.ask_room(id, &room, |room| RoomRequest::Leave { room }).await
            }
            ClientFrame::Later(what, id) => {
                let text = format!("{what} is not served yet");
                self.tell(&error(id.map(|id| id.0), "not_supported", &text)).await
            }
            // Refused before.
            ClientFrame::Hello(_) => Ok(()),
        }
    }

    fn submit(&mut self, submission: Submission) {
        let id = submission.client_id;
        let pending = self.link.send(submission);
        let limit = self.config.answer_timeout;
        self.answers.push(Box::pin(async move {
            // The core went away, or is slow; the client may send again, with the same id.
            let answer = timeout(limit, pending)
                .await
                .map_or(Err(SendError::Busy), |answer| answer.unwrap_or(Err(SendError::Busy)));
            Answer::Sent(id, answer)
        }));
    }
}

fn submission(
    client_id: u64,
    to: String,
    chat: Chat,
    body: Bytes,
    (route, to_device): (RouteTo, Option<String>),
) -> Submission {
    let to_conference = chat != Chat::User;
    Submission { client_id, to, to_device, to_conference, route, body, ext: Bytes::new() }
}
