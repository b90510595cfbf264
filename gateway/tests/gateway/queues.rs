//! Delivery: lists, pulls, pushes, wake-ups.

use crate::{
    client::{Client, jid},
    core::{Call, Stage, at, batch, entry, unread},
};
use meridian_link::{Batch, LinkError, SessionEvent};
use meridian_types::msync::m_sync::Command;
use std::{sync::Arc, time::Duration};

#[tokio::test]
async fn a_listed_queue_is_pulled_acknowledged_and_drained() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::log_in(&mut stage).await;
    client.send(Command::Unread, None).await;
    seat.unread(vec![unread("alice", 4, 3), unread("carol", 0, 7)]).await;
    let list = client.unread().await;
    let listed: Vec<_> = list.unread.iter().map(|q| (q.queue.clone().unwrap(), q.n())).collect();
    assert_eq!(listed, [(jid("alice"), 3), (jid("carol"), 7)]);

    client.pull("alice", None).await;
    seat.pull(4).await.send(Ok(batch(5..=6, 6, true))).unwrap();
    let (first, seqs) = client.delivery().await;
    assert_eq!(seqs, [5, 6]);

    client.pull("alice", Some(first)).await;
    assert_eq!(seat.acknowledged().await, 6);
    seat.pull(6).await.send(Ok(batch(7..=7, 9, false))).unwrap();
    let (second, seqs) = client.delivery().await;
    assert_eq!(seqs, [7]);
    assert!(second > first);

    client.pull("alice", Some(second)).await;
    assert_eq!(seat.acknowledged().await, 9, "what follows and is for others counts too");
    client.drained("alice").await;
}

#[tokio::test]
async fn a_pull_without_a_key_never_repeats_what_was_sent() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::online(&mut stage, vec![unread("alice", 0, 2)]).await;
    client.pull("alice", None).await;
    client.pull("alice", None).await;
    seat.pull(0).await.send(Ok(batch(1..=2, 2, false))).unwrap();
    assert_eq!(client.delivery().await.1, [1, 2]);
    client.drained("alice").await;
    assert!(seat.nothing_called());
}

#[tokio::test]
async fn an_unknown_queue_is_empty() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::online(&mut stage, Vec::new()).await;
    client.pull("nobody", Some(77)).await;
    client.drained("nobody").await;
    client.pull("not a name!", None).await;
    client.drained("not a name!").await;
    assert!(seat.nothing_called());
}

#[tokio::test]
async fn a_stretch_for_others_is_skipped_in_one_pull() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::online(&mut stage, vec![unread("alice", 0, 1)]).await;
    client.pull("alice", None).await;
    let for_others = Batch { entries: Vec::new(), position: at(100), more: true };
    seat.pull(0).await.send(Ok(for_others)).unwrap();
    seat.pull(100).await.send(Ok(batch(101..=101, 101, false))).unwrap();
    assert_eq!(client.delivery().await.1, [101]);
}

#[tokio::test]
async fn entries_of_a_caught_up_conversation_are_pushed() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::online(&mut stage, Vec::new()).await;
    seat.entry(5).await;
    let (first, seqs) = client.delivery().await;
    assert_eq!(seqs, [5]);
    seat.entry(6).await;
    let (second, seqs) = client.delivery().await;
    assert_eq!(seqs, [6]);
    client.pull("alice", Some(second)).await;
    assert_eq!(seat.acknowledged().await, 6, "a key acknowledges earlier batches");
    client.drained("alice").await;
    client.pull("alice", Some(first)).await;
    client.drained("alice").await;
    assert!(seat.nothing_called(), "the core is told once");
}

#[tokio::test]
async fn an_own_send_is_acknowledged_and_not_delivered() {
    let mut stage = Stage::new().await;
    let (_client, mut seat) = Client::online(&mut stage, Vec::new()).await;
    seat.event(SessionEvent::Entry { entry: entry(5), position: at(5), deliver: false }).await;
    assert_eq!(seat.acknowledged().await, 5);
}

#[tokio::test]
async fn a_transient_message_is_pushed_without_a_key() {
    let mut stage = Stage::new().await;
    let (mut client, seat) = Client::online(&mut stage, Vec::new()).await;
    seat.event(SessionEvent::Transient(entry(5))).await;
    let sync = client.sync().await;
    assert_eq!((sync.is_last, sync.next_key, sync.metas.len()), (Some(true), None, 1));
    assert_eq!(sync.queue, Some(jid("alice")));
}

#[tokio::test]
async fn a_gap_is_noticed_and_pulled() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::online(&mut stage, Vec::new()).await;
    seat.entry(5).await;
    let (key, _) = client.delivery().await;
    client.pull("alice", Some(key)).await;
    assert_eq!(seat.acknowledged().await, 5);
    client.drained("alice").await;

    seat.entry(7).await;
    client.drained("alice").await; // clears what the client may remember
    assert_eq!(client.notice().await, "alice");
    seat.entry(8).await;
    client.pull("alice", None).await;
    seat.pull(5).await.send(Ok(batch(7..=8, 8, false))).unwrap();
    let (key, seqs) = client.delivery().await;
    assert_eq!(seqs, [7, 8]);
    client.pull("alice", Some(key)).await;
    assert_eq!(seat.acknowledged().await, 8);
    client.drained("alice").await;
}

#[tokio::test]
async fn a_client_that_does_not_ask_is_sent_what_is_owed() {
    let mut stage = Stage::with(|config| config.push_after = Duration::from_millis(20)).await;
    let (mut client, mut seat) = Client::log_in(&mut stage).await;
    seat.unread(vec![unread("alice", 0, 1)]).await;
    seat.pull(0).await.send(Ok(batch(1..=2, 2, false))).unwrap();
    let (key, seqs) = client.delivery().await;
    assert_eq!(seqs, [1, 2]);
    client.send(Command::Unread, None).await;
    assert!(client.unread().await.unread.is_empty(), "sent already");
    client.pull("alice", Some(key)).await;
    assert_eq!(seat.acknowledged().await, 2);
    client.drained("alice").await;
}

#[tokio::test]
async fn what_was_noticed_and_not_pulled_is_sent() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::online(&mut stage, Vec::new()).await;
    seat.entry(5).await;
    let (key, _) = client.delivery().await;
    client.pull("alice", Some(key)).await;
    assert_eq!(seat.acknowledged().await, 5);
    client.drained("alice").await;

    seat.entry(7).await;
    client.drained("alice").await;
    assert_eq!(client.notice().await, "alice");
    seat.pull(5).await.send(Ok(batch(7..=7, 7, false))).unwrap();
    let (key, seqs) = client.delivery().await;
    assert_eq!(seqs, [7]);
    // The pull comes late.
    client.pull("alice", None).await;
    client.drained("alice").await;
    client.pull("alice", Some(key)).await;
    assert_eq!(seat.acknowledged().await, 7);
    client.drained("alice").await;
}

#[tokio::test]
async fn no_wake_up_is_lost_while_the_core_is_asked() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::online(&mut stage, vec![unread("alice", 0, 1)]).await;
    client.pull("alice", None).await;
    let answer = seat.pull(0).await;
    seat.entry(1).await;
    seat.entry(2).await;
    // Both events must be in before the pull is answered: a send is answered after them.
    client.chat(9, "x").await;
    drop(seat.sent().await);
    assert_eq!(client.sync().await.meta_id, Some(9));
    answer.send(Ok(batch(1..=1, 1, false))).unwrap();
    let (key, seqs) = client.delivery().await;
    assert_eq!(seqs, [1]);
    client.pull("alice", Some(key)).await;
    assert_eq!(seat.acknowledged().await, 1);
    seat.pull(1).await.send(Ok(batch(2..=2, 2, false))).unwrap();
    assert_eq!(client.delivery().await.1, [2]);
}

#[tokio::test]
async fn a_failed_pull_is_answered_and_offered_again() {
    let mut stage = Stage::with(|config| config.retry_delay = Duration::from_millis(20)).await;
    let (mut client, mut seat) = Client::online(&mut stage, vec![unread("alice", 0, 1)]).await;
    client.pull("alice", None).await;
    seat.pull(0).await.send(Err(LinkError::Busy)).unwrap();
    client.drained("alice").await;
    assert_eq!(client.notice().await, "alice");
    client.pull("alice", None).await;
    seat.pull(0).await.send(Ok(batch(1..=1, 1, false))).unwrap();
    assert_eq!(client.delivery().await.1, [1]);
}

#[tokio::test]
async fn an_answer_is_not_held_up_by_a_slow_pull() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::online(&mut stage, vec![unread("alice", 0, 1)]).await;
    client.pull("alice", None).await;
    let _slow = seat.pull(0).await;
    client.chat(1, "x").await;
    drop(seat.sent().await);
    assert_eq!(client.sync().await.meta_id, Some(1));
}

#[tokio::test]
async fn a_list_that_fails_is_answered_and_tried_again() {
    let mut stage = Stage::with(|config| config.retry_delay = Duration::from_millis(20)).await;
    let (mut client, mut seat) = Client::log_in(&mut stage).await;
    client.send(Command::Unread, None).await;
    let Call::Unread(answer) = seat.call().await else { panic!("no list asked for") };
    answer.send(Err(LinkError::Unavailable)).unwrap();
    assert!(client.unread().await.unread.is_empty());
    seat.unread(vec![unread("alice", 0, 1)]).await;
    client.drained("alice").await;
    assert_eq!(client.notice().await, "alice");
}

#[tokio::test]
async fn a_heartbeat_is_answered_without_the_core_and_lists_what_is_owed() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::online(&mut stage, vec![unread("alice", 0, 1)]).await;
    client.send(Command::Unread, None).await;
    let list = client.unread().await;
    assert_eq!(list.unread[0].queue, Some(jid("alice")));
    client.pull("alice", None).await;
    seat.pull(0).await.send(Ok(batch(1..=1, 1, false))).unwrap();
    client.delivery().await;
    client.send(Command::Unread, None).await;
    assert!(client.unread().await.unread.is_empty(), "sent on this connection, though not acknowledged");
    assert!(seat.nothing_called());
}

#[tokio::test]
async fn after_a_gap_in_events_the_list_is_asked_for_again() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::online(&mut stage, Vec::new()).await;
    seat.event(SessionEvent::Lagged).await;
    let Call::Unread(answer) = seat.call().await else { panic!("no list asked for") };
    // Cannot be judged before the list is there, and must not be pushed.
    seat.entry(9).await;
    client.chat(1, "x").await;
    drop(seat.sent().await);
    assert_eq!(client.sync().await.meta_id, Some(1));
    answer.send(Ok(vec![unread("alice", 4, 5)])).unwrap();
    client.drained("alice").await;
    assert_eq!(client.notice().await, "alice");
    client.pull("alice", None).await;
    seat.pull(4).await.send(Ok(batch(5..=9, 9, false))).unwrap();
    assert_eq!(client.delivery().await.1, [5, 6, 7, 8, 9]);
}

#[tokio::test]
async fn events_wait_for_the_first_list() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::log_in(&mut stage).await;
    seat.entry(5).await;
    client.send(Command::Unread, None).await;
    seat.unread(vec![unread("alice", 3, 2)]).await;
    assert_eq!(client.unread().await.unread.len(), 1);
    client.pull("alice", None).await;
    seat.pull(3).await.send(Ok(batch(4..=5, 5, false))).unwrap();
    assert_eq!(client.delivery().await.1, [4, 5]);
}

#[tokio::test]
async fn a_large_batch_arrives_whole() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::online(&mut stage, vec![unread("alice", 0, 1)]).await;
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
async fn keys_grow_across_connections_of_a_device() {
    let mut stage = Stage::new().await;
    let mut last = 0;
    for _ in 0..3 {
        let (mut client, seat) = Client::online(&mut stage, Vec::new()).await;
        seat.entry(5).await;
        let (key, _) = client.delivery().await;
        assert!(key > last);
        last = key;
    }
}
