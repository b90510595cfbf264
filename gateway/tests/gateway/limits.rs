//! Ends of sessions, and clients that misbehave.

use crate::{
    client::Client,
    core::{PATIENCE, Stage, entry, unread},
};
use futures_util::{SinkExt, StreamExt};
use meridian_link::{CloseReason, SessionEvent};
use meridian_types::msync::{StatisticsBody, m_sync::Command};
use prost::Message as _;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn a_forced_logout_says_why_and_closes() {
    let mut stage = Stage::new().await;
    for (reason, operation, text) in [
        (CloseReason::Replaced { extension: "other".into() }, 2, Some("other")),
        (CloseReason::PasswordChanged, 3, None),
        (CloseReason::Kicked, 4, None),
        (CloseReason::Removed, 1, None),
    ] {
        let (mut client, mut seat) = Client::log_in(&mut stage).await;
        std::mem::replace(&mut seat.closed, tokio::sync::oneshot::channel().0).send(reason).unwrap();
        let sync = client.sync().await;
        assert_eq!((sync.is_last, sync.metas.len(), sync.metas[0].ns), (Some(true), 1, Some(0)));
        let body = StatisticsBody::decode(sync.metas[0].payload.clone().unwrap()).unwrap();
        assert_eq!((body.operation, body.reason.as_deref()), (Some(operation), text));
        assert_eq!(client.close_code().await, 1000);
        assert!(!seat.detached().await);
    }
}

#[tokio::test]
async fn a_draining_or_vanished_core_closes_without_logging_out() {
    let mut stage = Stage::new().await;
    let (mut client, seat) = Client::log_in(&mut stage).await;
    seat.closed.send(CloseReason::Draining).unwrap();
    assert_eq!(client.close_code().await, 1001);

    let (mut client, seat) = Client::log_in(&mut stage).await;
    drop(seat);
    assert_eq!(client.close_code().await, 1012);
}

#[tokio::test]
async fn a_drain_closes_sessions_and_ends_the_gateway() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::log_in(&mut stage).await;
    let mut anonymous = Client::connect(stage.address).await;
    stage.shut_down();
    assert_eq!(client.close_code().await, 1001);
    assert_eq!(anonymous.close_code().await, 1001);
    assert!(!seat.detached().await);
    stage.stopped().await;
}

#[tokio::test]
async fn a_drain_answers_what_was_sent_before() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::log_in(&mut stage).await;
    client.chat(1, "x").await;
    let (_, answer) = seat.sent().await;
    stage.shut_down();
    answer.send(Err(meridian_link::SendError::Busy)).unwrap();
    assert_eq!(client.sync().await.meta_id, Some(1));
    assert_eq!(client.close_code().await, 1001);
}

#[tokio::test]
async fn the_reason_may_come_after_the_end_of_the_events() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::online(&mut stage, Vec::new()).await;
    drop(std::mem::replace(&mut seat.events, meridian_link::event_queue(1).0));
    seat.closed.send(CloseReason::Kicked).unwrap();
    assert_eq!(client.sync().await.metas[0].ns, Some(0));
    assert_eq!(client.close_code().await, 1000);
}

#[tokio::test]
async fn a_drain_does_not_wait_for_ever() {
    let mut stage = Stage::with(|config| config.drain_timeout = Duration::from_millis(50)).await;
    let (_client_that_does_not_answer, _seat) = Client::log_in(&mut stage).await;
    stage.shut_down();
    stage.stopped().await;
}

#[tokio::test]
async fn frames_that_are_not_understood_close_with_their_code() {
    let mut stage = Stage::with(|config| config.max_frame_bytes = 4096).await;
    for (message, code) in [
        (Message::Text("hello".into()), 1003),
        (Message::Binary(vec![0xff; 10].into()), 1007),
        (Message::Binary(vec![0x40, 0x00, 0x4a, 0x02, 0x0a, 0x7f].into()), 1007),
        (Message::Binary(vec![0x40, 0x02].into()), 1002),
        (Message::Binary(vec![0x40, 0x63].into()), 1002),
        (Message::Binary(vec![0; 5000].into()), 1009),
    ] {
        let (mut client, mut seat) = Client::log_in(&mut stage).await;
        client.socket.send(message.clone()).await.unwrap();
        assert_eq!(client.close_code().await, code);
        assert!(!seat.detached().await);

        let mut client = Client::connect(stage.address).await;
        client.socket.send(message).await.unwrap();
        assert_eq!(client.close_code().await, code);
    }
}

#[tokio::test]
async fn a_silent_client_is_pinged_and_then_closed() {
    let mut stage = Stage::with(|config| {
        config.ping_interval = Duration::from_millis(50);
        config.idle_timeout = Duration::from_millis(200);
    })
    .await;
    let (mut client, mut seat) = Client::log_in(&mut stage).await;
    let message = timeout(PATIENCE, client.socket.next()).await.unwrap().unwrap().unwrap();
    assert!(matches!(message, Message::Ping(_)));
    // No longer read, so pings are not answered.
    assert!(!seat.detached().await);
}

#[tokio::test]
async fn a_client_that_never_reads_is_closed() {
    let mut stage = Stage::with(|config| config.write_timeout = Duration::from_millis(200)).await;
    let (_client, mut seat) = Client::online(&mut stage, Vec::new()).await;
    let mut large = entry(1);
    Arc::make_mut(&mut large).body = Some(vec![b'x'; 60_000].into());
    let events = std::mem::replace(&mut seat.events, meridian_link::event_queue(1).0);
    let flood = tokio::spawn(async move {
        // Ends when the session does.
        while !events.is_closed() {
            events.tell(SessionEvent::Transient(large.clone()));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    assert!(!seat.detached().await);
    timeout(PATIENCE, flood).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_vanishes_is_detached() {
    let mut stage = Stage::new().await;
    let (client, mut seat) = Client::online(&mut stage, vec![unread("alice", 0, 1)]).await;
    drop(client);
    assert!(!seat.detached().await);
}

#[tokio::test]
async fn a_close_is_answered() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::log_in(&mut stage).await;
    client.socket.close(None).await.unwrap();
    let mut answer = timeout(PATIENCE, client.socket.next()).await.unwrap();
    // What was said before the close was read.
    while matches!(answer, Some(Ok(Message::Ping(_)))) {
        answer = timeout(PATIENCE, client.socket.next()).await.unwrap();
    }
    assert!(matches!(answer, Some(Ok(Message::Close(_)))), "{answer:?}");
    assert!(timeout(PATIENCE, client.socket.next()).await.unwrap().is_none(), "the connection ends cleanly");
    assert!(!seat.detached().await);
}

#[tokio::test]
async fn pulls_beyond_the_limit_wait_and_are_all_answered() {
    let mut stage = Stage::with(|config| config.max_in_flight = 2).await;
    let (mut client, mut seat) = Client::online(&mut stage, vec![unread("alice", 0, 1)]).await;
    for _ in 0..6 {
        client.pull("alice", None).await;
    }
    client.send(Command::Unread, None).await;
    seat.pull(0).await.send(Ok(crate::core::batch(1..=1, 1, false))).unwrap();
    assert_eq!(client.delivery().await.1, [1]);
    for _ in 0..5 {
        client.drained("alice").await;
    }
    client.unread().await;
}
