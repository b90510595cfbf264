//! A core in this process, as an edge sees it.

use async_trait::async_trait;
use meridian_api::Api;
use meridian_chat::Chat;
use meridian_link::{
    Attached, Batch, Body, Core, LinkError, Login, PendingSend, PullRequest, Refusal, RoomError, RoomRequest,
    Session, Standing, Submission, Unread,
};
use meridian_types::{ConversationKey, Position};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// A login that waits longer is refused as unavailable.
const ATTACH_DEADLINE: Duration = Duration::from_secs(9);
/// A read that takes longer is answered as unavailable.
const READ_DEADLINE: Duration = Duration::from_secs(10);

/// The chat logic and its REST surface behind the link.
#[derive(Clone, Debug)]
pub struct LocalCore {
    chat: Chat,
    api: Arc<Api>,
    draining: Arc<AtomicBool>,
}

impl LocalCore {
    #[must_use]
    pub fn new(chat: Chat, api: Api) -> Self {
        Self { chat, api: Arc::new(api), draining: Arc::default() }
    }

    /// Refuses new logins and is not ready any more; what is attached goes on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Commits what is in hand and stops. Sessions that are still attached are told to go elsewhere.
    pub async fn close(&self) {
        self.drain();
        self.chat.end_sessions();
        self.chat.close().await;
    }
}

#[async_trait]
impl Core for LocalCore {
    async fn attach(&self, login: Login) -> Result<Attached, Refusal> {
        if !self.is_ready() {
            return Err(Refusal::Unavailable);
        }
        let attach = tokio::time::timeout(ATTACH_DEADLINE, self.chat.attach(login)).await;
        let attached = attach.map_err(|_| Refusal::Unavailable)??;
        Ok(Attached {
            app: attached.app,
            user: attached.user,
            resource: attached.resource,
            attached_at: attached.attached_at,
            token_expires_at: attached.token_expires_at,
            token_epoch: attached.token_epoch,
            session: Arc::new(LocalSession(attached.session)),
            events: attached.events,
            closed: attached.closed,
        })
    }

    async fn rest(&self, request: http::Request<Body>) -> http::Response<Body> {
        self.api.handle(request).await
    }

    fn is_ready(&self) -> bool {
        !self.draining.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct LocalSession(meridian_chat::Session);

#[async_trait]
impl Session for LocalSession {
    fn send(&self, submission: Submission) -> PendingSend {
        self.0.send(submission)
    }

    async fn unread(&self) -> Result<Vec<Unread>, LinkError> {
        in_time(self.0.unread()).await
    }

    async fn pull(&self, request: PullRequest) -> Result<Batch, LinkError> {
        in_time(self.0.pull(request)).await
    }

    async fn room(&self, request: RoomRequest) -> Result<Standing, RoomError> {
        let asked = tokio::time::timeout(READ_DEADLINE, self.0.room(request)).await;
        asked.unwrap_or(Err(RoomError::Unavailable))
    }

    fn acknowledge(&self, conversation: &ConversationKey, position: Position) {
        self.0.acknowledge(conversation, position);
    }

    fn detach(&self, _logged_out: bool) {
        self.0.detach();
    }
}

async fn in_time<T>(read: impl Future<Output = Result<T, LinkError>>) -> Result<T, LinkError> {
    tokio::time::timeout(READ_DEADLINE, read).await.unwrap_or(Err(LinkError::Unavailable))
}
