//! Logging a device in.

use crate::{Session, SessionEvent};
use meridian_types::{AppKey, Millis, Resource, UserName};
use std::{fmt, net::IpAddr, sync::Arc};
use tokio::sync::{mpsc, oneshot};

/// What the client proves itself with.
#[derive(Clone)]
pub enum Credential {
    /// A user token, without any protocol prefix.
    Token(String),
    /// The user's password, for clients that send it in the login frame.
    Password(String),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token(…)",
            Self::Password(_) => "Password(…)",
        })
    }
}

/// Sort of device, for the login policy ("so many devices per platform").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
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
    #[error("the server is busy")]
    Busy,
    #[error("the server cannot serve now")]
    Unavailable,
}

/// Why the core ends a session.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// An attached device. Dropping it detaches.
#[derive(Debug)]
pub struct Attached {
    pub app: AppKey,
    pub user: UserName,
    pub resource: Resource,
    pub attached_at: Millis,
    /// When the token ends; `None` when it never does.
    pub token_expires_at: Option<Millis>,
    pub session: Arc<dyn Session>,
    /// Entries of the person's conversations, in commit order. Bounded: what does not fit is dropped and the next
    /// event after the gap is [`SessionEvent::Lagged`].
    pub events: mpsc::Receiver<SessionEvent>,
    /// Fires once; a sender that is dropped without a word means that the core went away.
    pub closed: oneshot::Receiver<CloseReason>,
}
