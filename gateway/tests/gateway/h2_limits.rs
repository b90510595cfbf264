//! Clients of HTTP/2 that misbehave, or do nothing.

use crate::{
    core::{PATIENCE, Stage},
    h2::{Http2, get, handshake},
};
use http_body_util::BodyExt;
use std::{ops::RangeInclusive, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const ENHANCE_YOUR_CALM: u32 = 11;
const RETRY_AFTER: RangeInclusive<u64> = 1..=10;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Writes, in the background, until the server has enough; the code of its GOAWAY.
async fn flooded(stage: &Stage, flood: impl Fn(u32) -> Vec<u8> + Send + 'static) -> u32 {
    let (mut reader, mut writer) = TcpStream::connect(stage.address).await.unwrap().into_split();
    let flood = tokio::spawn(async move {
        writer.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await?;
        for number in 0..1_000_000 {
            writer.write_all(&flood(number)).await?;
        }
        Ok::<_, std::io::Error>(())
    });
    let code = loop {
        let mut head = [0; 9];
        timeout(PATIENCE, reader.read_exact(&mut head))
            .await
            .expect("no end")
            .expect("closed without a word");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        timeout(PATIENCE, reader.read_exact(&mut payload)).await.expect("no end").unwrap();
        if head[3] == GOAWAY {
            break u32::from_be_bytes(payload[4..8].try_into().unwrap());
        }
    };
    drop(reader);
    assert!(timeout(PATIENCE, flood).await.expect("still read").unwrap().is_err(), "all was taken");
    code
}

#[tokio::test]
async fn a_flood_of_resets_ends_the_connection() {
    let stage = Stage::new().await;
    let code = flooded(&stage, |number| {
        let stream = 2 * number + 1;
        // GET http://x/org: from the static table, and two literals.
        let request = [0x82, 0x86, 0x41, 1, b'x', 0x44, 4, b'/', b'o', b'r', b'g'];
        let mut frames = frame(HEADERS, 0x05, stream, &request);
        frames.extend(frame(RST_STREAM, 0, stream, &8u32.to_be_bytes()));
        frames
    })
    .await;
    assert_eq!(code, ENHANCE_YOUR_CALM);
    assert_eq!(Http2::connect(&stage).await.get("/healthz").await.status(), 200);
}

#[tokio::test]
async fn a_head_without_end_ends_the_connection() {
    let stage = Stage::new().await;
    let code = flooded(&stage, |number| match number {
        0 => frame(HEADERS, 0x01, 1, &[0x82, 0x86, 0x84, 0x41, 1, b'x']),
        // A literal that is not kept: 0, name, value.
        _ => frame(CONTINUATION, 0, 1, &[&[0, 1, b'a', 100][..], &[b'b'; 100]].concat()),
    })
    .await;
    assert_eq!(code, ENHANCE_YOUR_CALM);
}

#[tokio::test]
async fn a_large_head_is_refused() {
    let stage = Stage::new().await;
    let mut http2 = Http2::connect(&stage).await;
    // The client keeps to the limit once it knows it.
    let request = || {
        let mut request = get("/healthz");
        request.headers_mut().insert("long", "x".repeat(20_000).parse().unwrap());
        request
    };
    match http2.ask(request()).await {
        Ok(response) => assert_eq!(response.status(), 431),
        Err(error) => assert!(error.is_user() || !error.is_closed(), "{error:?}"),
    }
    assert_eq!(http2.get("/healthz").await.status(), 200);
}

#[tokio::test]
async fn a_connection_without_requests_is_closed() {
    let stage = Stage::with(|config| {
        config.header_timeout = Duration::from_millis(300);
        config.keep_alive = Duration::from_millis(300);
    })
    .await;
    Http2::connect(&stage).await.closed().await;
    let mut used = Http2::connect(&stage).await;
    used.get("/healthz").await;
    used.closed().await;
    // Half a preface.
    let mut half = TcpStream::connect(stage.address).await.unwrap();
    half.write_all(&PREFACE[..10]).await.unwrap();
    timeout(PATIENCE, half.read_to_end(&mut Vec::new())).await.expect("stays open").unwrap();
}

#[tokio::test]
async fn a_websocket_keeps_its_connection() {
    let mut stage = Stage::with(|config| {
        config.header_timeout = Duration::from_millis(300);
        config.keep_alive = Duration::from_millis(300);
        config.ping_interval = Duration::from_millis(200);
    })
    .await;
    let mut http2 = Http2::connect(&stage).await;
    let mut client = http2.websocket().await;
    client.provision().await;
    let _seat = stage.seat().await;
    for _ in 0..4 {
        let ping = timeout(PATIENCE, futures_util::StreamExt::next(&mut client.socket)).await.unwrap();
        assert!(matches!(ping, Some(Ok(tokio_tungstenite::tungstenite::Message::Ping(_)))), "{ping:?}");
    }
    assert_eq!(http2.get("/healthz").await.status(), 200);
}

#[tokio::test]
async fn a_stream_that_is_not_read_is_reset_and_the_connection_goes_on() {
    let stage = Stage::with(|config| {
        config.write_timeout = Duration::from_millis(200);
        config.max_streams = 1;
    })
    .await;
    for window in [0, 1000] {
        let stream = TcpStream::connect(stage.address).await.unwrap();
        let mut http2 = Http2::over(stream, Some(window)).await;
        // With its answer comes how many streams there may be.
        assert_eq!(http2.get("/org/app/nowhere").await.status(), 404);
        let mut body = http2.get("/org/app/large").await.into_body();
        // Has to wait for the other's end.
        assert_eq!(http2.ask(healthz()).await.unwrap().status(), 200);
        let mut read = 0;
        while let Some(Ok(frame)) = timeout(PATIENCE, body.frame()).await.expect("no end") {
            read += frame.into_data().unwrap().len();
        }
        assert!(read <= 1000, "{read}");
    }
}

/// Without a body in its answer.
fn healthz() -> http::Request<meridian_link::Body> {
    let mut request = get("/healthz");
    *request.method_mut() = http::Method::HEAD;
    request
}

#[tokio::test]
async fn a_large_frame_that_flows_slowly_is_no_stall() {
    let stage = Stage::with(|config| config.write_timeout = Duration::from_millis(200)).await;
    let stream = TcpStream::connect(stage.address).await.unwrap();
    let mut http2 = Http2::over(stream, Some(32 * 1024)).await;
    let mut body = http2.get("/org/app/large").await.into_body();
    let (begun, mut read) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(1) && read < 64 << 20 {
        let frame = timeout(PATIENCE, body.frame()).await.expect("no frame").expect("cut off").unwrap();
        read += frame.into_data().unwrap().len();
        // A slow reader: less than the whole within the time.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(read > 32 * 1024, "{read}");
}

#[tokio::test]
async fn a_connection_has_so_many_websockets() {
    let stage = Stage::with(|config| config.max_stream_websockets = 2).await;
    let mut http2 = Http2::connect(&stage).await;
    let first = http2.websocket().await;
    let _second = http2.websocket().await;
    let refused = http2.open().await;
    assert_eq!(refused.status(), 503);
    let retry_after = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(RETRY_AFTER.contains(&retry_after));
    let mut other = Http2::connect(&stage).await;
    let _elsewhere = other.websocket().await;
    drop(first);
    while http2.ask(handshake("13")).await.unwrap().status() != 200 {}
}

#[tokio::test]
async fn websockets_count_as_connections() {
    let stage = Stage::with(|config| config.max_connections = 2).await;
    let mut http2 = Http2::connect(&stage).await;
    let _only = http2.websocket().await;
    assert_eq!(http2.open().await.status(), 503);
    let mut turned_away = TcpStream::connect(stage.address).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, turned_away.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
}
