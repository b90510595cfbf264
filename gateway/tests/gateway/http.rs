//! What is not a WebSocket.

use crate::{
    client::Client,
    core::{PATIENCE, Stage},
};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// One request on a fresh connection; the whole answer as text, header names in lower case.
async fn ask(address: SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{head}\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    read_to_end(&mut stream).await
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset ends the answer as well.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the connection stays open");
    String::from_utf8(bytes).unwrap()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

#[tokio::test]
async fn health_and_readiness() {
    let stage = Stage::new().await;
    assert_eq!(status(&ask(stage.address, "GET /healthz HTTP/1.1").await), "200");
    assert_eq!(status(&ask(stage.address, "GET /readyz HTTP/1.1").await), "200");
    stage.ready(false);
    assert_eq!(status(&ask(stage.address, "GET /healthz HTTP/1.1").await), "200");
    assert_eq!(status(&ask(stage.address, "GET /readyz HTTP/1.1").await), "503");
}

#[tokio::test]
async fn an_address_that_asks_too_much_is_refused() {
    let stage = Stage::with(|config| config.requests_per_second = 1).await;
    let mut answers = Vec::new();
    while answers.len() < 20 && answers.last().is_none_or(|answer: &String| status(answer) == "200") {
        answers.push(ask(stage.address, "GET /healthz HTTP/1.1").await);
    }
    assert!((3..20).contains(&answers.len()), "two at once, and one a second: {}", answers.len());
    let refused = answers.last().unwrap();
    assert_eq!(status(refused), "429");
    assert!(
        refused.contains("retry-after: 1\r\n") && refused.contains(r#""error":"reach_limit""#),
        "{refused}"
    );
}

#[tokio::test]
async fn the_websocket_path_wants_a_websocket() {
    let stage = Stage::new().await;
    let answer = ask(stage.address, "GET /websocket HTTP/1.1").await;
    assert_eq!(status(&answer), "426");
    assert!(answer.contains("sec-websocket-version: 13\r\n"));
    let old = "GET /websocket HTTP/1.1\r\nupgrade: websocket\r\nsec-websocket-version: 8";
    assert_eq!(status(&ask(stage.address, old).await), "426");
}

#[tokio::test]
async fn a_preflight_is_answered_without_the_core() {
    let stage = Stage::new().await;
    let answer = ask(
        stage.address,
        "OPTIONS /org/app/chatfiles HTTP/1.1\r\norigin: https://page.example\r\n\
         access-control-request-method: POST\r\naccess-control-request-headers: restrict-access",
    )
    .await;
    assert_eq!(status(&answer), "204");
    assert!(answer.contains("access-control-allow-origin: *\r\n"));
    assert!(answer.contains("access-control-allow-methods: GET,POST,PUT,DELETE\r\n"));
    assert!(answer.contains("access-control-max-age: "));
    let allowed =
        answer.lines().find_map(|line| line.strip_prefix("access-control-allow-headers: ")).unwrap();
    for header in [
        "authorization",
        "content-type",
        "accept",
        "restrict-access",
        "share-secret",
        "x-requested-with",
        "x-request-id",
        "range",
    ] {
        assert!(allowed.split(',').any(|name| name == header), "{header}");
    }
}

#[tokio::test]
async fn errors_can_be_read_by_pages_too() {
    let stage = Stage::new().await;
    for path in ["/org/app/chatfiles/1", "/org/app/users", "/"] {
        let answer =
            ask(stage.address, &format!("GET {path} HTTP/1.1\r\norigin: https://page.example")).await;
        assert_eq!(status(&answer), "404");
        assert!(answer.contains("access-control-allow-origin: *\r\n"));
        assert!(answer.contains("access-control-expose-headers: content-range,"));
    }
}

#[tokio::test]
async fn a_request_id_is_kept_or_made() {
    let stage = Stage::new().await;
    let kept = ask(stage.address, "GET /org/app/users HTTP/1.1\r\nx-request-id: abc-1").await;
    assert!(kept.contains("x-request-id: abc-1\r\n"));
    let made = ask(stage.address, "GET /org/app/users HTTP/1.1\r\nx-request-id: a b").await;
    let id = made.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap();
    assert_eq!(id.len(), 36);
}

#[tokio::test]
async fn bodies_stream_both_ways() {
    let stage = Stage::new().await;
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    let head =
        "POST /org/app/echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // Each part comes back before the next is sent.
    for part in ["first", "second"] {
        stream.write_all(format!("{:x}\r\n{part}\r\n", part.len()).as_bytes()).await.unwrap();
        while !answer.contains(part) {
            let mut buffer = [0; 1024];
            let read = timeout(PATIENCE, stream.read(&mut buffer)).await.expect("not streamed").unwrap();
            assert!(read > 0, "closed early: {answer}");
            answer.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    assert!(read_to_end(&mut stream).await.ends_with("0\r\n\r\n"));
}

#[tokio::test]
async fn a_refused_client_that_is_still_sending_gets_its_answer() {
    let stage = Stage::new().await;
    for connection in ["keep-alive", "close"] {
        let mut stream = TcpStream::connect(stage.address).await.unwrap();
        let head = format!(
            "POST /org/app/nowhere HTTP/1.1\r\nhost: x\r\nconnection: {connection}\r\n\
             content-length: 8000000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // Long after the answer was made, far more than any buffer on the way.
        for _ in 0..8 {
            stream.write_all(&vec![b'x'; 1_000_000]).await.unwrap();
        }
        let mut answer = [0; 12];
        timeout(PATIENCE, stream.read_exact(&mut answer)).await.expect("no answer").unwrap();
        assert_eq!(&answer, b"HTTP/1.1 404");
    }
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_is_refused_without_it() {
    let stage = Stage::new().await;
    let head = "POST /org/app/nowhere HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 10";
    let answer = ask(stage.address, head).await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[tokio::test]
async fn a_core_that_does_not_answer_is_a_json_503() {
    let stage = Stage::with(|config| config.rest_timeout = Duration::from_millis(50)).await;
    let answer = ask(stage.address, "GET /org/app/slow HTTP/1.1").await;
    assert_eq!(status(&answer), "503");
    assert!(answer.contains("content-type: application/json\r\n"));
    assert!(answer.contains(r#"{"error":"service_unavailable""#));
    assert!(answer.contains("access-control-allow-origin: *\r\n"));
}

#[tokio::test]
async fn a_connection_that_dawdles_is_closed() {
    let stage = Stage::with(|config| {
        config.header_timeout = Duration::from_millis(100);
        config.keep_alive = Duration::from_millis(200);
    })
    .await;
    let mut silent = TcpStream::connect(stage.address).await.unwrap();
    assert_eq!(read_to_end(&mut silent).await, "");

    let mut slow = TcpStream::connect(stage.address).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nho").await.unwrap();
    let answer = read_to_end(&mut slow).await;
    assert!(answer.is_empty() || status(&answer) == "408");

    let mut kept = TcpStream::connect(stage.address).await.unwrap();
    kept.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert_eq!(status(&read_to_end(&mut kept).await), "200");
}

#[tokio::test]
async fn an_answer_may_take_longer_than_a_head() {
    let stage = Stage::with(|config| {
        config.header_timeout = Duration::from_millis(20);
        config.rest_timeout = Duration::from_millis(200);
    })
    .await;
    assert_eq!(status(&ask(stage.address, "GET /org/app/slow HTTP/1.1").await), "503");
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_closed() {
    let stage = Stage::with(|config| {
        config.write_timeout = Duration::from_millis(100);
        config.max_connections = 1;
    })
    .await;
    let mut deaf = TcpStream::connect(stage.address).await.unwrap();
    deaf.write_all(b"GET /org/app/large HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    // Its place becomes free again.
    let mut refused = true;
    while refused {
        refused = status(&ask(stage.address, "GET /healthz HTTP/1.1").await) != "200";
    }
}

#[tokio::test]
async fn a_large_head_is_refused() {
    let stage = Stage::new().await;
    let answer = ask(stage.address, &format!("GET /healthz HTTP/1.1\r\nlong: {}", "x".repeat(20_000))).await;
    assert_eq!(status(&answer), "431");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_turned_away_until_one_ends() {
    let mut stage = Stage::with(|config| config.max_connections = 1).await;
    let (client, mut seat) = Client::log_in(&mut stage).await;
    let mut turned_away = TcpStream::connect(stage.address).await.unwrap();
    assert_eq!(status(&read_to_end(&mut turned_away).await), "503");
    drop(client);
    seat.detached().await;
    while status(&ask(stage.address, "GET /healthz HTTP/1.1").await) != "200" {}
}

#[tokio::test]
async fn a_drain_lets_a_request_finish_and_closes_idle_connections() {
    let mut stage = Stage::new().await;
    let mut idle = TcpStream::connect(stage.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    idle.read_exact(&mut [0; 12]).await.unwrap();
    let mut busy = TcpStream::connect(stage.address).await.unwrap();
    busy.write_all(b"GET /org/app/held HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    stage.held().await;
    stage.shut_down();
    read_to_end(&mut idle).await;
    stage.release();
    let answer = read_to_end(&mut busy).await;
    assert_eq!(status(&answer), "200");
    assert!(answer.ends_with("{}"));
    stage.stopped().await;
}
