//! What an edge and a core say about an attached device: logins, sends, pulls and events. Plain data, used by the link
//! and by the chat logic, so that neither needs the other.

use crate::{ConversationKey, Entry, MessageId, Millis, Position, Resource, UserName, room::RoomNews};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr, sync::Arc};

/// What the client proves itself with.
#[derive(Clone)]
pub enum Credential {
    /// A user token, without any protocol prefix.
    Token(String),
    /// The user's password, for clients that send it in the login frame.
    Password(String),
    /// An edge goes on with a session that a core has let in before. Never from a client.
    Resume(Resume),
}

/// What an edge keeps of a login, to go on with the session on another core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// Of the account at the login: a new password, a kick or a ban since then ends the session.
    pub token_epoch: u64,
    pub attached_at: Millis,
    pub token_expires_at: Option<Millis>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token(…)",
            Self::Password(_) => "Password(…)",
            Self::Resume(_) => "Resume(…)",
        })
    }
}

/// Sort of device, for the login policy ("so many devices per platform").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Platform {
    Ios,
    Android,
    Linux,
    Mac,
    Windows,
    Web,
    /// A platform number that the application chose.
    Custom(u32),
}

/// The device that logs in.
#[derive(Clone, Debug)]
pub struct Device {
    pub resource: Resource,
    /// Id and name that the client gives itself; shown in device lists.
    pub uuid: String,
    pub name: String,
    pub platform: Platform,
    pub sdk_version: String,
}

/// A login as the edge received it; names are not trusted yet.
#[derive(Clone, Debug)]
pub struct Login {
    pub app_key: String,
    pub user: String,
    pub credential: Credential,
    pub device: Device,
    /// The application's text about this login, told to a device that this one replaces. At most 1,024 bytes.
    pub extension: String,
    pub address: Option<IpAddr>,
}

/// Why a login was refused. The protocol adapter chooses the texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Refusal {
    #[error("a field is missing or malformed")]
    Malformed,
    #[error("no such app")]
    AppNotFound,
    #[error("no such user")]
    UserNotFound,
    #[error("the token is expired")]
    TokenExpired,
    #[error("the token or password does not match")]
    CredentialMismatch,
    #[error("the user or app is disabled")]
    Forbidden,
    #[error("too many devices")]
    TooManyDevices,
    /// To a resumed session only.
    #[error("the device has logged in again elsewhere")]
    Replaced,
    #[error("the server is busy")]
    Busy,
    #[error("the server cannot serve now")]
    Unavailable,
}

/// Why the core ends a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CloseReason {
    /// Logged in elsewhere; carries the other device's login extension.
    Replaced {
        extension: String,
    },
    PasswordChanged,
    /// Kicked by the API or by another own device.
    Kicked,
    /// Deleted or banned.
    Removed,
    /// The core is going away; the client should come back.
    Draining,
}

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
    /// The client's id of the message; a resend with the same id and body gives the first answer.
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    pub message_id: MessageId,
    pub at: Millis,
    /// Compact JSON that goes with the answer to an edit: `{"edit_msg":{…}}`.
    pub notice: Option<String>,
}

/// Why a send was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
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
    #[error("the group is disabled")]
    GroupDisabled,
    #[error("the sender is not in the group")]
    NotMember,
    #[error("the sender is muted in the group")]
    MutedHere,
    #[error("everybody is muted, and the sender is not on the allow list")]
    NotAllowed,
    #[error("a message may be for at most {limit} members")]
    DirectedLimit { limit: usize },
    #[error("the receiver blocks the sender")]
    Blocked,
    #[error("sender and receiver are not contacts")]
    NotContacts,
    #[error("the sender may not send anywhere in the app")]
    Muted,
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
    /// News of a room that the person is in.
    Room(Arc<RoomNews>),
    /// Some events were dropped because the session was slow: ask for `unread` again.
    Lagged,
}

/// A failure to reach or use the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
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
