//! Two cores over S3, which goes away, hangs and comes back.

use crate::world::{Core, MESSAGES, assert_stored, under_load};
use meridian_services::{Postgres, Redis, S3};
use serde_json::Value;
use std::time::{Duration, Instant};

fn content() -> Vec<u8> {
    (0..9_000_000_u32).map(|byte| (byte % 251) as u8).collect()
}

fn upload(core: &Core, token: &str, content: &[u8]) -> Result<String, u16> {
    let mut form = b"--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n".to_vec();
    form.extend_from_slice(content);
    form.extend_from_slice(b"\r\n--b--\r\n");
    let head = "POST chatfiles\r\ncontent-type: multipart/form-data; boundary=b";
    match core.request(head, token, &form) {
        (200, answer) => {
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            Ok(answer["entities"][0]["uuid"].as_str().unwrap().to_owned())
        }
        (status, _) => Err(status),
    }
}

fn download(core: &Core, token: &str, uuid: &str) -> (u16, Vec<u8>) {
    core.request(&format!("GET chatfiles/{uuid}"), token, b"")
}

#[test]
fn files_wait_for_s3_and_messages_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let (postgres, redis, mut s3) = (Postgres::durable(), Redis::start(), S3::s3s_fs());
    let (database, soft, files) = (postgres.url("postgres"), redis.url(), s3.url());
    let first = Core::with_files(folder.path(), "first", &database, &soft, &files);
    let mut second = Core::with_files(folder.path(), "second", &database, &soft, &files);
    let token = &first.app_token();
    let content = content();
    let seen = under_load(&first, token, |seen| {
        let uuid = upload(&first, token, &content).unwrap();
        assert!(download(&second, token, &uuid) == (200, content.clone()), "another core gives another file");

        s3.kill();
        assert_eq!(upload(&first, token, &content), Err(503));
        assert_eq!(download(&second, token, &uuid).0, 503);
        println!("no S3: longest pause of messages {:?}", seen.flow("messages without S3", 200));
        second.kill();
        second.start();
        assert_eq!(download(&second, token, &uuid).0, 503, "a core starts without S3");

        s3.restart();
        assert!(download(&second, token, &uuid) == (200, content.clone()), "the file is back");
        assert!(upload(&first, token, &content).is_ok());

        s3.signal("STOP");
        let asked = Instant::now();
        assert_eq!(download(&first, token, &uuid).0, 503);
        assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
        println!("S3 hangs: longest pause of messages {:?}", seen.flow("messages while S3 hangs", 200));
        s3.signal("CONT");
        assert!(download(&first, token, &uuid) == (200, content.clone()), "the file is back");
    });
    assert_stored(seen, &postgres.sql("postgres", MESSAGES));
    drop((first, second));
}
