//! `Blobs` in a map.

use crate::{SkeletonConfig, error};
use meridian_sdk::{
    Bytes, Result, async_trait,
    futures_util::{StreamExt, stream},
    ports::{BlobMeta, BlobStream, Blobs},
};
use std::{
    collections::HashMap,
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Blobs in process memory.
#[derive(Debug, Default)]
pub struct SkeletonBlobs {
    config: SkeletonConfig,
    stored: Mutex<HashMap<String, Bytes>>,
}

impl SkeletonBlobs {
    #[must_use]
    pub fn new(config: SkeletonConfig) -> Self {
        Self { config, stored: Mutex::default() }
    }

    /// Bytes that are kept, for tests that look for left-overs.
    #[must_use]
    pub fn usage(&self) -> u64 {
        self.locked().values().map(|content| content.len() as u64).sum()
    }

    /// Never held across an await, and no code under it can leave the map half changed.
    fn locked(&self) -> MutexGuard<'_, HashMap<String, Bytes>> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Blobs for SkeletonBlobs {
    fn describe(&self) -> String {
        concat!("skeleton ", env!("CARGO_PKG_VERSION")).to_owned()
    }

    async fn put(&self, key: &str, mut content: BlobStream, limit: u64) -> Result<BlobMeta> {
        error::check_blob_key("put", key)?;
        // Collected aside and moved under its key at the end: a failed or dropped put leaves nothing.
        let mut collected = Vec::new();
        while let Some(piece) = content.next().await {
            let piece = piece?;
            let size = (collected.len() + piece.len()) as u64;
            if size > limit {
                return Err(error::invalid("put", format!("more than the {limit} bytes allowed")));
            }
            if size > self.config.capacity {
                return Err(error::full("put", self.config.capacity));
            }
            collected.extend_from_slice(&piece);
        }
        let mut stored = self.locked();
        let others = stored.iter().filter(|(other, _)| *other != key);
        let used: u64 = others.map(|(_, content)| content.len() as u64).sum();
        let size = collected.len() as u64;
        if used + size > self.config.capacity {
            return Err(error::full("put", self.config.capacity));
        }
        stored.insert(key.to_owned(), collected.into());
        Ok(BlobMeta::new(size))
    }

    async fn head(&self, key: &str) -> Result<Option<BlobMeta>> {
        error::check_blob_key("head", key)?;
        Ok(self.locked().get(key).map(|content| BlobMeta::new(content.len() as u64)))
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<BlobStream>> {
        error::check_blob_key("get", key)?;
        let Some(content) = self.locked().get(key).cloned() else { return Ok(None) };
        let within =
            |place: u64| usize::try_from(place).map_or(content.len(), |place| place.min(content.len()));
        let range = range.map_or(0..content.len(), |range| within(range.start)..within(range.end));
        let piece = if range.is_empty() { Bytes::new() } else { content.slice(range) };
        Ok(Some(stream::iter([Ok(piece)]).boxed()))
    }

    async fn delete(&self, key: &str) -> Result<()> {
        error::check_blob_key("delete", key)?;
        self.locked().remove(key);
        Ok(())
    }
}
