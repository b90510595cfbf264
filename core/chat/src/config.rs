//! Settings of the chat logic: of the server, and of each app.

use meridian_types::session::Platform;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// Between two looks for people who have left their rooms without a word, in milliseconds.
    pub room_sweep_ms: u64,
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
            room_sweep_ms: 30_000,
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
    /// Other numbers for some platforms: `ios`, `android`, `linux`, `mac`, `windows`, `web`, or an application's own number.
    pub devices: BTreeMap<String, usize>,
    pub over_limit: OverLimit,
    /// Accounts; 0 = as many as there are.
    pub max_users: u64,
    /// Whether only contacts may write to each other.
    pub friend_check: bool,
    /// Whether people whom the receiver blocks are kept out.
    pub block_check: bool,
    /// Contacts of one user.
    pub max_contacts: usize,
    /// People whom one user may block.
    pub max_blocks: usize,
    /// Bytes of one user's attributes, and of all.
    pub profile_limit: usize,
    pub profiles_limit: u64,
    /// Whether people may be muted.
    pub mutes_enabled: bool,
    pub presence_enabled: bool,
    /// Bytes of a user's own words in their presence.
    pub presence_ext_limit: usize,
    /// People whose presence one user hears of, and who hear of one's.
    pub max_subscriptions: usize,
    /// Groups of the app; 0 = as many as there are.
    pub max_groups: u64,
    /// Threads of the app; 0 = as many as there are.
    pub max_threads: u64,
    /// Groups that one user may be in; 0 = as many as there are. Counted when they come in: two at once may pass it by one.
    pub max_joined_groups: usize,
    /// The greatest size that a group may be given.
    pub group_size_limit: u64,
    /// Rooms of the app; 0 = as many as there are.
    pub max_rooms: u64,
    /// The greatest size that a room may be given.
    pub room_size_limit: u64,
    /// Messages that are told to who comes into a room; at most 100.
    pub room_history: usize,
    /// How long a person without any connection stays in their rooms, in seconds.
    pub room_grace_s: u64,
    /// Admins of a group or room, without its owner.
    pub max_admins: usize,
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
            devices: BTreeMap::new(),
            over_limit: OverLimit::default(),
            max_users: 0,
            friend_check: false,
            block_check: true,
            max_contacts: 3000,
            max_blocks: 500,
            profile_limit: 2048,
            profiles_limit: 10 * 1024 * 1024 * 1024,
            mutes_enabled: true,
            presence_enabled: true,
            presence_ext_limit: 1024,
            max_subscriptions: 3000,
            max_groups: 0,
            max_threads: 100_000,
            max_joined_groups: 0,
            group_size_limit: 100_000,
            max_rooms: 0,
            room_size_limit: 10_000,
            room_history: 10,
            room_grace_s: 300,
            max_admins: 99,
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

impl AppSettings {
    /// Connected devices of one user on this platform.
    #[must_use]
    pub fn device_limit(&self, platform: Platform) -> usize {
        let name = match platform {
            Platform::Ios => "ios".to_owned(),
            Platform::Android => "android".to_owned(),
            Platform::Linux => "linux".to_owned(),
            Platform::Mac => "mac".to_owned(),
            Platform::Windows => "windows".to_owned(),
            Platform::Web => "web".to_owned(),
            Platform::Custom(number) => number.to_string(),
        };
        self.devices.get(&name).copied().unwrap_or(self.devices_per_platform)
    }
}
