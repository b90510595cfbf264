//! Keys.

use super::{BlobsFixture, pieces, put, read};
use crate::Outcome;
use meridian_ports::{ErrorKind, Result};

const PATHS: &str = "the server's keys are paths of a folder";

pub async fn odd_but_good_keys_work(fixture: BlobsFixture) -> Outcome {
    if fixture.keys_are_paths {
        return Outcome::Skipped(PATHS);
    }
    let blobs = &*fixture.blobs;
    let long = "k".repeat(200);
    let deep = ["d"; 100].join("/");
    for key in ["a", "0", "a-b_c.d", "...", ".hidden", "a..b", "-", "_", "x/.y/z.", &long, &deep] {
        put(blobs, key, key.as_bytes()).await;
    }
    for key in ["a", "0", "a-b_c.d", "...", ".hidden", "a..b", "-", "_", "x/.y/z.", &long, &deep] {
        assert_eq!(read(blobs, key, None).await.unwrap(), key.as_bytes(), "{key}");
    }
    Outcome::Ran
}

pub async fn bad_keys_are_invalid_in_every_verb(fixture: BlobsFixture) -> Outcome {
    let blobs = &*fixture.blobs;
    let long = "k".repeat(201);
    let bad =
        ["", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "A", "a b", "é", "a\0", "a\\b"];
    for key in bad.into_iter().chain([long.as_str()]) {
        assert_invalid("put", key, blobs.put(key, pieces(b"x", 1), 10).await);
        assert_invalid("head", key, blobs.head(key).await);
        assert_invalid("get", key, blobs.get(key, None).await.map(|stream| stream.is_some()));
        assert_invalid("delete", key, blobs.delete(key).await);
    }
    Outcome::Ran
}

/// Keys are names, not folders.
pub async fn a_key_may_be_the_start_of_another(fixture: BlobsFixture) -> Outcome {
    if fixture.keys_are_paths {
        return Outcome::Skipped(PATHS);
    }
    let blobs = &*fixture.blobs;
    put(blobs, "a", b"short").await;
    put(blobs, "a/b", b"long").await;
    put(blobs, "c/d/e", b"long").await;
    put(blobs, "c/d", b"short").await;
    for (key, content) in [("a", "short"), ("a/b", "long"), ("c/d", "short"), ("c/d/e", "long")] {
        assert_eq!(read(blobs, key, None).await.unwrap(), content.as_bytes(), "{key}");
    }
    blobs.delete("a").await.unwrap();
    assert_eq!(read(blobs, "a/b", None).await.unwrap(), b"long");
    Outcome::Ran
}

fn assert_invalid<T: std::fmt::Debug>(verb: &str, key: &str, result: Result<T>) {
    let kind = result.as_ref().err().map(meridian_ports::Error::kind);
    assert_eq!(kind, Some(ErrorKind::Invalid), "{verb} of {key:?} gave {result:?}");
}
