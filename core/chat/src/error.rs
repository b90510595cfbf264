//! What the chat logic answers when it cannot do what was asked. `core/api` and the protocols choose the wire texts.

use crate::{log::LogError, muc::MucError};
use meridian_types::{NameError, session::SendError};
use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    #[error("no such app")]
    AppNotFound,
    #[error("the app exists already")]
    AppExists,
    #[error("no such user")]
    UserNotFound,
    #[error("the user exists already")]
    UserExists,
    #[error("the user is banned")]
    UserBanned,
    #[error("wrong user name or password")]
    WrongPassword,
    #[error("the client id does not match")]
    WrongClientId,
    #[error("the client secret does not match")]
    WrongClientSecret,
    #[error("bad name: {0}")]
    Name(#[from] NameError),
    #[error("the password must be 1 to 64 characters long")]
    PasswordLength,
    #[error("the nickname is longer than 100 characters")]
    NicknameLength,
    #[error("the body is not a valid message")]
    MalformedMessage,
    #[error("the message is larger than {limit} bytes")]
    MessageTooLarge { limit: usize },
    #[error("the file is larger than {limit} bytes")]
    FileTooLarge { limit: u64 },
    /// The upload itself broke off or was malformed.
    #[error("the upload failed: {0}")]
    Upload(String),
    #[error("this cannot be done to oneself")]
    Oneself,
    #[error("the other person blocks this one")]
    Blocked,
    #[error("they are not contacts")]
    NotContacts,
    #[error("there is no invitation")]
    NoInvitation,
    /// Of the one who acts, or of the other.
    #[error("a person has too many contacts")]
    ContactLimit { is_actor: bool },
    #[error("more than {limit} people are blocked")]
    BlockLimit { limit: usize },
    #[error("the attributes of a person are larger than {limit} bytes")]
    ProfileTooLarge { limit: usize },
    #[error("the attributes of the app are larger than {limit} bytes")]
    ProfilesTooLarge { limit: u64 },
    #[error("more than {limit} devices are bound")]
    BindingLimit { limit: usize },
    #[error("more than {limit} subscriptions")]
    SubscriptionLimit { limit: usize },
    #[error("the app has {limit} users, as many as it may have")]
    UserLimit { limit: u64 },
    #[error("there is no such template")]
    TemplateNotFound,
    #[error(transparent)]
    Muc(#[from] MucError),
    #[error("the sender may not send anywhere in the app")]
    Muted,
    #[error("the server is busy")]
    Busy,
    #[error("the server has no space left")]
    StorageFull,
    #[error("the store cannot serve now: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why a bearer token was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is expired")]
    Expired,
    /// Not one of ours, damaged, or of another app.
    #[error("the token is corrupt")]
    Corrupt,
    /// The user's password changed, or the user was banned, deleted or forced out, since it was issued.
    #[error("the token is revoked")]
    Revoked,
    #[error("the token cannot be checked now")]
    Unavailable,
}

impl From<meridian_ports::Error> for ChatError {
    fn from(error: meridian_ports::Error) -> Self {
        match error.kind() {
            meridian_ports::ErrorKind::Busy => Self::Busy,
            meridian_ports::ErrorKind::Full => Self::StorageFull,
            _ => Self::Unavailable(error.into()),
        }
    }
}

impl From<LogError> for ChatError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Busy => Self::Busy,
            LogError::Store(error) if error.kind() == meridian_ports::ErrorKind::Full => Self::StorageFull,
            other => Self::Unavailable(other.into()),
        }
    }
}

impl From<LogError> for SendError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Busy => Self::Busy,
            LogError::Store(error) if error.kind() == meridian_ports::ErrorKind::Full => Self::StorageFull,
            _ => Self::Unavailable,
        }
    }
}

/// What another core needs to know of a [`ChatError`]; what a log's writer never answers becomes `Unavailable`.
#[derive(Serialize, Deserialize)]
enum ChatErrorForm {
    AppNotFound,
    AppExists,
    UserNotFound,
    UserExists,
    Upload(String),
    Blocked,
    NotContacts,
    NoInvitation,
    TemplateNotFound,
    Muc(MucError),
    ProfileTooLarge(usize),
    ProfilesTooLarge(u64),
    Busy,
    StorageFull,
    Unavailable(String),
}

impl Serialize for ChatError {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::AppNotFound => ChatErrorForm::AppNotFound,
            Self::AppExists => ChatErrorForm::AppExists,
            Self::UserNotFound => ChatErrorForm::UserNotFound,
            Self::UserExists => ChatErrorForm::UserExists,
            Self::Upload(text) => ChatErrorForm::Upload(text.clone()),
            Self::Blocked => ChatErrorForm::Blocked,
            Self::NotContacts => ChatErrorForm::NotContacts,
            Self::NoInvitation => ChatErrorForm::NoInvitation,
            Self::TemplateNotFound => ChatErrorForm::TemplateNotFound,
            Self::Muc(error) => ChatErrorForm::Muc(error.clone()),
            Self::ProfileTooLarge { limit } => ChatErrorForm::ProfileTooLarge(*limit),
            Self::ProfilesTooLarge { limit } => ChatErrorForm::ProfilesTooLarge(*limit),
            Self::Busy => ChatErrorForm::Busy,
            Self::StorageFull => ChatErrorForm::StorageFull,
            other => ChatErrorForm::Unavailable(other.to_string()),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ChatError {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match ChatErrorForm::deserialize(deserializer)? {
            ChatErrorForm::AppNotFound => Self::AppNotFound,
            ChatErrorForm::AppExists => Self::AppExists,
            ChatErrorForm::UserNotFound => Self::UserNotFound,
            ChatErrorForm::UserExists => Self::UserExists,
            ChatErrorForm::Upload(text) => Self::Upload(text),
            ChatErrorForm::Blocked => Self::Blocked,
            ChatErrorForm::NotContacts => Self::NotContacts,
            ChatErrorForm::NoInvitation => Self::NoInvitation,
            ChatErrorForm::TemplateNotFound => Self::TemplateNotFound,
            ChatErrorForm::Muc(error) => Self::Muc(error),
            ChatErrorForm::ProfileTooLarge(limit) => Self::ProfileTooLarge { limit },
            ChatErrorForm::ProfilesTooLarge(limit) => Self::ProfilesTooLarge { limit },
            ChatErrorForm::Busy => Self::Busy,
            ChatErrorForm::StorageFull => Self::StorageFull,
            ChatErrorForm::Unavailable(text) => Self::Unavailable(text.into()),
        })
    }
}
