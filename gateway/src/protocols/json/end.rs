//! Why a connection ends, and how the client is told: a `bye`, then the close.

use super::event::error;
use meridian_link::{CloseReason, Refusal};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{
    Error as SocketError, error::ProtocolError, protocol::frame::coding::CloseCode,
};

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// The client closed, or the network did.
    Gone,
    Refused(Refusal),
    NoHello,
    Closed(CloseReason),
    CoreGone,
    Draining,
    Idle,
    Binary,
    TooLarge,
    TooManyMistakes,
    Protocol,
}

impl End {
    pub(super) fn code(&self) -> CloseCode {
        match self {
            Self::Gone | Self::Refused(_) => CloseCode::Normal,
            Self::Closed(CloseReason::Draining) | Self::Draining => CloseCode::Away,
            Self::Closed(_) => CloseCode::Normal,
            Self::CoreGone => CloseCode::Restart,
            Self::Idle | Self::NoHello | Self::TooManyMistakes => CloseCode::Policy,
            Self::Binary => CloseCode::Unsupported,
            Self::TooLarge => CloseCode::Size,
            Self::Protocol => CloseCode::Protocol,
        }
    }

    /// Goes into `bye`, the close frame and metrics.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Refused(refusal) => refusal_code(*refusal),
            Self::NoHello => "no_hello",
            Self::Closed(CloseReason::Draining) | Self::Draining => "going_away",
            Self::Closed(CloseReason::Replaced { .. }) => "replaced",
            Self::Closed(CloseReason::PasswordChanged) => "password_changed",
            Self::Closed(CloseReason::Kicked) => "kicked",
            Self::Closed(CloseReason::Removed) => "user_removed",
            Self::Closed(_) => "closed",
            Self::CoreGone => "restarting",
            Self::Idle => "idle",
            Self::Binary => "binary_frame",
            Self::TooLarge => "frame_too_large",
            Self::TooManyMistakes => "too_many_mistakes",
            Self::Protocol => "websocket_protocol_error",
        }
    }

    /// Whether the client should come back by itself.
    fn reconnect(&self) -> bool {
        match self {
            Self::Closed(CloseReason::Draining) => true,
            Self::Closed(_) => false,
            Self::Refused(refusal) => matches!(refusal, Refusal::Busy | Refusal::Unavailable),
            Self::Gone | Self::CoreGone | Self::Draining | Self::Idle => true,
            Self::NoHello | Self::Binary | Self::TooLarge | Self::TooManyMistakes | Self::Protocol => false,
        }
    }

    /// What the client is told last; nobody listens any more when it has gone.
    pub(super) fn bye(&self) -> Option<Value> {
        if matches!(self, Self::Gone) {
            return None;
        }
        let mut frame = json!({ "type": "bye", "code": self.name(), "reconnect": self.reconnect() });
        if let Self::Closed(CloseReason::Replaced { extension }) = self
            && !extension.is_empty()
        {
            frame["by"] = extension.as_str().into();
        }
        Some(frame)
    }
}

impl From<SocketError> for End {
    fn from(error: SocketError) -> Self {
        match error {
            SocketError::Capacity(_) => Self::TooLarge,
            SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Gone,
            SocketError::Protocol(_) | SocketError::Utf8(_) => Self::Protocol,
            _ => Self::Gone,
        }
    }
}

/// The answer to a hello that is refused; `bye` follows.
pub(super) fn refused(refusal: Refusal) -> Value {
    error(None, refusal_code(refusal), &refusal.to_string())
}

fn refusal_code(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Malformed => "malformed_login",
        Refusal::AppNotFound => "app_not_found",
        Refusal::UserNotFound => "user_not_found",
        Refusal::TokenExpired => "token_expired",
        Refusal::CredentialMismatch => "wrong_credential",
        Refusal::Forbidden => "forbidden",
        Refusal::TooManyDevices => "too_many_devices",
        Refusal::Busy => "busy",
        _ => "unavailable",
    }
}
