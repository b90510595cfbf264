//! What comes back.

use super::{BlobsFixture, pattern, put, read};
use crate::Outcome;
use meridian_ports::{BlobMeta, ErrorKind};
use std::time::Duration;

pub async fn a_blob_comes_back_whole(fixture: BlobsFixture) -> Outcome {
    let blobs = &*fixture.blobs;
    let content = pattern(12_345);
    put(blobs, "files/one", &content).await;
    assert_eq!(blobs.head("files/one").await.unwrap(), Some(BlobMeta::new(12_345)));
    assert_eq!(read(blobs, "files/one", None).await, Some(content));
    Outcome::Ran
}

pub async fn an_empty_blob_is_a_blob(fixture: BlobsFixture) -> Outcome {
    let blobs = &*fixture.blobs;
    put(blobs, "empty", b"").await;
    assert_eq!(blobs.head("empty").await.unwrap(), Some(BlobMeta::new(0)));
    assert_eq!(read(blobs, "empty", None).await, Some(Vec::new()));
    assert_eq!(read(blobs, "empty", Some(0..10)).await, Some(Vec::new()));
    Outcome::Ran
}

pub async fn a_large_blob_comes_back_whole(fixture: BlobsFixture) -> Outcome {
    let blobs = &*fixture.blobs;
    let content = pattern(5 * 1024 * 1024 + 17);
    let stream = super::pieces(&content, 64 * 1024 - 1);
    assert_eq!(blobs.put("large", stream, u64::MAX).await.unwrap().size, content.len() as u64);
    assert!(read(blobs, "large", None).await.is_some_and(|read| read == content), "content differs");
    let tail = content.len() - 100;
    assert_eq!(read(blobs, "large", Some(tail as u64..u64::MAX)).await.unwrap(), content[tail..]);
    Outcome::Ran
}

pub async fn a_missing_blob_is_none(fixture: BlobsFixture) -> Outcome {
    let blobs = &*fixture.blobs;
    put(blobs, "there", b"x").await;
    for missing in ["missing", "there/below", "some/folder/missing"] {
        assert_eq!(blobs.head(missing).await.unwrap(), None, "head of {missing}");
        assert_eq!(read(blobs, missing, None).await, None, "get of {missing}");
        assert_eq!(read(blobs, missing, Some(0..1)).await, None, "range of {missing}");
    }
    Outcome::Ran
}

pub async fn ranges_are_cut_to_the_blob(fixture: BlobsFixture) -> Outcome {
    let blobs = &*fixture.blobs;
    let content = pattern(5_000);
    put(blobs, "ranges", &content).await;
    for (start, end) in [(0, 1), (0, 5_000), (1, 4_999), (4_096, 4_097), (4_999, 5_000), (4_000, 9_000)] {
        let expected = content[start..end.min(content.len())].to_vec();
        let found = read(blobs, "ranges", Some(start as u64..end as u64)).await;
        assert_eq!(found, Some(expected), "{start}..{end}");
    }
    for (start, end) in [(0, 0), (10, 10), (5_000, 5_001), (9_000, u64::MAX), (u64::MAX, u64::MAX)] {
        assert_eq!(read(blobs, "ranges", Some(start..end)).await, Some(Vec::new()), "{start}..{end}");
    }
    Outcome::Ran
}

/// Of a backend that serves URLs; another says so. Whether they work is told by the backend's own tests.
pub async fn signed_urls_are_bounded(fixture: BlobsFixture) -> Outcome {
    const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
    let blobs = &*fixture.blobs;
    put(blobs, "signed", b"x").await;
    match blobs.signed_url("signed", WEEK).await {
        Err(error) if error.kind() == ErrorKind::Unsupported => return Outcome::Ran,
        url => assert!(url.unwrap().starts_with("http")),
    }
    assert!(blobs.signed_url("missing", Duration::from_secs(1)).await.is_ok(), "existence is not checked");
    for ttl in [Duration::ZERO, Duration::from_millis(999), WEEK + Duration::from_millis(1), Duration::MAX] {
        let error = blobs.signed_url("signed", ttl).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{ttl:?}");
    }
    assert_eq!(blobs.signed_url("../x", WEEK).await.unwrap_err().kind(), ErrorKind::Invalid);
    Outcome::Ran
}
