//! What an attached device does.

use async_trait::async_trait;
use bytes::Bytes;
use meridian_types::{ConversationKey, Entry, MessageId, Millis, Position, Resource, UserName};
use std::{fmt::Debug, sync::Arc};
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

    /// Everything up to the position has reached the device. Never lowers; written lazily, and lost without harm
    /// (the device receives again what it acknowledged).
    fn acknowledge(&self, conversation: &ConversationKey, position: Position);

    /// Ends the session in the core's books, before the socket closes: `true` when the user logged out for good.
    fn detach(&self, logged_out: bool);
}

/// Resolves when the send is durable or refused. A dropped sender means that the core went away.
pub type PendingSend = oneshot::Receiver<Result<Sent, SendError>>;

/// How a message is routed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RouteTo {
    #[default]
    Everyone,
    /// Connected devices only; never stored.
    OnlineOnly,
    /// These members of a group or room only.
    Members(Vec<String>),
}

/// Something a device sends: message, receipt, recall or edit; the body says which.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The client's id of the message; a resend with the same id gives the first answer.
    pub client_id: u64,
    /// The name addressed, and the device if only one is meant.
    pub to: String,
    pub to_device: Option<String>,
    /// Whether `to` names a group, room or thread.
    pub to_conference: bool,
    pub route: RouteTo,
    /// A serialised `MessageBody`, verbatim.
    pub body: Bytes,
    /// A serialised `Meta` with only `ext` set; empty when there was none.
    pub ext: Bytes,
}

/// The answer to a send that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub message_id: MessageId,
    pub at: Millis,
    /// Compact JSON that goes with the answer to an edit: `{"edit_msg":{…}}`.
    pub notice: Option<String>,
}

/// Why a send was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    #[error("the body is not a valid message")]
    Malformed,
    #[error("the body is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the body's sender is not the session's user")]
    WrongSender,
    #[error("this kind of conversation is not supported")]
    UnsupportedTarget,
    #[error("the group does not exist")]
    GroupNotFound,
    #[error("the message does not exist")]
    MessageNotFound,
    #[error("only the sender may do this")]
    NotPermitted,
    #[error("the recall window is over")]
    RecallTooLate,
    #[error("recall is switched off")]
    RecallDisabled,
    #[error("the message was edited too often")]
    EditLimit,
    #[error("this message cannot be edited so")]
    EditFormat,
    #[error("editing is switched off")]
    EditDisabled,
    #[error("the server is busy")]
    Busy,
    #[error("the server has no space left")]
    StorageFull,
    #[error("the server cannot store now")]
    Unavailable,
}

/// A conversation that holds something for the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    pub conversation: ConversationKey,
    /// Where the device stands.
    pub position: Position,
    /// Entries owed, at most 500.
    pub count: u32,
}

#[derive(Clone, Debug)]
pub struct PullRequest {
    pub conversation: ConversationKey,
    pub after: Position,
    /// At most so many entries, and about so many bytes of bodies (at least one entry if there is one).
    pub max_entries: usize,
    pub max_bytes: usize,
}

/// What a pull gives.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Only entries that reach the device.
    pub entries: Vec<Arc<Entry>>,
    /// The last position examined; never below the one asked for.
    pub position: Position,
    /// Whether more may follow right away.
    pub more: bool,
}

/// What a core tells a session.
#[derive(Clone, Debug)]
pub enum SessionEvent {
    /// The next entry of a conversation. Every entry of the person's conversations comes, in order, also those that
    /// this device does not receive (`deliver` false): so positions stay dense.
    Entry { entry: Arc<Entry>, position: Position, deliver: bool },
    /// A message that is not stored and has no position: deliver it and forget it.
    Transient(Arc<Entry>),
    /// Some events were dropped because the session was slow: ask for `unread` again.
    Lagged,
}

/// A failure to reach or use the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    #[error("the core is busy")]
    Busy,
    #[error("the core cannot answer now")]
    Unavailable,
}

impl Submission {
    /// The addressed user, if the name is well formed.
    #[must_use]
    pub fn user(&self) -> Option<UserName> {
        UserName::parse(&self.to).ok()
    }

    #[must_use]
    pub fn device(&self) -> Option<Resource> {
        self.to_device.as_deref().and_then(|text| Resource::parse(text).ok())
    }
}
