#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod ports {
    //! The contracts: what a backend implements.
    pub use meridian_ports::*;
}

pub mod types {
    //! What the contracts speak of: ids, logs, operations, entries, objects, relations.
    pub use meridian_types::{
        Audience, ConversationKey, DecodeError, Effect, Entry, EntryKind, Epoch, Fence, Hash, Hlc,
        IdempotencyKey, Incarnation, Kind, LogClass, LogHead, LogId, LoggedOperation, Lsn, MessageId, Millis,
        NameError, Object, Operation, Position, RegionId, Relation, Resource, Seq, Step, TenantId, UserName,
    };
}

/// The conformance kit. Name the suite of each contract you implement in your tests.
#[cfg(feature = "conformance")]
pub use meridian_conformance as conformance;

/// The macro that contracts are implemented under, so that a plugin needs no version of its own.
pub use async_trait::async_trait;
/// The bytes that contracts hand over.
pub use bytes::{self, Bytes};
/// The streams that `Blobs` hands over.
pub use futures_util;

pub use ports::{Error, ErrorKind, Result};
