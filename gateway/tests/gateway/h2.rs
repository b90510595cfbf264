//! HTTP/2, and WebSockets over it.

use crate::{
    client::Client,
    core::{PATIENCE, Stage, batch, unread},
};
use futures_util::{StreamExt, TryStreamExt};
use http_body_util::BodyExt;
use hyper::{body::Incoming, client::conn::http2, ext::Protocol, rt::Executor, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use meridian_link::{Body, bytes_body, empty_body};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

/// A client's connection, which ends when this is dropped.
pub(crate) struct Http2 {
    sender: http2::SendRequest<Body>,
    running: JoinHandle<Result<(), hyper::Error>>,
    tasks: Tasks,
}

/// What the client's part of hyper starts.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        self.0.lock().unwrap().spawn(task);
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.running.abort();
        self.tasks.0.lock().unwrap().abort_all();
    }
}

impl Http2 {
    /// Without TLS, by prior knowledge.
    pub(crate) async fn connect(stage: &Stage) -> Self {
        Self::over(TcpStream::connect(stage.address).await.unwrap(), None).await
    }

    /// `window`: what the server may send on each stream before it is read.
    pub(crate) async fn over<S>(stream: S, window: Option<u32>) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let tasks = Tasks::default();
        let mut builder = http2::Builder::new(tasks.clone());
        builder.initial_stream_window_size(window);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        Self { sender, running: tokio::spawn(connection), tasks }
    }

    pub(crate) async fn ask(
        &mut self,
        request: http::Request<Body>,
    ) -> Result<http::Response<Incoming>, hyper::Error> {
        timeout(PATIENCE, self.sender.ready()).await.expect("not ready")?;
        timeout(PATIENCE, self.sender.send_request(request)).await.expect("no answer")
    }

    pub(crate) async fn get(&mut self, path: &str) -> http::Response<Incoming> {
        self.ask(get(path)).await.unwrap()
    }

    pub(crate) async fn text(&mut self, path: &str) -> String {
        text(self.get(path).await).await
    }

    /// The handshake of a WebSocket. It needs the server's settings, which come with the first answer.
    pub(crate) async fn open(&mut self) -> http::Response<Incoming> {
        assert_eq!(self.get("/healthz").await.status(), 200);
        self.ask(handshake("13")).await.unwrap()
    }

    pub(crate) async fn websocket(&mut self) -> Client<TokioIo<Upgraded>> {
        let response = self.open().await;
        assert_eq!(response.status(), 200);
        assert!(response.headers().get("sec-websocket-accept").is_none());
        let stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
        Client { socket: WebSocketStream::from_raw_socket(stream, Role::Client, None).await }
    }

    /// Waits until the server has closed the connection.
    pub(crate) async fn closed(mut self) {
        let _ = timeout(PATIENCE, &mut self.running).await.expect("the connection stays open");
    }
}

pub(crate) fn get(path: &str) -> http::Request<Body> {
    http::Request::get(format!("http://x{path}")).body(empty_body()).unwrap()
}

pub(crate) fn handshake(version: &str) -> http::Request<Body> {
    http::Request::connect("http://x/websocket")
        .version(http::Version::HTTP_2)
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", version)
        .body(empty_body())
        .unwrap()
}

pub(crate) async fn text(response: http::Response<Incoming>) -> String {
    let body = timeout(PATIENCE, response.into_body().collect()).await.expect("no end").unwrap();
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn requests_are_answered_by_prior_knowledge() {
    let stage = Stage::new().await;
    let mut http2 = Http2::connect(&stage).await;
    assert_eq!(http2.get("/healthz").await.status(), 200);
    let response = http2.get("/org/app/users").await;
    assert_eq!((response.status().as_u16(), response.version()), (404, http::Version::HTTP_2));
    assert!(response.headers().contains_key("x-request-id"));
    let body = vec![b'x'; 500_000];
    let echo = http::Request::post("http://x/org/app/echo").body(bytes_body(body.clone())).unwrap();
    assert_eq!(text(http2.ask(echo).await.unwrap()).await.into_bytes(), body);
}

#[tokio::test]
async fn a_slow_request_does_not_hold_up_others() {
    let stage = Stage::new().await;
    let mut http2 = Http2::connect(&stage).await;
    let slow = http2.sender.send_request(get("/org/app/held"));
    stage.held().await;
    assert_eq!(http2.get("/healthz").await.status(), 200);
    stage.release();
    assert_eq!(text(timeout(PATIENCE, slow).await.unwrap().unwrap()).await, "{}");
}

#[tokio::test]
async fn websockets_share_a_connection_and_not_their_fate() {
    let mut stage = Stage::new().await;
    let mut http2 = Http2::connect(&stage).await;
    let mut first = http2.websocket().await;
    assert_eq!(first.provision().await.status.unwrap().error_code, Some(0));
    let mut first_seat = stage.seat().await;
    let mut second = http2.websocket().await;
    assert_eq!(second.provision().await.status.unwrap().error_code, Some(0));
    let mut second_seat = stage.seat().await;

    first.chat(1, "from the first").await;
    let (submission, _unanswered) = first_seat.sent().await;
    assert_eq!(submission.body, "from the first");
    second.chat(1, "from the second").await;
    let (submission, answer) = second_seat.sent().await;
    assert_eq!(submission.body, "from the second");

    first.socket.close(None).await.unwrap();
    let mut rest: Vec<_> = first.socket.by_ref().try_collect().await.expect("the stream ends cleanly");
    rest.retain(|message| !message.is_ping());
    assert!(matches!(rest[..], [Message::Close(_)]), "{rest:?}");
    assert!(!first_seat.detached().await);
    answer.send(Err(meridian_link::SendError::Busy)).unwrap();
    assert_eq!(second.sync().await.meta_id, Some(1));

    // Gone with its connection.
    drop(http2);
    assert!(!second_seat.detached().await);
}

#[tokio::test]
async fn a_batch_larger_than_every_window_arrives_whole() {
    let mut stage = Stage::new().await;
    let mut http2 = Http2::over(TcpStream::connect(stage.address).await.unwrap(), Some(10_000)).await;
    let mut client = http2.websocket().await;
    client.provision().await;
    let mut seat = stage.seat().await;
    client.send(meridian_types::msync::m_sync::Command::Unread, None).await;
    seat.unread(vec![unread("alice", 0, 1)]).await;
    client.unread().await;
    client.pull("alice", None).await;
    let mut large = batch(1..=50, 50, false);
    for entry in &mut large.entries {
        Arc::make_mut(entry).body = Some(vec![b'x'; 5000].into());
    }
    seat.pull(0).await.send(Ok(large)).unwrap();
    let sync = client.sync().await;
    assert_eq!(sync.metas.len(), 50);
    assert!(sync.metas.iter().all(|meta| meta.payload.as_ref().unwrap().len() == 5000));
}

#[tokio::test]
async fn what_is_no_websocket_is_refused() {
    let stage = Stage::new().await;
    let mut http2 = Http2::connect(&stage).await;
    let response = http2.get("/websocket").await;
    assert_eq!(response.status(), 426);
    assert_eq!(response.headers()["sec-websocket-version"], "13");
    assert_eq!(http2.ask(handshake("8")).await.unwrap().status(), 426);
    let tunnel = http::Request::connect("x:443").version(http::Version::HTTP_2).body(empty_body()).unwrap();
    assert_eq!(http2.ask(tunnel).await.unwrap().status(), 405);
}

#[tokio::test]
async fn a_drain_lets_requests_finish_and_closes_websockets() {
    let mut stage = Stage::new().await;
    let mut http2 = Http2::connect(&stage).await;
    let idle = Http2::connect(&stage).await;
    let mut client = http2.websocket().await;
    client.provision().await;
    let mut seat = stage.seat().await;
    let slow = http2.sender.send_request(get("/org/app/held"));
    stage.held().await;

    stage.shut_down();
    assert_eq!(client.close_code().await, 1001);
    // The answer to the close.
    assert!(client.socket.next().await.is_none());
    assert!(!seat.detached().await);
    idle.closed().await;
    stage.release();
    assert_eq!(text(timeout(PATIENCE, slow).await.unwrap().unwrap()).await, "{}");
    http2.closed().await;
    stage.stopped().await;
}

#[tokio::test]
async fn a_drain_does_not_wait_for_ever_for_streams() {
    let mut stage = Stage::with(|config| config.drain_timeout = Duration::from_millis(50)).await;
    let mut http2 = Http2::connect(&stage).await;
    let _client_that_does_not_answer = http2.websocket().await;
    let _slow = http2.sender.send_request(get("/org/app/held"));
    stage.held().await;
    stage.shut_down();
    stage.stopped().await;
}
