//! REST over the link.

use crate::scripted::{ENOUGH, Region, SECRET, edge, start};
use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use meridian_link::{Body, BodyError, Core, Cores, Patience, Tls, bytes_body, empty_body, peer::Secret};
use std::sync::Arc;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

fn request(method: &str, uri: &str, body: Body) -> http::Request<Body> {
    http::Request::builder()
        .method(method)
        .uri(uri)
        .header("host", "chat.example.org:8443")
        .header("connection", "keep-alive")
        .body(body)
        .unwrap()
}

#[tokio::test]
async fn a_request_arrives_with_its_host_and_without_what_is_of_the_connection() {
    let region = Arc::<Region>::default();
    let core = start(&region).await;
    let edge = edge(&[core.address]).await;
    for method in ["GET", "POST", "DELETE"] {
        let answer = edge.rest(request(method, "/org/app/users?limit=5", bytes_body("{}"))).await;
        assert_eq!(answer.status(), 418);
        let seen = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(seen, format!("{method} /org/app/users chat.example.org:8443 -"));
    }
    let answer = edge.rest(request("GET", "/meridian.link/1/sessions", empty_body())).await;
    assert_eq!(answer.status(), 404, "the link's own paths are not for clients");
}

#[tokio::test]
async fn bodies_stream_both_ways() {
    let region = Arc::<Region>::default();
    let core = start(&region).await;
    let edge = edge(&[core.address]).await;
    let (sender, mut parts) = mpsc::channel::<Bytes>(1);
    let stream = futures_util::stream::poll_fn(move |cx| parts.poll_recv(cx));
    let frames = futures_util::StreamExt::map(stream, |part| Ok::<_, BodyError>(Frame::data(part)));
    let answer = edge.rest(request("POST", "/echo", StreamBody::new(frames).boxed_unsync()));
    let mut answer =
        timeout(ENOUGH, answer).await.expect("an answer before the request has ended").into_body();
    // 64 MiB, each part answered before the next one is sent: nothing waits for the whole.
    for number in 0..64_u8 {
        sender.send(vec![number; 1 << 20].into()).await.unwrap();
        let mut read = 0;
        while read < 1 << 20 {
            let data = timeout(ENOUGH, answer.frame()).await.unwrap().unwrap().unwrap().into_data().unwrap();
            assert!(data.iter().all(|byte| *byte == number));
            read += data.len();
        }
    }
    drop(sender);
    // The end may come with an empty piece.
    assert!(timeout(ENOUGH, answer.collect()).await.unwrap().unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn without_a_core_a_request_is_answered_503() {
    let (_, list) = watch::channel(vec!["127.0.0.1:1".to_owned()]);
    let edge = Cores::connect(list, Secret::new(SECRET), Tls::none(), Patience::default());
    let answer = timeout(ENOUGH, edge.rest(request("GET", "/org/app/users", empty_body()))).await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert!(!edge.is_ready());
}
