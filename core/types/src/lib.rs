//! Ids, keys, limits, and the message and operation model of Meridian. No I/O, no runtime, no clock.
//!
//! Start with [`log`]: everything durable is an operation of a log. [`entry`] is what a conversation holds,
//! [`record`] the two other shapes of the store, [`ids`] and [`names`] how all of them are called, and [`msync`]
//! the published client protocol, whose `MessageBody` is the canonical message body.

#![forbid(unsafe_code)]

pub mod content;
pub mod entry;
pub mod events;
pub mod hash;
pub mod ids;
pub mod log;
pub mod muc;
pub mod names;
pub mod notice;
pub mod record;
pub mod room;
pub mod session;

mod codec;

/// The published client protocol, compiled from `proto/msync.proto`.
#[allow(clippy::all, missing_debug_implementations, unreachable_pub)] // generated code
pub mod msync {
    include!(concat!(env!("OUT_DIR"), "/easemob.pb.rs"));
}

pub use codec::DecodeError;
pub use entry::{Audience, Entry, EntryKind, IdempotencyKey};
pub use events::{EventSender, Events, event_queue};
pub use hash::Hash;
pub use ids::{
    Epoch, Hlc, Incarnation, LogClass, LogId, Lsn, MessageId, Millis, Position, RegionId, Seq, TenantId,
};
pub use log::{Effect, Fence, LogHead, LoggedOperation, Operation, Step};
pub use muc::{MucId, MucKind, Stay};
pub use names::{AppKey, ConversationKey, NameError, Resource, UserName};
pub use notice::Notice;
pub use record::{Kind, Object, Relation};
