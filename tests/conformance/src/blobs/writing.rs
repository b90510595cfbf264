//! What is stored, and what is not.

use super::{BlobsFixture, pattern, pieces, put, read};
use crate::Outcome;
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future, stream};
use meridian_ports::{BlobMeta, BlobStream, Blobs, Error, ErrorKind};

pub async fn a_limit_is_kept(fixture: BlobsFixture) -> Outcome {
    let blobs = &*fixture.blobs;
    let content = pattern(4_000);
    let error = blobs.put("over", pieces(&content, 300), 3_999).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.surely_not_done());
    assert_nothing(blobs, "over").await;
    assert_eq!(blobs.put("exact", pieces(&content, 300), 4_000).await.unwrap(), BlobMeta::new(4_000));
    assert_eq!(read(blobs, "exact", None).await, Some(content));
    Outcome::Ran
}

pub async fn a_broken_stream_stores_nothing(fixture: BlobsFixture) -> Outcome {
    let blobs = &*fixture.blobs;
    let error = blobs.put("broken", broken_stream(), u64::MAX).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "the stream's own error is given on");
    assert_nothing(blobs, "broken").await;
    put(blobs, "broken", b"second try").await;
    assert_eq!(read(blobs, "broken", None).await.unwrap(), b"second try");
    Outcome::Ran
}

pub async fn a_dropped_put_stores_nothing(fixture: BlobsFixture) -> Outcome {
    let blobs = &*fixture.blobs;
    drop_a_put_half_way(blobs, "dropped").await;
    assert_nothing(blobs, "dropped").await;
    put(blobs, "dropped", b"second try").await;
    assert_eq!(read(blobs, "dropped", None).await.unwrap(), b"second try");
    Outcome::Ran
}

pub async fn failed_puts_leave_no_bytes(fixture: BlobsFixture) -> Outcome {
    let Some(usage) = &fixture.usage else { return Outcome::Skipped("the fixture cannot tell its usage") };
    let blobs = &*fixture.blobs;
    put(blobs, "kept", &pattern(1_000)).await;
    let before = usage();
    assert!(before >= 1_000, "usage counts what is stored");
    blobs.put("one", pieces(&pattern(400_000), 50_000), 300_000).await.unwrap_err();
    blobs.put("two", broken_stream(), u64::MAX).await.unwrap_err();
    drop_a_put_half_way(blobs, "three").await;
    // Cleaning up after a drop may take a moment: it cannot wait.
    for _ in 0..500 {
        if usage() == before {
            return Outcome::Ran;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{} bytes before the failed puts, {} after", before, usage());
}

pub async fn writing_again_replaces_the_whole(fixture: BlobsFixture) -> Outcome {
    let blobs = &*fixture.blobs;
    put(blobs, "again", &pattern(9_000)).await;
    put(blobs, "again", b"short").await;
    assert_eq!(blobs.head("again").await.unwrap(), Some(BlobMeta::new(5)));
    assert_eq!(read(blobs, "again", None).await.unwrap(), b"short");
    Outcome::Ran
}

pub async fn writers_of_one_key_do_not_mix(fixture: BlobsFixture) -> Outcome {
    let blobs = &*fixture.blobs;
    let writers = (1..=8_u8).map(|writer| async move {
        let content = vec![writer; 20_000 + usize::from(writer)];
        blobs.put("shared", pieces(&content, 777), u64::MAX).await.unwrap();
    });
    future::join_all(writers).await;
    let found = read(blobs, "shared", None).await.unwrap();
    assert!(found.iter().all(|byte| *byte == found[0]), "bytes of two writers in one blob");
    assert_eq!(found.len(), 20_000 + usize::from(found[0]));
    Outcome::Ran
}

pub async fn deleting_removes_and_may_be_repeated(fixture: BlobsFixture) -> Outcome {
    let blobs = &*fixture.blobs;
    put(blobs, "folder/gone", b"x").await;
    put(blobs, "folder/stays", b"y").await;
    for _ in 0..2 {
        blobs.delete("folder/gone").await.unwrap();
        assert_nothing(blobs, "folder/gone").await;
    }
    blobs.delete("never/was").await.unwrap();
    assert_eq!(read(blobs, "folder/stays", None).await.unwrap(), b"y");
    put(blobs, "folder/gone", b"back").await;
    assert_eq!(read(blobs, "folder/gone", None).await.unwrap(), b"back");
    Outcome::Ran
}

async fn assert_nothing(blobs: &dyn Blobs, key: &str) {
    assert_eq!(blobs.head(key).await.unwrap(), None, "head of {key}");
    assert_eq!(read(blobs, key, None).await, None, "get of {key}");
}

fn broken_stream() -> BlobStream {
    let pieces = [
        Ok(Bytes::from(pattern(100_000))),
        Err(Error::new(ErrorKind::Unavailable, "put", "the sender went away")),
        Ok(Bytes::from_static(b"never read")),
    ];
    stream::iter(pieces).boxed()
}

/// Drops a put that has taken some bytes and waits for more that never come.
async fn drop_a_put_half_way(blobs: &dyn Blobs, key: &str) {
    let (taken, mut was_taken) = tokio::sync::mpsc::unbounded_channel();
    let pieces = stream::iter((0..2).map(|_| Ok(Bytes::from(pattern(100_000)))));
    let tell = stream::once(async move {
        let _ = taken.send(());
    });
    let tell = tell.filter_map(|()| future::ready(None));
    let stream = pieces.chain(tell).chain(stream::pending()).boxed();
    let mut writing = blobs.put(key, stream, u64::MAX).fuse();
    tokio::select! {
        _ = &mut writing => panic!("put ended although its stream did not"),
        _ = was_taken.recv() => {}
    }
}
