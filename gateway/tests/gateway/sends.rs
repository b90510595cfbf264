//! Sending.

use crate::{
    client::{Client, jid},
    core::Stage,
};
use meridian_link::{RouteTo, SendError, Sent};
use meridian_types::{
    MessageId, Millis,
    msync::{CommSyncDl, Jid, Meta, MucBody, m_sync::Command},
};
use prost::Message as _;
use std::time::Duration;

fn sent(id: u64) -> Result<Sent, SendError> {
    Ok(Sent { message_id: MessageId(id), at: Millis(id + 1), notice: None })
}

fn refusal(answer: &CommSyncDl) -> (i32, &str) {
    let status = answer.status.as_ref().unwrap();
    (status.error_code.unwrap(), status.reason())
}

#[tokio::test]
async fn sends_reach_the_core_in_order_and_answers_return_in_order() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::log_in(&mut stage).await;
    client.chat(1, "one").await;
    client.chat(2, "two").await;
    let (first, answer_first) = seat.sent().await;
    let (second, answer_second) = seat.sent().await;
    assert_eq!((first.client_id, &first.body[..], first.to.as_str()), (1, &b"one"[..], "alice"));
    assert_eq!((second.client_id, &second.body[..]), (2, &b"two"[..]));
    assert_eq!((first.route, first.to_conference, first.to_device), (RouteTo::Everyone, false, None));
    answer_second.send(sent(22)).unwrap();
    answer_first.send(sent(11)).unwrap();
    for (id, message_id) in [(1, 11), (2, 22)] {
        let answer = client.sync().await;
        assert_eq!((answer.meta_id, answer.server_id), (Some(id), Some(message_id)));
        assert_eq!((answer.timestamp, answer.queue), (Some(message_id + 1), None));
        assert_eq!(answer.status.unwrap().error_code, Some(0));
    }
}

#[tokio::test]
async fn an_edit_is_answered_with_its_notice_and_a_refusal_with_its_text() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::log_in(&mut stage).await;
    client.chat(1, "edit").await;
    let notice = Some(r#"{"edit_msg":{"count":1}}"#.to_owned());
    seat.sent().await.1.send(Ok(Sent { message_id: MessageId(5), at: Millis(6), notice })).unwrap();
    let answer = client.sync().await;
    assert_eq!(answer.metas[0].ns, Some(5));
    assert_eq!(answer.metas[0].payload.as_deref(), Some(&br#"{"edit_msg":{"count":1}}"#[..]));

    client.chat(2, "large").await;
    seat.sent().await.1.send(Err(SendError::TooLarge { limit: 5 })).unwrap();
    assert_eq!(refusal(&client.sync().await), (7, "Sorry, data is too large"));
}

#[tokio::test]
async fn a_core_that_drops_or_delays_a_send_is_busy() {
    let mut stage = Stage::with(|config| config.answer_timeout = Duration::from_millis(100)).await;
    let (mut client, mut seat) = Client::log_in(&mut stage).await;
    client.chat(1, "dropped").await;
    drop(seat.sent().await);
    let answer = client.sync().await;
    assert_eq!((answer.meta_id, refusal(&answer)), (Some(1), (1, "server busy")));

    client.chat(2, "slow").await;
    client.chat(3, "slow too").await;
    let _held = (seat.sent().await, seat.sent().await);
    for id in [2, 3] {
        let answer = client.sync().await;
        assert_eq!((answer.meta_id, refusal(&answer)), (Some(id), (1, "server busy")));
    }
}

#[tokio::test]
async fn groups_and_unknown_namespaces_are_refused_and_statistics_are_not_answered() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::log_in(&mut stage).await;
    let room = Jid { domain: Some("conference.easemob.com".into()), ..jid("r1") };
    let join = MucBody { muc_id: Some(room), operation: Some(2), ..MucBody::default() };
    let item = |id, ns, payload: Vec<u8>| Meta {
        id: Some(id),
        ns: Some(ns),
        payload: Some(payload.into()),
        ..Meta::default()
    };
    client.item(item(1, 0, vec![8, 0])).await;
    client.item(item(2, 2, join.encode_to_vec())).await;
    client.item(item(3, 9, Vec::new())).await;
    let answer = client.sync().await;
    assert_eq!((answer.meta_id, refusal(&answer)), (Some(2), (1, "grpID r1 does not exist!")));
    let answer = client.sync().await;
    assert_eq!((answer.meta_id, refusal(&answer).0), (Some(3), 1));
    assert!(seat.nothing_called());
}

#[tokio::test]
async fn a_client_with_too_many_unanswered_sends_is_not_read() {
    let mut stage = Stage::with(|config| config.max_in_flight = 2).await;
    let (mut client, mut seat) = Client::log_in(&mut stage).await;
    for id in 1..=3 {
        client.chat(id, "x").await;
    }
    let (_, first) = seat.sent().await;
    let (_, _second) = seat.sent().await;
    first.send(sent(11)).unwrap();
    assert_eq!(client.sync().await.meta_id, Some(1));
    assert_eq!(seat.sent().await.0.client_id, 3);
}

#[tokio::test]
async fn an_item_without_an_id_ends_the_session() {
    let mut stage = Stage::new().await;
    let (mut client, _seat) = Client::log_in(&mut stage).await;
    client.chat(0, "x").await;
    assert_eq!(client.close_code().await, 1002);
}

#[tokio::test]
async fn a_logout_detaches_for_good() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::log_in(&mut stage).await;
    client.send(Command::Logout, None).await;
    assert!(seat.detached().await);
    assert_eq!(client.close_code().await, 1000);
}
