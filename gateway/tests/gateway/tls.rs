//! TLS: both protocols over it, certificates that change, and handshakes that do not end.

use crate::{
    client::Client,
    core::{PATIENCE, Stage, batch, unread},
    h2::Http2,
};
use meridian_gateway::{GatewayConfig, TlsFiles};
use meridian_types::msync::m_sync::Command;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, crypto::ring, pki_types::ServerName};
use std::{fs, io, net::SocketAddr, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::client_async;

/// A certificate and its key in files, and a gateway's configuration that names them.
struct Certificate {
    folder: TempDir,
    made: CertifiedKey<KeyPair>,
}

fn make() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

impl Certificate {
    fn new() -> Self {
        let certificate = Self { folder: TempDir::new().unwrap(), made: make() };
        certificate.write(&certificate.made, &certificate.made);
        certificate
    }

    fn files(&self) -> TlsFiles {
        TlsFiles {
            certificate: self.folder.path().join("chain.pem"),
            key: self.folder.path().join("key.pem"),
        }
    }

    fn write(&self, certificate: &CertifiedKey<KeyPair>, key: &CertifiedKey<KeyPair>) {
        let files = self.files();
        fs::write(&files.certificate, certificate.cert.pem()).unwrap();
        fs::write(&files.key, key.signing_key.serialize_pem()).unwrap();
    }

    async fn stage(&self, change: impl FnOnce(&mut GatewayConfig)) -> Stage {
        Stage::with(|config| {
            config.tls = Some(self.files());
            config.tls_reload_interval = Duration::from_millis(10);
            change(config);
        })
        .await
    }
}

/// A client that trusts one certificate, remembers sessions, and offers some protocols.
fn client(trusted: &CertifiedKey<KeyPair>, protocols: &[&str]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.cert.der().clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

async fn connect(client: &TlsConnector, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let handshake = client.connect(ServerName::try_from("localhost").unwrap(), stream);
    timeout(PATIENCE, handshake).await.expect("no handshake")
}

/// One request of HTTP/1.1, to the end of the connection.
async fn ask(stream: &mut TlsStream<TcpStream>, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // Ends with a notice: cut off, it would be an error.
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("stays open").unwrap();
    answer
}

#[tokio::test]
async fn the_protocol_is_what_the_client_offers() {
    let certificate = Certificate::new();
    let stage = certificate.stage(|_| {}).await;
    for (offered, chosen) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let mut stream = connect(&client(&certificate.made, offered), stage.address).await.unwrap();
        let found = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        assert_eq!(found.as_deref(), chosen.map(str::as_bytes));
        let seen = if chosen == Some("h2") {
            Http2::over(stream, None).await.text("/org/app/forwarded").await
        } else {
            ask(&mut stream, "/org/app/forwarded").await
        };
        assert!(seen.ends_with(r#"["127.0.0.1"] ["https"]"#), "{seen}");
    }
    let stranger = connect(&client(&certificate.made, &["spdy/3"]), stage.address).await;
    assert!(stranger.is_err());
}

#[tokio::test]
async fn websockets_over_both_protocols_carry_large_batches_and_drain() {
    let certificate = Certificate::new();
    let mut stage = certificate.stage(|_| {}).await;
    let stream = connect(&client(&certificate.made, &["http/1.1"]), stage.address).await.unwrap();
    let (socket, _) = client_async("wss://localhost/websocket", stream).await.unwrap();
    let mut over_http1 = Client { socket };
    let stream = connect(&client(&certificate.made, &["h2"]), stage.address).await.unwrap();
    let mut http2 = Http2::over(stream, None).await;
    let mut over_http2 = http2.websocket().await;

    macro_rules! works {
        ($client:ident) => {{
            assert_eq!($client.provision().await.status.unwrap().error_code, Some(0));
            let mut seat = stage.seat().await;
            assert_eq!(seat.login.address, Some([127, 0, 0, 1].into()));
            $client.send(Command::Unread, None).await;
            seat.unread(vec![unread("alice", 0, 1)]).await;
            $client.unread().await;
            $client.pull("alice", None).await;
            let mut large = batch(1..=50, 50, false);
            for entry in &mut large.entries {
                Arc::make_mut(entry).body = Some(vec![b'x'; 20_000].into());
            }
            seat.pull(0).await.send(Ok(large)).unwrap();
            assert_eq!($client.sync().await.metas.len(), 50);
            seat
        }};
    }
    let _seats = (works!(over_http1), works!(over_http2));
    stage.shut_down();
    assert_eq!(over_http1.close_code().await, 1001);
    assert_eq!(over_http2.close_code().await, 1001);
    // Their answers to the close.
    assert!(futures_util::StreamExt::next(&mut over_http1.socket).await.is_none());
    assert!(futures_util::StreamExt::next(&mut over_http2.socket).await.is_none());
    stage.stopped().await;
}

#[tokio::test]
async fn a_new_certificate_serves_without_a_restart() {
    let certificate = Certificate::new();
    let stage = certificate.stage(|_| {}).await;
    let (new, old) = (make(), &certificate.made);
    let stream = connect(&client(old, &["h2"]), stage.address).await.unwrap();
    let mut open_before = Http2::over(stream, None).await;
    assert_eq!(open_before.get("/healthz").await.status(), 200);

    // The second file comes later; until then nothing changes for anybody.
    certificate.write(&new, old);
    for _ in 0..20 {
        connect(&client(old, &[]), stage.address).await.unwrap();
    }
    certificate.write(&new, &new);
    let replaced = async { while connect(&client(&new, &[]), stage.address).await.is_err() {} };
    timeout(PATIENCE, replaced).await.expect("not replaced");
    assert!(connect(&client(old, &[]), stage.address).await.is_err());
    assert_eq!(open_before.get("/healthz").await.status(), 200);
}

#[tokio::test]
async fn a_gateway_with_a_bad_certificate_does_not_start() {
    let certificate = Certificate::new();
    certificate.write(&make(), &certificate.made);
    let config = GatewayConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        tls: Some(certificate.files()),
        ..GatewayConfig::default()
    };
    let error = meridian_gateway::Gateway::bind(config, crate::core::idle_core()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn a_client_that_comes_back_resumes_its_session() {
    let certificate = Certificate::new();
    let stage = certificate.stage(|_| {}).await;
    let client = client(&certificate.made, &["http/1.1"]);
    for expected in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
        let mut stream = connect(&client, stage.address).await.unwrap();
        // The ticket comes after the handshake.
        assert!(ask(&mut stream, "/healthz").await.starts_with("HTTP/1.1 200"));
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(expected));
    }
}

#[tokio::test]
async fn handshakes_that_dawdle_are_closed_and_hold_up_nobody_for_long() {
    let certificate = Certificate::new();
    let stage = certificate
        .stage(|config| {
            config.header_timeout = Duration::from_secs(2);
            config.max_handshakes = 1;
        })
        .await;
    let mut silent = TcpStream::connect(stage.address).await.unwrap();
    let mut plain = TcpStream::connect(stage.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, plain.read_to_end(&mut answer)).await.expect("stays open");
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    // Who says nothing has no place among the handshakes.
    let stream = connect(&client(&certificate.made, &[]), stage.address).await;
    assert!(ask(&mut stream.unwrap(), "/healthz").await.starts_with("HTTP/1.1 200"));

    // The begin of a handshake's record.
    silent.write_all(&[22, 3, 1, 1]).await.unwrap();
    timeout(PATIENCE, silent.read_to_end(&mut Vec::new())).await.expect("stays open").unwrap();
    let stream = connect(&client(&certificate.made, &[]), stage.address).await;
    assert!(ask(&mut stream.unwrap(), "/healthz").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_drain_ends_connections_that_have_not_begun() {
    let certificate = Certificate::new();
    let mut stage = certificate.stage(|config| config.header_timeout = Duration::from_secs(3600)).await;
    let _silent = TcpStream::connect(stage.address).await.unwrap();
    let mut shaken = connect(&client(&certificate.made, &[]), stage.address).await.unwrap();
    stage.shut_down();
    let _ = timeout(PATIENCE, shaken.read_to_end(&mut Vec::new())).await.expect("stays open");
    stage.stopped().await;
}
