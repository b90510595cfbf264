//! Settings of the chat logic: of the server, and of each app.

use serde::{Deserialize, Serialize};

/// Settings of the server.
#[derive(Clone, Debug)]
pub struct ChatConfig {
    /// Region number of this node, 0..=63.
    pub region: u8,
    /// Commands that may wait for one log's writer; one more is answered "busy".
    pub writer_queue: usize,
    /// Commands that one step may hold.
    pub writer_batch: usize,
    /// Events that may wait for one session before it counts as lagging.
    pub session_events: usize,
    /// How long acknowledged positions may stay in memory before they are written, in milliseconds.
    pub position_flush_ms: u64,
    /// Passwords hashed at the same time; each takes about 20 ms of one core and 19 MiB.
    pub password_workers: usize,
}

impl Default for ChatConfig {
    fn default() -> Self {
        Self {
            region: 0,
            writer_queue: 4096,
            writer_batch: 512,
            session_events: 256,
            position_flush_ms: 1000,
            password_workers: 2,
        }
    }
}

/// Who may register users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// Anyone, one at a time, without a token.
    Open,
    /// Only with an app token.
    #[default]
    Authorized,
}

/// What happens when one more device of a platform logs in than the app allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OverLimit {
    /// The device that logged in first is told "logged in elsewhere" and closed.
    #[default]
    Kick,
    /// The new device is refused with "too many devices".
    Refuse,
}

/// Settings of one app. Missing fields in a stored or sent JSON take their defaults; unknown ones are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AppSettings {
    pub registration: Registration,
    /// Life of a token that does not ask for one, in seconds; 0 = never expires.
    pub token_ttl_s: u64,
    /// Connected devices of one user on one platform.
    pub devices_per_platform: usize,
    pub over_limit: OverLimit,
    pub recall_enabled: bool,
    /// How long after sending a client may recall, in milliseconds.
    pub recall_window_ms: u64,
    pub edit_enabled: bool,
    pub edits_per_message: usize,
    /// Largest `MessageBody` that a client or REST may send, in bytes.
    pub message_limit: usize,
    /// Largest attachment, in bytes.
    pub file_limit: u64,
    /// Side of a thumbnail when the uploader names none, in pixels.
    pub thumbnail_side: u32,
    /// Multiplies the documented REST rates (requests per second); 0 switches them off.
    pub rate_factor: u32,
}

impl Default for AppSettings {
    fn default() -> Self {
        Self {
            registration: Registration::default(),
            token_ttl_s: 60 * 24 * 3600,
            devices_per_platform: 4,
            over_limit: OverLimit::default(),
            recall_enabled: true,
            recall_window_ms: 120_000,
            edit_enabled: true,
            edits_per_message: 10,
            message_limit: 5 * 1024,
            file_limit: 10 * 1024 * 1024,
            thumbnail_side: 170,
            rate_factor: 1,
        }
    }
}
