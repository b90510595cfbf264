//! Contracts for what can be replaced under the chat logic. A backend implements [`Store`] or [`Blobs`], passes the
//! conformance kit (`tests/conformance`), and is named in `deploy/node`.
//!
//! The doc of each verb states its promise: order, atomicity, idempotency, and what a missing thing gives.

#![forbid(unsafe_code)]

mod blobs;
mod error;
mod find;
mod store;

pub use blobs::{BlobMeta, BlobStream, Blobs};
pub use error::{Error, ErrorKind, Result};
pub use find::find_message;
pub use store::{
    ConversationHead, Direction, EntryRange, IdempotencyHit, ObjectPage, Record, RelationPage, ScanCursor,
    Shape, Store,
};
