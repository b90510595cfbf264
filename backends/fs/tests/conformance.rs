//! The conformance kit over a folder.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use meridian_conformance::{BlobsFixture, blobs_suite};
use meridian_fs::FsBlobs;
use std::path::Path;

async fn fixture() -> BlobsFixture {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().to_owned();
    let blobs = FsBlobs::open(&path).await.unwrap();
    BlobsFixture::new(blobs).with_guard(root).with_usage(move || bytes_below(&path))
}

/// Bytes of all files below a folder, finished or not.
fn bytes_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().filter_map(Result::ok);
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes_below(&entry.path()),
            // Removed while this walks.
            meta => meta.map_or(0, |meta| meta.len()),
        })
        .sum()
}

blobs_suite!(fixture());
