use crate::server::{Answer, Server, whole};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Method, Request};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use meridian_api::Body;
use meridian_chat::AppSettings;
use meridian_ports::{BlobMeta, BlobStream, Blobs, Error, ErrorKind};
use serde_json::{Value, json};
use std::{io::Cursor, ops::Range, sync::Arc};

/// A form with the file first and the other parts after it, as browsers build it.
pub(crate) fn form(name: &str, kind: &str, content: &[u8], others: &[(&str, &str)]) -> Vec<u8> {
    let mut form = format!(
        "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: {kind}\r\n\r\n"
    )
    .into_bytes();
    form.extend_from_slice(content);
    for (name, value) in others {
        let part = format!("\r\n--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}");
        form.extend_from_slice(part.as_bytes());
    }
    form.extend_from_slice(b"\r\n--B--\r\n");
    form
}

async fn upload_as(server: &Server, token: &str, restricted: bool, body: Body) -> Answer {
    let request = Request::post("/demo/chat/chatfiles?chat-type=CHAT&chat-target=bob")
        .header("host", "rest.example.org")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "multipart/form-data; boundary=B")
        .header("restrict-access", restricted.to_string());
    server.raw(request.body(body).unwrap()).await
}

async fn upload(server: &Server, restricted: bool, form: Vec<u8>) -> Value {
    upload_as(server, &server.token, restricted, whole(form)).await.ok()
}

async fn get(server: &Server, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(format!("/demo/chat/chatfiles/{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    server.raw(request.body(whole("")).unwrap()).await
}

fn uuid(json: &Value) -> &str {
    json["entities"][0]["uuid"].as_str().unwrap()
}

fn secret(json: &Value) -> &str {
    json["entities"][0]["share-secret"].as_str().unwrap()
}

#[tokio::test]
async fn a_file_comes_back() {
    let server = Server::start().await;
    let json = upload(&server, false, form("a.txt", "text/plain", b"hello world", &[])).await;
    assert_eq!(json["path"], "/chatfiles");
    // The SDK builds the URL of the file as this and `/uuid`.
    assert_eq!(json["uri"], "http://rest.example.org/demo/chat/chatfiles");
    let entity = &json["entities"][0];
    assert_eq!(entity["type"], "chatfile");
    assert_eq!(entity["file-metadata"], json!({"content-length": 11, "content-type": "text/plain"}));

    let answer = get(&server, uuid(&json), &[]).await;
    assert_eq!((answer.status, &answer.bytes[..]), (200, &b"hello world"[..]));
    assert_eq!(answer.headers["content-type"], "text/plain");
    assert_eq!(answer.headers["content-length"], "11");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert!(
        answer.headers["content-disposition"].to_str().unwrap().starts_with("attachment; filename=\"a.txt\"")
    );

    let head = Request::head(format!("/demo/chat/chatfiles/{}", uuid(&json))).body(whole("")).unwrap();
    let answer = server.raw(head).await;
    assert_eq!(
        (answer.status, answer.bytes.len(), &answer.headers["content-length"]),
        (200, 0, &"11".parse().unwrap())
    );
    let missing = get(&server, "123e4567-e89b-12d3-a456-426614174000", &[]).await;
    missing.is_error(404, "service_resource_not_found", "");
    get(&server, "..%2f..%2fx", &[]).await.is_error(404, "service_resource_not_found", "");
}

#[tokio::test]
async fn ranges_are_served() {
    let server = Server::start().await;
    let json = upload(&server, false, form("a", "text/plain", b"hello world", &[])).await;
    let answer = get(&server, uuid(&json), &[("range", "bytes=6-8")]).await;
    assert_eq!((answer.status, &answer.bytes[..]), (206, &b"wor"[..]));
    assert_eq!(answer.headers["content-range"], "bytes 6-8/11");
    assert_eq!(answer.headers["content-length"], "3");
    let answer = get(&server, uuid(&json), &[("range", "bytes=-5")]).await;
    assert_eq!((answer.status, &answer.bytes[..]), (206, &b"world"[..]));
    let answer = get(&server, uuid(&json), &[("range", "bytes=11-")]).await;
    assert_eq!((answer.status, &answer.headers["content-range"]), (416, &"bytes */11".parse().unwrap()));
    answer.is_error(416, "range_not_satisfiable", "");
    let changed = [("range", "bytes=6-8"), ("if-range", "\"other\"")];
    assert_eq!(get(&server, uuid(&json), &changed).await.status, 200);
}

#[tokio::test]
async fn a_restricted_file_wants_its_secret_or_a_token() {
    let server = Server::start().await;
    let alice = server.user("alice").await;
    let body = whole(form("a", "text/plain", b"secret", &[]));
    let json = upload_as(&server, &alice, true, body).await.ok();
    let file = uuid(&json);
    get(&server, file, &[]).await.is_error(403, "forbidden_op", "chatfile no permission");
    get(&server, &format!("{file}?share-secret=x"), &[]).await.is_error(403, "forbidden_op", "");
    let bearer = format!("Bearer {}", server.user("bob").await);
    for (path, headers) in [
        (format!("{file}?em-redirect=true&share-secret={}", secret(&json)), vec![]),
        (file.to_owned(), vec![("share-secret", secret(&json))]),
        (file.to_owned(), vec![("authorization", bearer.as_str())]),
        // A token that has expired must not hide a good secret.
        (file.to_owned(), vec![("share-secret", secret(&json)), ("authorization", "Bearer x")]),
    ] {
        let answer = get(&server, &path, &headers).await;
        assert_eq!((answer.status, &answer.bytes[..]), (200, &b"secret"[..]), "{path} {headers:?}");
    }
    let answer = get(&server, file, &[("authorization", "Bearer x")]).await;
    answer.is_error(401, "auth_bad_access_token", "corrupt");
}

#[tokio::test]
async fn large_files_are_refused_while_they_arrive() {
    let settings = AppSettings { file_limit: 100_000, ..AppSettings::default() };
    let server = Server::with(settings).await;
    let alice = server.user("alice").await;
    let exact = form("a", "text/plain", &[b'x'; 100_000], &[]);
    upload(&server, false, exact).await;
    let large = form("a", "text/plain", &[b'x'; 100_001], &[]);
    let answer = upload_as(&server, &server.token, false, whole(large.clone())).await;
    answer.is_error(413, "Request Entity Too Large", "100000");
    let answer = upload_as(&server, &alice, false, whole(large)).await;
    answer.is_error(400, "Request Entity Too Large", "100000");
    assert_eq!(answer.json()["error_code"], 14403);
    let huge = form("a", "text/plain", &[b'x'; 300_000], &[]);
    upload_as(&server, &server.token, false, whole(huge)).await.is_error(413, "Request Entity Too Large", "");

    // A body of unknown length that never ends.
    let start = form("a", "text/plain", b"", &[]);
    let start = Bytes::from(start[..start.len() - 9].to_vec());
    let pieces = stream::iter([start]).chain(stream::repeat(Bytes::from(vec![b'x'; 8192])));
    let endless = StreamBody::new(pieces.map(|piece| Ok(Frame::data(piece)))).boxed_unsync();
    upload_as(&server, &server.token, false, endless).await.is_error(413, "Request Entity Too Large", "");
}

#[tokio::test]
async fn broken_uploads_are_refused() {
    let server = Server::start().await;
    let cut = form("a", "text/plain", b"hello", &[]);
    let answer = upload_as(&server, &server.token, false, whole(cut[..cut.len() - 12].to_vec())).await;
    answer.is_error(400, "illegal_argument", "malformed");
    let start = Bytes::from(cut[..cut.len() - 12].to_vec());
    let pieces = [Ok(Frame::data(start)), Err("connection reset".into())];
    let reset = StreamBody::new(stream::iter(pieces)).boxed_unsync();
    upload_as(&server, &server.token, false, reset).await.is_error(400, "illegal_argument", "broke off");
    let empty = b"--B\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--B--\r\n".to_vec();
    upload_as(&server, &server.token, false, whole(empty)).await.is_error(
        400,
        "illegal_argument",
        "part file",
    );
    let answer = server.call(Method::POST, "/chatfiles", Some(&server.token), Some(json!({}))).await;
    answer.is_error(415, "web_application", "Unsupported Media Type");
    let answer = server.call(Method::POST, "/chatfiles", None, None).await;
    assert_eq!(answer.status, 401);
    server.post("/sdk/chatfiles/part-upload", json!({})).await.is_error(401, "unauthorized", "");
}

fn photo(width: u32, height: u32) -> Vec<u8> {
    // Noise, so that the file is larger than what is its own thumbnail.
    let noise = |x: u32, y: u32| {
        let n = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)).wrapping_mul(2_246_822_519);
        Rgb([n as u8, (n >> 8) as u8, (n >> 16) as u8])
    };
    let mut bytes = Vec::new();
    let image = DynamicImage::from(RgbImage::from_fn(width, height, noise));
    image.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
    bytes
}

fn dimensions(answer: &Answer) -> (u32, u32) {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.bytes));
    assert_eq!(answer.headers["content-length"], answer.bytes.len().to_string().as_str());
    let image = image::load_from_memory(&answer.bytes).unwrap();
    (image.width(), image.height())
}

#[tokio::test]
async fn a_picture_has_a_thumbnail() {
    let server = Server::start().await;
    let json = upload(&server, true, form("p.png", "image/png", &photo(400, 200), &[])).await;
    let path = format!("{}?em-redirect=true&share-secret={}&thumbnail=true", uuid(&json), secret(&json));
    // The second comes from what the first kept.
    for _ in 0..2 {
        let answer = get(&server, &path, &[]).await;
        assert_eq!(dimensions(&answer), (170, 85));
        assert_eq!(answer.headers["content-type"], "image/jpeg");
        assert!(answer.headers["content-disposition"].to_str().unwrap().starts_with("inline"));
    }
    let by_header = [("thumbnail", "true"), ("share-secret", secret(&json))];
    assert_eq!(dimensions(&get(&server, uuid(&json), &by_header).await), (170, 85));
    assert_eq!(dimensions(&get(&server, uuid(&json), &by_header[1..]).await), (400, 200));
    get(&server, &format!("{}?thumbnail=true", uuid(&json)), &[]).await.is_error(403, "forbidden_op", "");
}

#[tokio::test]
async fn the_uploader_chooses_the_size_even_after_the_file() {
    let server = Server::start().await;
    let size = [("thumbnail-width", "40"), ("thumbnail-height", "90")];
    let json = upload(&server, false, form("p.png", "image/png", &photo(400, 200), &size)).await;
    let answer = get(&server, &format!("{}?thumbnail=true", uuid(&json)), &[]).await;
    assert_eq!(dimensions(&answer), (40, 20));
}

#[tokio::test]
async fn what_has_no_thumbnail_is_sent_itself() {
    let server = Server::start().await;
    let small = photo(20, 20);
    let json = upload(&server, false, form("p.png", "image/png", &small, &[])).await;
    let answer = get(&server, &format!("{}?thumbnail=true", uuid(&json)), &[]).await;
    assert_eq!((answer.status, &answer.bytes[..]), (200, &small[..]));

    let noise = vec![7_u8; 20_000];
    let json = upload(&server, false, form("p.png", "image/png", &noise, &[])).await;
    let answer = get(&server, &format!("{}?thumbnail=true", uuid(&json)), &[]).await;
    assert_eq!((answer.status, answer.bytes.len()), (200, 20_000));

    let json = upload(&server, false, form("v.mp4", "video/mp4", &noise, &[])).await;
    get(&server, &format!("{}?vframe=true", uuid(&json)), &[]).await.is_error(
        404,
        "service_resource_not_found",
        "",
    );
    assert_eq!(get(&server, uuid(&json), &[]).await.bytes.len(), 20_000);
}

/// A place for blobs that takes none.
#[derive(Debug)]
struct Refusing(ErrorKind);

#[async_trait::async_trait]
impl Blobs for Refusing {
    fn describe(&self) -> String {
        "refusing".into()
    }

    async fn put(&self, _: &str, _: BlobStream, _: u64) -> Result<BlobMeta, Error> {
        Err(Error::new(self.0, "put", "10.1.2.3:7700 says so"))
    }

    async fn head(&self, _: &str) -> Result<Option<BlobMeta>, Error> {
        Ok(None)
    }

    async fn get(&self, _: &str, _: Option<Range<u64>>) -> Result<Option<BlobStream>, Error> {
        Ok(None)
    }

    async fn delete(&self, _: &str) -> Result<(), Error> {
        Ok(())
    }
}

#[tokio::test]
async fn what_the_store_cannot_do_is_not_the_callers_fault() {
    for (kind, words) in [
        (ErrorKind::Full, "no space left"),
        (ErrorKind::Busy, "server is busy"),
        (ErrorKind::Unavailable, "server cannot answer now"),
        (ErrorKind::Timeout, "server cannot answer now"),
        (ErrorKind::Corrupt, "server cannot answer now"),
    ] {
        let root = tempfile::tempdir().unwrap();
        let server = Server::over(AppSettings::default(), Arc::new(Refusing(kind)), root).await;
        let body = whole(form("a", "text/plain", b"hello", &[]));
        let answer = upload_as(&server, &server.token, false, body).await;
        answer.is_error(503, "service_unavailable", words);
    }
}
