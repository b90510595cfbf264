//! Storms of logins, and where clients are.

use crate::{client::Client, core::Stage, h2::Http2};
use std::{net::SocketAddr, time::Duration};
use tokio::{net::TcpStream, task::JoinSet, time::Instant};
use tokio_tungstenite::{
    client_async,
    tungstenite::{Error, client::IntoClientRequest},
};

/// Opens a WebSocket, or gives the answer's status and `retry-after`.
async fn open(address: SocketAddr) -> Result<Client, (u16, u64)> {
    let stream = TcpStream::connect(address).await.unwrap();
    match client_async(format!("ws://{address}/websocket"), stream).await {
        Ok((socket, _)) => Ok(Client { socket }),
        Err(Error::Http(response)) => {
            let retry_after = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
            Err((response.status().as_u16(), retry_after))
        }
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_websocket_that_gets_no_turn_is_told_when_to_come_again() {
    let stage = Stage::with(|config| {
        config.logins_per_second = 1;
        config.login_burst = 1;
        config.max_waiting_logins = 0;
    })
    .await;
    let mut admitted = open(stage.address).await.unwrap();
    assert_eq!(admitted.provision().await.status.unwrap().error_code, Some(0));
    let (status, retry_after) = open(stage.address).await.err().unwrap();
    assert_eq!(status, 503);
    assert!((1..=10).contains(&retry_after));
    // What is no login is not held up.
    let mut http2 = Http2::connect(&stage).await;
    assert_eq!(http2.get("/healthz").await.status(), 200);
}

#[tokio::test]
async fn a_websocket_waits_for_its_turn_before_the_answer() {
    let mut stage = Stage::with(|config| {
        config.logins_per_second = 5;
        config.login_burst = 1;
        // Both are over before the turn comes.
        config.header_timeout = Duration::from_millis(150);
        config.keep_alive = Duration::from_millis(150);
    })
    .await;
    let begun = Instant::now();
    let _first = open(stage.address).await.unwrap();
    let mut second = open(stage.address).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(190));
    second.provision().await;
    stage.seat().await;
    let mut http2 = Http2::connect(&stage).await;
    let mut third = http2.websocket().await;
    assert!(begun.elapsed() >= Duration::from_millis(390));
    third.provision().await;
}

#[tokio::test]
async fn a_drain_does_not_wait_for_those_who_wait() {
    let mut stage = Stage::with(|config| {
        config.logins_per_second = 1;
        config.login_burst = 1;
        config.max_waiting_logins = 20;
        config.login_wait = Duration::from_secs(3600);
    })
    .await;
    let address = stage.address;
    let mut storm = JoinSet::new();
    for _ in 0..22 {
        storm.spawn(async move { open(address).await.map(drop) });
    }
    // One was admitted, and one found no room to wait: the others wait.
    let (mut admitted, mut refused) = (0, 0);
    while refused == 0 {
        match storm.join_next().await.unwrap().unwrap() {
            Ok(()) => admitted += 1,
            Err(_) => refused += 1,
        }
    }
    stage.shut_down();
    while let Some(outcome) = storm.join_next().await {
        match outcome.unwrap() {
            Ok(()) => admitted += 1,
            Err((status, _)) => {
                assert_eq!(status, 503);
                refused += 1;
            }
        }
    }
    assert!(admitted < 10, "{admitted} admitted, {refused} refused");
    stage.stopped().await;
}

/// The address that the core is told of a login, and what REST requests say.
async fn seen(stage: &mut Stage, forwarded_for: &str) -> (String, String) {
    let stream = TcpStream::connect(stage.address).await.unwrap();
    let mut request = format!("ws://{}/websocket", stage.address).into_client_request().unwrap();
    request.headers_mut().insert("x-forwarded-for", forwarded_for.parse().unwrap());
    let (socket, _) = client_async(request, stream).await.unwrap();
    let mut client = Client { socket };
    client.provision().await;
    let login = stage.seat().await.login;
    let mut request = crate::h2::get("/org/app/forwarded");
    request.headers_mut().insert("x-forwarded-for", forwarded_for.parse().unwrap());
    request.headers_mut().insert("x-forwarded-proto", "https".parse().unwrap());
    let mut http2 = Http2::connect(stage).await;
    let response = http2.ask(request).await.unwrap();
    (login.address.unwrap().to_string(), crate::h2::text(response).await)
}

#[tokio::test]
async fn strangers_do_not_choose_their_address() {
    let mut stage = Stage::new().await;
    let (login, rest) = seen(&mut stage, "198.51.100.1").await;
    assert_eq!(login, "127.0.0.1");
    assert_eq!(rest, r#"["127.0.0.1"] ["http"]"#);
}

#[tokio::test]
async fn a_trusted_proxy_says_where_the_client_is() {
    let mut stage = Stage::with(|config| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
    })
    .await;
    let (login, rest) = seen(&mut stage, "203.0.113.9, 198.51.100.1, 10.0.0.7").await;
    assert_eq!(login, "198.51.100.1");
    assert_eq!(rest, r#"["198.51.100.1"] ["https"]"#);
}
