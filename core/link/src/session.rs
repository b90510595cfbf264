//! What an attached device does.

use crate::{Batch, LinkError, PullRequest, SendError, Sent, Submission, Unread};
use async_trait::async_trait;
use meridian_types::{
    ConversationKey, Position,
    room::{RoomError, RoomRequest, Standing},
};
use std::fmt::Debug;
use tokio::sync::oneshot;

/// Commands of one attached device. Dropping the last reference detaches the device.
#[async_trait]
pub trait Session: Debug + Send + Sync + 'static {
    /// Puts a send behind the earlier ones of this session, at once: the order of calls is the order of `seq` in a
    /// conversation. The answer comes after the commit. A full queue answers [`SendError::Busy`].
    fn send(&self, submission: Submission) -> PendingSend;

    /// The conversations that hold something this device has not acknowledged, with a count (up to 500 each).
    /// Everything not listed is caught up: the next event of such a conversation may be pushed directly.
    async fn unread(&self) -> Result<Vec<Unread>, LinkError>;

    /// The entries after a position that this device may have.
    async fn pull(&self, request: PullRequest) -> Result<Batch, LinkError>;

    /// Comes into a room, with the person's other devices, or leaves it. Asking again is harmless.
    async fn room(&self, request: RoomRequest) -> Result<Standing, RoomError>;

    /// Everything up to the position has reached the device. Never lowers; written lazily, and lost without harm
    /// (the device receives again what it acknowledged).
    fn acknowledge(&self, conversation: &ConversationKey, position: Position);

    /// Ends the session in the core's books, before the socket closes: `true` when the user logged out for good.
    fn detach(&self, logged_out: bool);
}

/// Resolves when the send is durable or refused. A dropped sender means that the core went away.
pub type PendingSend = oneshot::Receiver<Result<Sent, SendError>>;
