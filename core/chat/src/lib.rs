//! All chat logic: the log writers, conversations, accounts, tenants, tokens, sessions and files.
//!
//! [`Chat`] is the way in. Everything durable goes through a log's writer (`log`), one task per log, which decides
//! on state in memory, assigns order, and commits many commands in one step.

#![forbid(unsafe_code)]

mod accounts;
mod clock;
mod cluster;
mod config;
mod conversation;
mod error;
mod files;
mod log;
mod messages;
mod model;
mod muc;
mod people;
mod service;
mod sessions;
mod tenants;
mod tokens;

pub use accounts::{MuteRecord, Mutes};
pub use cluster::{PeerError, Peers, Region};
pub use config::{AppSettings, ChatConfig, OverLimit, Registration};
pub use error::{ChatError, TokenError};
pub use model::{
    App, DeviceInfo, FileRecord, Identity, IssuedToken, NewFile, NewUser, OutgoingMessage, Page,
    RecallOutcome, RecallRequest, Target, User,
};
pub use muc::{
    Actor, AttributeAction, AttributeError, AttributesOutcome, Consent, GroupAction, GroupChanges,
    GroupEntry, GroupFile, Member, MucError, MucInfo, MutedMember, NewGroup, NewRoom, Outcome, Role,
    RoomAttributes, ThreadAction, ThreadOf,
};
pub use people::{Contact, Imported, PresenceRecord, PushBinding, PushSettings, PushTemplate, Subscription};
pub use service::Chat;
pub use sessions::{Attached, Session};
