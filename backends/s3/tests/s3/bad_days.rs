//! What the contract asks of S3 in particular: parts, URLs, refusals, servers that are away. The general cases are in the
//! conformance kit.

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use meridian_ports::{BlobStream, Blobs, Error, ErrorKind};
use meridian_s3::{S3Blobs, S3Config};
use meridian_services::S3;
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

const MIB: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(60);

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8).collect()
}

fn pieces(content: &[u8]) -> BlobStream {
    let pieces: Vec<_> = content.chunks(100_001).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces).boxed()
}

async fn read(blobs: &S3Blobs, key: &str) -> Vec<u8> {
    let stream = blobs.get(key, None).await.unwrap().unwrap();
    stream.try_collect::<Vec<Bytes>>().await.unwrap().concat()
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// `GET` with nothing but the URL: the status and the body.
fn fetch(url: &str) -> (String, Vec<u8>) {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut connection = TcpStream::connect(host).unwrap();
    write!(connection, "GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    (String::from_utf8_lossy(&answer[9..12]).into_owned(), answer.split_off(end + 4))
}

#[tokio::test]
async fn sizes_around_a_part_come_back_whole() {
    for server in [S3::s3s_fs(), S3::garage()] {
        let blobs = crate::common::open(&server).await;
        for size in [5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 10 * MIB, 12 * MIB] {
            let content = pattern(size);
            let stored = blobs.put("sized", pieces(&content), size as u64).await.unwrap();
            assert_eq!(stored.size, size as u64);
            assert!(read(&blobs, "sized").await == content, "{size} bytes differ");
        }
    }
}

#[tokio::test]
async fn a_put_that_breaks_between_parts_leaves_no_part() {
    let server = S3::s3s_fs();
    let blobs = crate::common::open(&server).await;
    blobs.put("kept", pieces(&pattern(1000)), 1000).await.unwrap();
    let before = crate::common::bytes_below(&server.folder());

    let content = pattern(11 * MIB);
    let gone = stream::iter([Err(Error::new(ErrorKind::Timeout, "upload", "the sender went away"))]);
    let error = blobs.put("a", pieces(&content).chain(gone).boxed(), u64::MAX).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(crate::common::bytes_below(&server.folder()), before, "after an error of the stream");

    let error = blobs.put("b", pieces(&content), 10 * MIB as u64).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(crate::common::bytes_below(&server.folder()), before, "after the limit");

    let two_stored = async || crate::common::bytes_below(&server.folder()) > before + 10 * MIB as u64;
    tokio::select! {
        put = blobs.put("c", pieces(&content).chain(stream::pending()).boxed(), u64::MAX) => panic!("{put:?}"),
        () = until("two parts are stored", two_stored) => {}
    }
    blobs.close().await;
    assert_eq!(crate::common::bytes_below(&server.folder()), before, "after a drop");
    assert!(blobs.head("c").await.unwrap().is_none());
}

#[tokio::test]
async fn a_signed_url_is_read_by_anybody_for_its_time() {
    for server in [S3::s3s_fs(), S3::garage()] {
        let blobs = crate::common::open(&server).await;
        blobs.put("folder/signed", pieces(b"hello"), 10).await.unwrap();
        let url = blobs.signed_url("folder/signed", Duration::from_secs(600)).await.unwrap();
        assert_eq!(fetch(&url), ("200".into(), b"hello".to_vec()));
        let (status, _) = fetch(&url.replace("folder/signed", "folder/other"));
        assert_eq!(status, "403", "the signature is for one key");
        let bare = url.split_once('?').unwrap().0;
        assert_eq!(fetch(bare).0, "403");

        let short = blobs.signed_url("folder/signed", Duration::from_secs(1)).await.unwrap();
        until("the URL ends", async || fetch(&short).0 != "200").await;
    }
}

#[tokio::test]
async fn what_cannot_work_is_refused_at_the_start_with_its_reason() {
    for server in [S3::s3s_fs(), S3::garage()] {
        for (right, wrong, reason) in [
            ("meridian-files", "other-bucket", "open: Invalid: there is no bucket other-bucket"),
            ("secret_key=0", "secret_key=1", "access is denied"),
        ] {
            let url = server.url().replace(right, wrong);
            let error = S3Blobs::open(S3Config::parse(&url).unwrap()).await.unwrap_err().to_string();
            // Who may not list buckets is not told which ones there are.
            assert!(error.contains(reason) || error.contains("access is denied"), "{error}");
        }
    }
}

#[tokio::test]
async fn while_the_server_is_away_calls_fail_in_time_and_afterwards_they_work() {
    let mut server = S3::s3s_fs();
    let blobs = crate::common::open(&server).await;
    blobs.put("a", pieces(b"hello"), 10).await.unwrap();

    server.kill();
    for error in [
        blobs.head("a").await.unwrap_err(),
        blobs.get("a", None).await.map(|_| ()).unwrap_err(),
        blobs.put("b", pieces(b"never"), 10).await.unwrap_err(),
        blobs.delete("a").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("cannot be reached"), "{error}");
    }
    // Whoever starts now waits for it.
    let late = crate::common::open(&server).await;
    assert_eq!(late.head("a").await.unwrap_err().kind(), ErrorKind::Unavailable);

    server.restart();
    assert_eq!(read(&late, "a").await, b"hello");
    assert_eq!(read(&blobs, "a").await, b"hello");
    assert!(blobs.head("b").await.unwrap().is_none());

    server.signal("STOP");
    let start = Instant::now();
    let error = blobs.head("a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    server.signal("CONT");
    assert_eq!(read(&blobs, "a").await, b"hello");
}

/// No server that runs here encrypts, so this looks at what is asked for.
#[tokio::test]
async fn encryption_is_asked_for_with_every_object() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heads = std::thread::spawn(move || {
        let mut heads = Vec::new();
        while heads.len() < 2 {
            let (mut connection, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                connection.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            connection
                .write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
                .unwrap();
            heads.push(String::from_utf8(head).unwrap().to_lowercase());
        }
        heads
    });
    let url =
        format!("s3://files?endpoint=http://{address}&access_key=a&secret_key=b&sse=aws:kms&kms_key=k1");
    let blobs = S3Blobs::open(S3Config::parse(&url).unwrap()).await.unwrap();
    blobs.put("a", pieces(b"hello"), 10).await.unwrap();
    let heads = heads.join().unwrap();
    assert!(heads[0].starts_with("head /files"), "{heads:?}");
    assert!(heads[1].starts_with("put /files/a"), "{heads:?}");
    assert!(heads[1].contains("x-amz-server-side-encryption: aws:kms\r\n"), "{heads:?}");
    assert!(heads[1].contains("x-amz-server-side-encryption-aws-kms-key-id: k1\r\n"), "{heads:?}");
}
