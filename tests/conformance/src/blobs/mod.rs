//! Cases over [`Blobs`]. Adopt them with [`blobs_suite!`](crate::blobs_suite).

mod keys;
mod random;
mod reading;
mod writing;

pub use keys::*;
pub use random::*;
pub use reading::*;
pub use writing::*;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use meridian_ports::{BlobStream, Blobs};
use std::{any::Any, fmt, ops::Range, sync::Arc};

/// A fresh, empty place for blobs, for one case.
pub struct BlobsFixture {
    pub blobs: Arc<dyn Blobs>,
    usage: Option<Usage>,
    keys_are_paths: bool,
    /// What must outlive the case: a temporary folder, a server.
    _guard: Option<Box<dyn Any + Send + Sync>>,
}

/// Bytes that the backend keeps, unfinished writes included.
type Usage = Box<dyn Fn() -> u64 + Send + Sync>;

impl BlobsFixture {
    pub fn new(blobs: impl Blobs) -> Self {
        Self::shared(Arc::new(blobs))
    }

    /// For a backend that the fixture keeps a hand on, to tell its usage for instance.
    #[must_use]
    pub fn shared(blobs: Arc<dyn Blobs>) -> Self {
        Self { blobs, usage: None, keys_are_paths: false, _guard: None }
    }

    /// Keeps something alive until the case ends.
    #[must_use]
    pub fn with_guard(self, guard: impl Any + Send + Sync) -> Self {
        Self { _guard: Some(Box::new(guard)), ..self }
    }

    /// For a test server that keeps a blob in a file of the key's name: no key can be the beginning of another, and long
    /// keys are too long. The cases about such keys are skipped.
    #[must_use]
    pub fn with_keys_as_paths(self) -> Self {
        Self { keys_are_paths: true, ..self }
    }

    /// Tells how many bytes the backend keeps, unfinished writes included, so that left-overs are seen. Without
    /// it the cases about left-overs are skipped.
    #[must_use]
    pub fn with_usage(self, usage: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self { usage: Some(Box::new(usage)), ..self }
    }
}

impl fmt::Debug for BlobsFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobsFixture").field("blobs", &self.blobs).finish_non_exhaustive()
    }
}

/// One test per case. `$factory` is a future of a fresh [`BlobsFixture`], evaluated once per case; skips are
/// declared by the names of their cases.
#[macro_export]
macro_rules! blobs_suite {
    ($factory:expr $(, skip: [$($skip:ident),* $(,)?])?) => {
        $crate::__suite!(
            blobs_suite, $factory, [$($($skip),*)?],
            $crate::blobs::a_blob_comes_back_whole => a_blob_comes_back_whole,
            $crate::blobs::an_empty_blob_is_a_blob => an_empty_blob_is_a_blob,
            $crate::blobs::a_large_blob_comes_back_whole => a_large_blob_comes_back_whole,
            $crate::blobs::a_missing_blob_is_none => a_missing_blob_is_none,
            $crate::blobs::ranges_are_cut_to_the_blob => ranges_are_cut_to_the_blob,
            $crate::blobs::a_limit_is_kept => a_limit_is_kept,
            $crate::blobs::a_broken_stream_stores_nothing => a_broken_stream_stores_nothing,
            $crate::blobs::a_dropped_put_stores_nothing => a_dropped_put_stores_nothing,
            $crate::blobs::failed_puts_leave_no_bytes => failed_puts_leave_no_bytes,
            $crate::blobs::writing_again_replaces_the_whole => writing_again_replaces_the_whole,
            $crate::blobs::writers_of_one_key_do_not_mix => writers_of_one_key_do_not_mix,
            $crate::blobs::deleting_removes_and_may_be_repeated => deleting_removes_and_may_be_repeated,
            $crate::blobs::odd_but_good_keys_work => odd_but_good_keys_work,
            $crate::blobs::bad_keys_are_invalid_in_every_verb => bad_keys_are_invalid_in_every_verb,
            $crate::blobs::a_key_may_be_the_start_of_another => a_key_may_be_the_start_of_another,
            $crate::blobs::signed_urls_are_bounded => signed_urls_are_bounded,
            $crate::blobs::random_histories_match_a_map => random_histories_match_a_map,
        );
    };
}

/// A stream of these bytes in pieces.
fn pieces(content: &[u8], size: usize) -> BlobStream {
    let pieces: Vec<_> = content.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces).boxed()
}

async fn put(blobs: &dyn Blobs, key: &str, content: &[u8]) {
    let meta = blobs.put(key, pieces(content, 1000), u64::MAX).await.unwrap();
    assert_eq!(meta.size, content.len() as u64, "size told by put of {key}");
}

async fn read(blobs: &dyn Blobs, key: &str, range: Option<Range<u64>>) -> Option<Vec<u8>> {
    let mut stream = blobs.get(key, range).await.unwrap()?;
    let mut content = Vec::new();
    while let Some(piece) = stream.next().await {
        content.extend_from_slice(&piece.unwrap());
    }
    Some(content)
}

/// Bytes that differ from place to place, so that a shifted or repeated piece is seen.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8).collect()
}
