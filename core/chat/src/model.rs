//! What the chat logic takes and gives.

use crate::AppSettings;
use bytes::Bytes;
use meridian_types::room::Priority;
use meridian_types::{AppKey, ConversationKey, MessageId, Millis, MucId, Resource, TenantId, UserName};
use serde::{Deserialize, Serialize};
use std::fmt;

/// An app: the tenant. Secrets never reach `Debug`.
#[derive(Clone)]
pub struct App {
    pub tenant: TenantId,
    pub key: AppKey,
    pub uuid: String,
    pub client_id: String,
    pub client_secret: String,
    pub created: Millis,
    pub settings: AppSettings,
    pub(crate) token_key: [u8; 32],
    pub(crate) version: u64,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("key", &self.key).field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

/// A user as others may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub uuid: String,
    pub username: UserName,
    pub created: Millis,
    pub modified: Millis,
    /// False while banned.
    pub activated: bool,
    /// Shown in push notifications.
    pub nickname: Option<String>,
}

/// A user to be registered.
#[derive(Clone)]
pub struct NewUser {
    pub username: UserName,
    /// Without one the user can log in by token only.
    pub password: Option<String>,
    pub nickname: Option<String>,
}

impl fmt::Debug for NewUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewUser").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Who a bearer token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    App,
    User(UserName),
}

/// A fresh token. `expires_in_s` is 0 for one that never expires.
#[derive(Clone)]
pub struct IssuedToken {
    pub token: String,
    pub expires_in_s: u64,
    /// `None` for an app token.
    pub user: Option<User>,
}

impl fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedToken").field("expires_in_s", &self.expires_in_s).finish_non_exhaustive()
    }
}

/// A page of a list; `cursor` is absent on the last one, opaque and safe in a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub cursor: Option<String>,
}

/// A connected device of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    pub resource: Resource,
    pub uuid: String,
    pub name: String,
}

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    User(UserName),
    /// A group, thread or room.
    Muc(MucId),
}

impl Target {
    /// The conversation of somebody with it.
    pub(crate) fn conversation(&self, with: &UserName) -> ConversationKey {
        match self {
            Self::User(user) => ConversationKey::pair(with, user),
            Self::Muc(id) => (*id).into(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => user.fmt(f),
            Self::Muc(id) => id.fmt(f),
        }
    }
}

/// A message sent by REST on somebody's behalf.
#[derive(Clone, Debug)]
pub struct OutgoingMessage {
    /// Need not exist.
    pub from: UserName,
    pub to: Target,
    /// Only these members of the group or room; empty for all.
    pub only: Vec<UserName>,
    /// A serialised `MessageBody` of the target's type whose `from` and `to` are these two.
    pub body: Bytes,
    /// In a room, what is left out first when more is said than can be told.
    pub priority: Priority,
    /// One of a message to all rooms.
    pub is_broadcast: bool,
    /// Also deliver a copy to the sender's own devices.
    pub sync_device: bool,
    /// Connected devices only; never stored.
    pub online_only: bool,
    /// Time to record instead of now.
    pub at: Option<Millis>,
}

/// A recall by REST.
#[derive(Clone, Debug)]
pub struct RecallRequest {
    pub message_id: MessageId,
    pub from: UserName,
    pub to: Target,
    /// Ignore the recall window.
    pub force: bool,
}

/// What became of a recall by REST; the documented answer is 200 in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecallOutcome {
    Recalled,
    /// There is no such conversation.
    NoConversation,
    TooLate,
    /// Unknown, or recalled already.
    NotFound,
    /// Recall is switched off for the app.
    Disabled,
}

/// A file to be stored.
#[derive(Clone, Debug)]
pub struct NewFile {
    pub name: String,
    pub content_type: String,
    /// Whether a download needs the share secret (or a token of the app).
    pub restricted: bool,
    /// Size of the thumbnail in pixels (width, height).
    pub thumbnail: (u32, u32),
    pub owner: Option<UserName>,
}

/// A stored file.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    pub uuid: String,
    pub name: String,
    pub content_type: String,
    pub size: u64,
    pub restricted: bool,
    pub share_secret: String,
    pub thumbnail: (u32, u32),
    pub owner: Option<String>,
    pub created: u64,
}

impl fmt::Debug for FileRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileRecord")
            .field("uuid", &self.uuid)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}
