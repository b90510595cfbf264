//! What the chat logic answers when it cannot do what was asked. `core/api` and the protocols choose the wire texts.

use crate::log::LogError;
use meridian_types::{NameError, session::SendError};

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
