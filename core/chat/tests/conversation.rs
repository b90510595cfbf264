//! What two people can do to each other's conversation.

mod common;

use common::{World, body, text_of, user};
use meridian_chat::{AppSettings, OutgoingMessage, RecallOutcome, RecallRequest, Target};
use meridian_types::room::Priority;
use meridian_types::{
    EntryKind, MessageId, Resource,
    msync::message_body::Type,
    session::{CloseReason, RouteTo, SendError, SessionEvent},
};
use prost::Message;
use std::sync::atomic::Ordering;

#[tokio::test]
async fn a_message_reaches_the_peer_and_the_own_other_devices() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    let mut tablet = world.login("alice", "a2").await;
    let mut bob = world.login("bob", "b1").await;
    let id = alice.text("bob", "hello").await;
    for device in [&mut tablet, &mut bob] {
        let entry = device.receive().await;
        assert_eq!((entry.message_id, text_of(&entry)), (id, "hello".to_owned()));
    }
    assert!(alice.pull_all().await.is_empty(), "nobody receives their own send");
}

#[tokio::test]
async fn events_of_a_conversation_are_dense_for_every_device() {
    let world = World::new().await;
    let mut alice = world.login("alice", "a1").await;
    let bob = world.login("bob", "b1").await;
    for n in 0..5 {
        alice.text("bob", &n.to_string()).await;
        bob.text("alice", &n.to_string()).await;
    }
    for expected in 1..=10 {
        let Some(SessionEvent::Entry { position, .. }) = alice.attached.events.recv().await else { panic!() };
        assert_eq!(position.seq.0, expected);
    }
}

#[tokio::test]
async fn a_resend_gets_the_first_answer_also_after_a_restart() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    world.register("bob").await;
    let first = alice.submission("bob", &body("alice", "bob", "once"));
    let (one, two) = tokio::join!(alice.submit(first.clone()), alice.submit(first.clone()));
    let sent = one.unwrap();
    assert_eq!(sent, two.unwrap());
    alice.text("bob", "other").await;
    assert_eq!(alice.submit(first.clone()).await.unwrap(), sent);

    drop(alice);
    let world = world.restart().await;
    let alice = world.login("alice", "a1").await;
    assert_eq!(alice.submit(first).await.unwrap(), sent);
    let bob = world.login("bob", "b1").await;
    assert_eq!(bob.catch_up().await, ["once", "other"]);
}

/// The Web SDK counts messages and recalls apart, and starts anew with every page.
#[tokio::test]
async fn a_client_id_that_comes_back_with_another_body_is_another_message() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    let bob = world.login("bob", "b1").await;
    let first = alice.submission("bob", &body("alice", "bob", "one"));
    let mut second = alice.submission("bob", &body("alice", "bob", "two"));
    second.client_id = first.client_id;
    let (sent, other) = tokio::join!(alice.submit(first.clone()), alice.submit(second.clone()));
    let (sent, other) = (sent.unwrap(), other.unwrap());
    assert_ne!(other.message_id, sent.message_id);
    assert_eq!(alice.submit(first.clone()).await.unwrap(), sent);
    assert_eq!(alice.submit(second.clone()).await.unwrap(), other);
    assert_eq!(bob.catch_up().await, ["one", "two"]);

    drop((alice, bob));
    let world = world.restart().await;
    let alice = world.login("alice", "a1").await;
    assert_eq!(alice.submit(second).await.unwrap(), other);
    assert_eq!(alice.submit(first).await.unwrap(), sent);
}

/// A writer that reads the store for each message is half as fast.
#[tokio::test]
async fn a_greater_client_id_needs_no_search() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    for n in 0..20 {
        alice.text("bob", &n.to_string()).await;
    }
    assert_eq!(world.store.searches.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn offline_messages_come_once_in_order() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    world.register("bob").await;
    let sent: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    for text in &sent {
        alice.text("bob", text).await;
    }
    let bob = world.login("bob", "b1").await;
    assert_eq!(world.chat.offline_count(&world.app, &user("bob")).await.unwrap(), 200);
    assert_eq!(bob.catch_up().await, sent);
    assert!(bob.attached.session.unread().await.unwrap().is_empty());
    assert_eq!(world.chat.offline_count(&world.app, &user("bob")).await.unwrap(), 0);
}

#[tokio::test]
async fn a_third_device_gets_what_nobody_acknowledged() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    let (phone, tablet) = (world.login("bob", "phone").await, world.login("bob", "tablet").await);
    alice.text("bob", "one").await;
    phone.catch_up().await;
    alice.text("bob", "two").await;
    let third = world.login("bob", "third").await;
    assert_eq!(third.catch_up().await, ["two"]);
    assert_eq!(tablet.catch_up().await, ["one", "two"]);
    assert_eq!(phone.catch_up().await, ["two"]);
}

#[tokio::test]
async fn a_web_client_under_a_new_generated_name_loses_nothing() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    let phone = world.login("bob", "phone").await;
    let web = world.login("bob", "webim_random_web_1795389661876").await;
    alice.text("bob", "one").await;
    web.catch_up().await;
    drop(web);
    alice.text("bob", "two").await;
    phone.catch_up().await;
    let again = world.login("bob", "webim_random_web_1795389669999").await;
    assert_eq!(again.catch_up().await, ["two"]);
}

#[tokio::test]
async fn positions_survive_a_restart() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    let bob = world.login("bob", "b1").await;
    alice.text("bob", "one").await;
    bob.catch_up().await;
    alice.text("bob", "two").await;
    drop((alice, bob));
    let world = world.restart().await;
    assert_eq!(world.login("bob", "b1").await.catch_up().await, ["two"]);
}

#[tokio::test]
async fn a_recalled_message_is_gone_and_the_recall_arrives() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    world.register("bob").await;
    let secret = alice.text("bob", "secret").await;
    alice.about("bob", Type::Edit, secret).await.unwrap();
    alice.text("bob", "stays").await;
    alice.about("bob", Type::Recall, secret).await.unwrap();
    let bob = world.login("bob", "b1").await;
    let kinds: Vec<_> = bob.pull_all().await.iter().map(|entry| (entry.kind, entry.target)).collect();
    assert_eq!(kinds, [(EntryKind::Message, None), (EntryKind::Recall, Some(secret))]);
    assert_eq!(alice.about("bob", Type::Recall, secret).await, Err(SendError::MessageNotFound));
}

#[tokio::test]
async fn recall_keeps_its_rules() {
    let world = World::with(AppSettings { recall_window_ms: 0, ..AppSettings::default() }).await;
    let alice = world.login("alice", "a1").await;
    let bob = world.login("bob", "b1").await;
    let id = alice.text("bob", "x").await;
    assert_eq!(bob.about("alice", Type::Recall, id).await, Err(SendError::NotPermitted));
    assert_eq!(alice.about("bob", Type::Recall, MessageId(5)).await, Err(SendError::MessageNotFound));
    let settings = AppSettings { recall_enabled: false, ..AppSettings::default() };
    world.chat.set_app_settings(&world.app.key, settings).await.unwrap();
    assert_eq!(alice.about("bob", Type::Recall, id).await, Err(SendError::RecallDisabled));
}

#[tokio::test]
async fn a_recall_by_rest_finds_the_message_whoever_asks() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    let mut bob = world.login("bob", "b1").await;
    let id = alice.text("bob", "x").await;
    bob.receive().await;
    let request = |from: &str| RecallRequest {
        message_id: id,
        from: user(from),
        to: Target::User(user("bob")),
        force: false,
    };
    assert_eq!(world.chat.recall(&world.app, request("admin")).await.unwrap(), RecallOutcome::Recalled);
    assert_eq!(bob.receive().await.kind, EntryKind::Recall);
    assert_eq!(world.chat.recall(&world.app, request("alice")).await.unwrap(), RecallOutcome::NotFound);
}

#[tokio::test]
async fn edits_are_counted_and_limited() {
    let world = World::with(AppSettings { edits_per_message: 2, ..AppSettings::default() }).await;
    let alice = world.login("alice", "a1").await;
    let mut bob = world.login("bob", "b1").await;
    let id = alice.text("bob", "draft").await;
    assert_eq!(bob.about("alice", Type::Edit, id).await, Err(SendError::NotPermitted));
    let first = alice.about("bob", Type::Edit, id).await.unwrap();
    assert!(first.notice.unwrap().contains("\"count\":1"));
    let second = alice.about("bob", Type::Edit, id).await.unwrap().notice.unwrap();
    assert!(second.contains("\"count\":2"), "{second}");
    assert_eq!(alice.about("bob", Type::Edit, id).await, Err(SendError::EditLimit));
    bob.receive().await;
    let edit = bob.receive().await;
    let body = meridian_types::msync::MessageBody::decode(edit.body.clone().unwrap()).unwrap();
    assert_eq!((edit.target, text_of(&edit)), (Some(id), "edited".to_owned()));
    assert!(body.meta.unwrap().contains("\"sender\":\"alice\""));
}

#[tokio::test]
async fn online_only_messages_are_never_stored() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    let mut bob = world.login("bob", "b1").await;
    let mut submission = alice.submission("bob", &body("alice", "bob", "now or never"));
    submission.route = RouteTo::OnlineOnly;
    alice.submit(submission).await.unwrap();
    assert_eq!(text_of(&*bob.receive().await), "now or never");
    assert!(bob.attached.session.unread().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_message_to_one_device_reaches_only_it() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    let (phone, tablet) = (world.login("bob", "phone").await, world.login("bob", "tablet").await);
    let mut submission = alice.submission("bob", &body("alice", "bob", "for the phone"));
    submission.to_device = Some(Resource::parse("phone").unwrap().to_string());
    alice.submit(submission).await.unwrap();
    assert_eq!(phone.catch_up().await, ["for the phone"]);
    assert!(tablet.attached.session.unread().await.unwrap().is_empty());
}

#[tokio::test]
async fn own_devices_can_write_to_each_other() {
    let world = World::new().await;
    let phone = world.login("bob", "phone").await;
    let tablet = world.login("bob", "tablet").await;
    phone.text("bob", "note to self").await;
    assert_eq!(tablet.catch_up().await, ["note to self"]);
    assert!(phone.pull_all().await.is_empty());
}

#[tokio::test]
async fn rest_sends_reach_the_sender_only_when_asked() {
    let world = World::new().await;
    let mut alice = world.login("alice", "a1").await;
    let mut bob = world.login("bob", "b1").await;
    for (text, sync_device) in [("quiet", false), ("copied", true)] {
        let message = OutgoingMessage {
            priority: Priority::default(),
            is_broadcast: false,
            from: user("alice"),
            to: Target::User(user("bob")),
            only: Vec::new(),
            body: body("alice", "bob", text).encode_to_vec().into(),
            sync_device,
            online_only: false,
            at: None,
        };
        world.chat.send(&world.app, message).await.unwrap();
    }
    assert_eq!(text_of(&*bob.receive().await), "quiet");
    assert_eq!(text_of(&*bob.receive().await), "copied");
    assert_eq!(text_of(&*alice.receive().await), "copied");
}

#[tokio::test]
async fn a_slow_session_is_told_that_it_lags() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    let mut bob = world.login("bob", "b1").await;
    for n in 0..400 {
        alice.text("bob", &n.to_string()).await;
    }
    let told: Vec<_> = std::iter::from_fn(|| bob.attached.events.try_recv()).collect();
    let (last, before) = told.split_last().unwrap();
    assert!(before.iter().all(|event| matches!(event, SessionEvent::Entry { .. })));
    assert!(before.len() < 400, "the queue is bounded");
    assert!(matches!(last, SessionEvent::Lagged), "although nothing comes after it");
    assert_eq!(bob.catch_up().await.len(), 400);
}

#[tokio::test]
async fn what_is_too_large_or_forged_is_refused() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    let large = alice.submission("bob", &body("alice", "bob", &"x".repeat(6000)));
    assert_eq!(alice.submit(large).await, Err(SendError::TooLarge { limit: 5120 }));
    let forged = alice.submission("bob", &body("mallory", "bob", "hi"));
    assert_eq!(alice.submit(forged).await, Err(SendError::WrongSender));
    let mut group = alice.submission("g1", &body("alice", "g1", "hi"));
    group.to_conference = true;
    assert_eq!(alice.submit(group).await, Err(SendError::GroupNotFound));
}

#[tokio::test]
async fn deleting_a_user_ends_everything_of_theirs() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    let mut bob = world.login("bob", "b1").await;
    alice.text("bob", "old").await;
    let old = world.chat.delete_user(&world.app, &user("bob")).await.unwrap();
    assert_eq!((&mut bob.attached.closed).await, Ok(CloseReason::Removed));
    world.register("bob").await;
    let new = world.chat.user(&world.app, &user("bob")).await.unwrap();
    assert_ne!(old.uuid, new.uuid);
    alice.text("bob", "new").await;
    assert_eq!(world.login("bob", "b1").await.catch_up().await, ["new"]);
}
