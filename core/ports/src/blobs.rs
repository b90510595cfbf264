//! Files: attachments and what is made from them.

use crate::{Error, ErrorKind, Result};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use std::{fmt::Debug, ops::Range, time::Duration};

/// The bytes of a blob, in pieces. An error ends the stream.
pub type BlobStream = BoxStream<'static, Result<Bytes>>;

/// Longest key of a blob, in bytes.
const MAX_KEY: usize = 200;

/// Whether a text may be the key of a blob, as [`Blobs`] says.
#[must_use]
pub fn is_blob_key(key: &str) -> bool {
    let allowed = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/');
    (1..=MAX_KEY).contains(&key.len())
        && key.bytes().all(allowed)
        && key.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
}

/// What is known of a stored blob.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlobMeta {
    pub size: u64,
}

impl BlobMeta {
    #[must_use]
    pub fn new(size: u64) -> Self {
        Self { size }
    }
}

/// Immutable bytes by key. Keys are 1..=200 bytes of `a-z 0-9 - _ . /`, without empty, `.` or `..` segments;
/// any other key is `Invalid` ([`is_blob_key`]). A key is written once; writers choose random keys.
#[async_trait]
pub trait Blobs: Debug + Send + Sync + 'static {
    /// The backend's name and version, for the boot table.
    fn describe(&self) -> String;

    /// Stores the whole stream, durably, and gives its size. `Invalid` when the stream holds more than `limit`
    /// bytes. When it fails for any reason, and when the returned future is dropped, nothing is stored under
    /// the key and no space stays used. Writing a key again replaces it as a whole.
    async fn put(&self, key: &str, content: BlobStream, limit: u64) -> Result<BlobMeta>;

    /// `None` when there is no such blob.
    async fn head(&self, key: &str) -> Result<Option<BlobMeta>>;

    /// The bytes of `range` (the end may lie past the blob's; the whole blob when `None`), or `None` when there
    /// is no such blob. A blob that is deleted while it is read may end the stream with an error.
    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<BlobStream>>;

    /// Removes a blob; a missing one is no error.
    async fn delete(&self, key: &str) -> Result<()>;

    /// A URL by which anybody may read the blob until `ttl` from now (1 s..=7 days), without another credential.
    /// Whether the blob exists is not checked. Another `ttl` is `Invalid`. `Unsupported` where the backend has no door
    /// of its own.
    async fn signed_url(&self, key: &str, ttl: Duration) -> Result<String> {
        let _ = (key, ttl);
        Err(Error::new(ErrorKind::Unsupported, "signed_url", "this backend serves no URLs"))
    }
}
