//! What the JSON frames of an export say. Fields may be added in the same format; readers ignore what they do not know.

use serde::{Deserialize, Serialize};

/// The first frame.
#[derive(Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) app: String,
    pub(crate) tenant: u32,
    pub(crate) region: u8,
    /// The epoch of the log that the app's record is in.
    pub(crate) system_epoch: u64,
    pub(crate) record: AppRecord,
    /// For people.
    pub(crate) exported_at_ms: u64,
    pub(crate) source: String,
}

/// The app's object.
#[derive(Serialize, Deserialize)]
pub(crate) struct AppRecord {
    pub(crate) rank: i64,
    pub(crate) version: u64,
    /// JSON, as stored. Holds secrets.
    pub(crate) body: String,
}

/// Before the operations of a log.
#[derive(Serialize, Deserialize)]
pub(crate) struct LogHeader {
    pub(crate) log: u64,
    pub(crate) name: String,
    pub(crate) epoch: u64,
    pub(crate) lsn: u64,
    /// Of the last operation; hex.
    pub(crate) chain: String,
}

/// Before the pieces of a file.
#[derive(Serialize, Deserialize)]
pub(crate) struct BlobHeader {
    /// Inside the tenant.
    pub(crate) key: String,
    pub(crate) size: u64,
}

/// What an export holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Summary {
    pub logs: u64,
    pub operations: u64,
    pub blobs: u64,
    pub blob_bytes: u64,
    /// Files that have a record and whose bytes were not there.
    pub blobs_missing: u64,
}

/// The last frame.
#[derive(Serialize, Deserialize)]
pub(crate) struct Trailer {
    #[serde(flatten)]
    pub(crate) summary: Summary,
    /// SHA-256 of everything before this frame; hex.
    pub(crate) sha256: String,
}
