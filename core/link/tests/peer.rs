//! The link between cores, over real sockets.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // test code

use async_trait::async_trait;
use bytes::Bytes;
use meridian_link::Tls;
use meridian_link::peer::{CallError, PeerClient, PeerHandler, PeerServer, Secret};
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    task::JoinHandle,
};

/// Echoes; holds back what begins with `h` until released.
#[derive(Default)]
struct Echo {
    held: Notify,
    release: Notify,
}

#[async_trait]
impl PeerHandler for Echo {
    async fn answer(&self, request: Bytes) -> Bytes {
        if request.first() == Some(&b'h') {
            self.held.notify_one();
            self.release.notified().await;
        }
        request
    }
}

async fn serve() -> (SocketAddr, Arc<Echo>, JoinHandle<()>) {
    let server =
        PeerServer::bind("127.0.0.1:0".parse().unwrap(), Secret::new("ours"), Tls::none()).await.unwrap();
    let (address, echo) = (server.local_addr().unwrap(), Arc::new(Echo::default()));
    let running = tokio::spawn(server.run(echo.clone()));
    (address, echo, running)
}

#[tokio::test]
async fn many_calls_share_a_connection_and_a_slow_one_holds_up_nobody() {
    let (address, echo, _running) = serve().await;
    let address = address.to_string();
    let client = Arc::new(PeerClient::new(Secret::new("ours"), Tls::none()));
    let slow = tokio::spawn({
        let (client, address) = (client.clone(), address.clone());
        async move { client.call(&address, Bytes::from_static(b"hold")).await }
    });
    echo.held.notified().await;
    for n in 0..100 {
        let request = Bytes::from(format!("call {n}"));
        assert_eq!(client.call(&address, request.clone()).await, Ok(request));
    }
    let large = Bytes::from(vec![b'x'; 4 << 20]);
    assert_eq!(client.call(&address, large.clone()).await, Ok(large));
    assert!(!slow.is_finished());
    echo.release.notify_one();
    assert_eq!(slow.await.unwrap(), Ok(Bytes::from_static(b"hold")));
}

#[tokio::test]
async fn a_core_that_dies_loses_what_it_was_asked_and_its_successor_is_reached() {
    let (address, echo, running) = serve().await;
    let client = Arc::new(PeerClient::new(Secret::new("ours"), Tls::none()));
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.call(&address.to_string(), Bytes::from_static(b"hold")).await }
    });
    echo.held.notified().await;
    running.abort();
    let _ = running.await;
    assert_eq!(call.await.unwrap(), Err(CallError::Lost));
    let server = PeerServer::bind(address, Secret::new("ours"), Tls::none()).await.unwrap();
    let _running = tokio::spawn(server.run(Arc::new(Echo::default())));
    let request = Bytes::from_static(b"again");
    assert_eq!(client.call(&address.to_string(), request.clone()).await, Ok(request));
}

#[tokio::test]
async fn nobody_there_and_too_large_are_surely_not_sent() {
    let (address, _echo, running) = serve().await;
    let client = PeerClient::new(Secret::new("ours"), Tls::none());
    let huge = Bytes::from(vec![0; (16 << 20) + 1]);
    assert_eq!(client.call(&address.to_string(), huge).await, Err(CallError::NotSent));
    running.abort();
    let _ = running.await;
    assert_eq!(client.call(&address.to_string(), Bytes::new()).await, Err(CallError::NotSent));
}

#[tokio::test]
async fn without_the_secret_nothing_is_served() {
    let (address, _echo, _running) = serve().await;
    let stranger = PeerClient::new(Secret::new("theirs"), Tls::none());
    assert_eq!(stranger.call(&address.to_string(), Bytes::new()).await, Err(CallError::NotSent));
    let mut raw = TcpStream::connect(address).await.unwrap();
    let mut greeting = [0; 21];
    raw.read_exact(&mut greeting).await.unwrap();
    raw.write_all(&[0; 48]).await.unwrap();
    assert_eq!(raw.read(&mut [0; 1]).await.unwrap(), 0, "closed");
}

#[tokio::test]
async fn a_frame_of_an_impossible_length_ends_the_connection() {
    let (address, _echo, _running) = serve().await;
    let client = PeerClient::new(Secret::new("ours"), Tls::none());
    client.call(&address.to_string(), Bytes::new()).await.unwrap();
    let mut raw = TcpStream::connect(address).await.unwrap();
    raw.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
    raw.write_all(&[0; 64]).await.unwrap();
    let mut all = Vec::new();
    // A reset is as good an end as a close.
    let _ = raw.read_to_end(&mut all).await;
    assert_eq!(all.len(), 21, "only the greeting");
}
