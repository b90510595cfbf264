//! The writer, when the store fails.

mod common;

use common::{World, body, user};
use meridian_chat::{OutgoingMessage, Target};
use meridian_ports::Store;
use meridian_replication::{compare, replay, verify};
use meridian_types::room::Priority;
use meridian_types::session::SendError;
use prost::Message;
use std::sync::atomic::Ordering;

#[tokio::test]
async fn a_full_store_refuses_and_recovers() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    let bob = world.login("bob", "b1").await;
    alice.text("bob", "before").await;
    world.store.mode.store(1, Ordering::SeqCst);
    let refused = alice.submission("bob", &body("alice", "bob", "refused"));
    assert_eq!(alice.submit(refused.clone()).await, Err(SendError::StorageFull));
    world.store.mode.store(0, Ordering::SeqCst);
    alice.submit(refused).await.unwrap();
    alice.text("bob", "after").await;
    assert_eq!(bob.catch_up().await, ["before", "refused", "after"]);
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_the_log() {
    for (mode, stored) in [(2, true), (3, false)] {
        let world = World::new().await;
        let alice = world.login("alice", "a1").await;
        let bob = world.login("bob", "b1").await;
        alice.text("bob", "before").await;
        world.store.mode.store(mode, Ordering::SeqCst);
        let sent = alice.submit(alice.submission("bob", &body("alice", "bob", "unsure"))).await;
        assert_eq!(sent.is_ok(), stored, "an answer says what happened");
        world.store.mode.store(0, Ordering::SeqCst);
        alice.text("bob", "after").await;
        let expected = if stored { vec!["before", "unsure", "after"] } else { vec!["before", "after"] };
        assert_eq!(bob.catch_up().await, expected);
    }
}

/// A send by REST has no id that would show a second one.
#[tokio::test]
async fn what_may_have_happened_is_not_done_again() {
    let world = World::new().await;
    let bob = world.login("bob", "b1").await;
    let send = async |text: &str| {
        let message = OutgoingMessage {
            priority: Priority::default(),
            is_broadcast: false,
            from: user("alice"),
            to: Target::User(user("bob")),
            only: Vec::new(),
            body: body("alice", "bob", text).encode_to_vec().into(),
            sync_device: false,
            online_only: false,
            at: None,
        };
        world.chat.send(&world.app, message).await
    };
    send("before").await.unwrap();
    world.store.mode.store(4, Ordering::SeqCst);
    assert!(send("unsure").await.is_err());
    send("after").await.unwrap();
    assert_eq!(bob.catch_up().await, ["before", "unsure", "after"]);
}

#[tokio::test]
async fn many_commands_at_once_commit_in_order_and_replay_gives_the_same_store() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    let bob = world.login("bob", "b1").await;
    let mut pending = Vec::new();
    for n in 0..500 {
        let submission = alice.submission("bob", &body("alice", "bob", &n.to_string()));
        pending.push(alice.attached.session.send(submission));
    }
    let mut last = 0;
    for answer in pending {
        let id = answer.await.unwrap().unwrap().message_id.0;
        assert!(id > last);
        last = id;
    }
    let expected: Vec<String> = (0..500).map(|n| n.to_string()).collect();
    assert_eq!(bob.catch_up().await, expected);
    drop((alice, bob));
    world.chat.close().await;

    verify(&*world.store).await.unwrap();
    let copy = meridian_memory::MemoryStore::new();
    replay(&*world.store, &copy).await.unwrap();
    assert!(compare(&*world.store, &copy, 10).await.unwrap().is_empty());
    assert!(world.store.logs(None, 100).await.unwrap().iter().any(|head| head.lsn.0 > 1));
}
