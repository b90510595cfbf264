//! What the tests share.

use meridian_s3::{S3Blobs, S3Config};
use meridian_services::S3;
use std::path::Path;

/// With the smallest parts, so that the kit's large blob is sent in two.
pub(crate) async fn open(server: &S3) -> S3Blobs {
    S3Blobs::open(S3Config::parse(&format!("{}&part_mib=5", server.url())).unwrap()).await.unwrap()
}

/// Bytes of all files below a folder, finished or not.
pub(crate) fn bytes_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().filter_map(Result::ok);
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes_below(&entry.path()),
            // Removed while this walks.
            meta => meta.map_or(0, |meta| meta.len()),
        })
        .sum()
}
