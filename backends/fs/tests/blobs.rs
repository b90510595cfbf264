//! What the contract asks of a folder in particular: crashes, drops, names. The general cases are in the
//! conformance kit.
#![allow(clippy::unwrap_used)] // a test fails by panicking
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use meridian_fs::FsBlobs;
use meridian_ports::{BlobStream, Blobs, Error, ErrorKind};
use std::path::Path;

fn content(pieces: Vec<&'static [u8]>) -> BlobStream {
    stream::iter(pieces.into_iter().map(|piece| Ok(Bytes::from_static(piece)))).boxed()
}

async fn read(blobs: &FsBlobs, key: &str, range: Option<std::ops::Range<u64>>) -> Option<Vec<u8>> {
    let stream = blobs.get(key, range).await.unwrap()?;
    let pieces: Vec<Bytes> = stream.try_collect().await.unwrap();
    Some(pieces.concat())
}

/// Every file below a folder, lock files aside.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_none_or(|extension| extension != "lock") {
            found.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    found
}

#[tokio::test]
async fn a_blob_comes_back_whole_and_in_ranges() {
    let root = tempfile::tempdir().unwrap();
    let blobs = FsBlobs::open(root.path()).await.unwrap();
    let meta = blobs.put("1/f/a", content(vec![b"hello ", b"", b"world"]), 11).await.unwrap();
    assert_eq!(meta.size, 11);
    assert_eq!(blobs.head("1/f/a").await.unwrap().unwrap().size, 11);
    assert_eq!(read(&blobs, "1/f/a", None).await.unwrap(), b"hello world");
    assert_eq!(read(&blobs, "1/f/a", Some(6..8)).await.unwrap(), b"wo");
    assert_eq!(read(&blobs, "1/f/a", Some(6..999)).await.unwrap(), b"world");
    assert_eq!(read(&blobs, "1/f/a", Some(11..20)).await.unwrap(), b"");
    assert_eq!(read(&blobs, "1/f/a", Some(50..60)).await.unwrap(), b"");

    drop(blobs);
    let again = FsBlobs::open(root.path()).await.unwrap();
    assert_eq!(read(&again, "1/f/a", None).await.unwrap(), b"hello world");
    again.delete("1/f/a").await.unwrap();
    again.delete("1/f/a").await.unwrap();
    assert!(read(&again, "1/f/a", None).await.is_none());
    assert!(again.head("1/f/a").await.unwrap().is_none());
}

#[tokio::test]
async fn large_blobs_are_read_in_pieces() {
    let root = tempfile::tempdir().unwrap();
    let blobs = FsBlobs::open(root.path()).await.unwrap();
    let bytes: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    let pieces: Vec<_> = bytes.chunks(7_777).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    blobs.put("big", stream::iter(pieces).boxed(), 1 << 20).await.unwrap();
    let pieces: Vec<Bytes> = blobs.get("big", None).await.unwrap().unwrap().try_collect().await.unwrap();
    assert!(pieces.iter().all(|piece| piece.len() <= 64 * 1024));
    assert_eq!(pieces.concat(), bytes);
    assert_eq!(read(&blobs, "big", Some(100_000..170_000)).await.unwrap(), bytes[100_000..170_000]);
}

#[tokio::test]
async fn a_key_and_a_key_below_it_do_not_meet() {
    let root = tempfile::tempdir().unwrap();
    let blobs = FsBlobs::open(root.path()).await.unwrap();
    blobs.put("a/b", content(vec![b"below"]), 10).await.unwrap();
    blobs.put("a", content(vec![b"above"]), 10).await.unwrap();
    assert_eq!(read(&blobs, "a/b", None).await.unwrap(), b"below");
    assert_eq!(read(&blobs, "a", None).await.unwrap(), b"above");
    assert!(read(&blobs, "a/b/c", None).await.is_none());
}

#[tokio::test]
async fn a_failed_put_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let blobs = FsBlobs::open(root.path()).await.unwrap();
    let too_large = blobs.put("a", content(vec![b"12345", b"6"]), 5).await.unwrap_err();
    assert_eq!(too_large.kind(), ErrorKind::Invalid);
    let broken: BlobStream =
        stream::iter([Ok(Bytes::from_static(b"1")), Err(Error::new(ErrorKind::Timeout, "upload", "cut"))])
            .boxed();
    assert_eq!(blobs.put("a", broken, 5).await.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(blobs.put("../a", content(vec![]), 5).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert!(blobs.head("a").await.unwrap().is_none());
    assert!(files(root.path()).is_empty(), "{:?}", files(root.path()));
}

#[tokio::test]
async fn a_dropped_put_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let blobs = FsBlobs::open(root.path()).await.unwrap();
    let endless: BlobStream = stream::iter([Ok(Bytes::from_static(b"1"))]).chain(stream::pending()).boxed();
    let mut put = blobs.put("a", endless, 5);
    assert!(put.as_mut().now_or_never().is_none());
    assert_eq!(files(root.path()).len(), 1);
    drop(put);
    assert!(files(root.path()).is_empty());
    assert!(blobs.head("a").await.unwrap().is_none());
}

#[tokio::test]
async fn writing_again_replaces_the_whole_blob() {
    let root = tempfile::tempdir().unwrap();
    let blobs = FsBlobs::open(root.path()).await.unwrap();
    blobs.put("a", content(vec![b"first and long"]), 50).await.unwrap();
    let old = blobs.get("a", None).await.unwrap().unwrap();
    blobs.put("a", content(vec![b"second"]), 50).await.unwrap();
    assert_eq!(read(&blobs, "a", None).await.unwrap(), b"second");
    let pieces: Vec<Bytes> = old.try_collect().await.unwrap();
    assert_eq!(pieces.concat(), b"first and long");
}
