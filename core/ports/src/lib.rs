//! Contracts for what can be replaced under the chat logic. A backend implements one or more of [`Store`],
//! [`Blobs`], [`SoftState`], [`Bus`] and [`Directory`], passes the conformance kit (`tests/conformance`), and is named
//! in `deploy/node`.
//!
//! The doc of each verb states its promise: order, atomicity, idempotency, and what a missing thing gives.

#![forbid(unsafe_code)]

mod blobs;
mod bus;
mod directory;
mod error;
mod find;
mod registry;
mod soft;
mod store;

pub use blobs::{BlobMeta, BlobStream, Blobs, is_blob_key};
pub use bus::{Bus, Heard, Subscription};
pub use directory::{Directory, Lease, NodeId, NodeInfo};
pub use error::{Error, ErrorKind, Result};
pub use find::find_message;
pub use registry::{BackendUrl, OpenError, OpenRequest, Opened, Reach};
pub use soft::SoftState;
pub use store::{
    ConversationHead, Direction, EntryRange, IdempotencyHit, ObjectPage, Record, RelationPage, ScanCursor,
    Shape, Store,
};
