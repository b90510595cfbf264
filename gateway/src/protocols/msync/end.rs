//! Why a connection ends, and how the client is told.

use super::frame::{self, ClientFrame};
use meridian_link::CloseReason;
use tokio_tungstenite::tungstenite::{
    Error as SocketError, Message, error::ProtocolError, protocol::frame::coding::CloseCode,
};

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// The client closed, or the network did.
    Gone,
    LoggedOut,
    Refused,
    LoginTimeout,
    Closed(CloseReason),
    CoreGone,
    Draining,
    Idle,
    Text,
    TooLarge,
    Undecodable,
    Unexpected(&'static str),
}

impl End {
    pub(super) fn code(&self) -> CloseCode {
        match self {
            Self::Gone | Self::LoggedOut | Self::Refused => CloseCode::Normal,
            Self::Closed(CloseReason::Draining) | Self::Draining => CloseCode::Away,
            Self::Closed(_) => CloseCode::Normal,
            Self::CoreGone => CloseCode::Restart,
            Self::Idle | Self::LoginTimeout => CloseCode::Policy,
            Self::Text => CloseCode::Unsupported,
            Self::TooLarge => CloseCode::Size,
            Self::Undecodable => CloseCode::Invalid,
            Self::Unexpected(_) => CloseCode::Protocol,
        }
    }

    /// Goes into the close frame (at most 123 bytes) and into metrics.
    pub(super) fn text(&self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::LoggedOut => "logged out",
            Self::Refused => "login refused",
            Self::LoginTimeout => "no login in time",
            Self::Closed(CloseReason::Draining) | Self::Draining => "server is going away",
            Self::Closed(CloseReason::Replaced { .. }) => "logged in elsewhere",
            Self::Closed(CloseReason::PasswordChanged) => "password changed",
            Self::Closed(CloseReason::Kicked) => "kicked",
            Self::Closed(CloseReason::Removed) => "user removed",
            Self::Closed(_) => "closed",
            Self::CoreGone => "server restarts",
            Self::Idle => "idle",
            Self::Text => "text frames are not understood",
            Self::TooLarge => "frame is too large",
            Self::Undecodable => "frame cannot be decoded",
            Self::Unexpected(text) => text,
        }
    }
}

impl From<SocketError> for End {
    fn from(error: SocketError) -> Self {
        match error {
            SocketError::Capacity(_) => Self::TooLarge,
            SocketError::Utf8(_) => Self::Text,
            SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Gone,
            SocketError::Protocol(_) => Self::Unexpected("websocket protocol error"),
            _ => Self::Gone,
        }
    }
}

/// A frame that the client sent, or why there is none. Pings and pongs give `None`.
pub(super) fn read(message: Option<Result<Message, SocketError>>) -> Result<Option<ClientFrame>, End> {
    match message {
        None => Err(End::Gone),
        Some(Err(error)) => Err(error.into()),
        Some(Ok(Message::Binary(bytes))) => {
            let frame = frame::decode(bytes).map_err(|_| End::Undecodable)?;
            metrics::counter!("gateway_frames_total", "direction" => "in", "command" => frame.name())
                .increment(1);
            Ok(Some(frame))
        }
        Some(Ok(Message::Text(_))) => Err(End::Text),
        Some(Ok(Message::Close(_))) => Err(End::Gone),
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(None),
    }
}
