//! People on different cores: what two do to each other at once has one outcome, and what holds is in force everywhere.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)] // test code

mod common;

use common::{Person, body, region::Cores, user};
use futures_util::future::join_all;
use meridian_chat::{ChatError, Mutes};
use meridian_memory::MemoryStore;
use meridian_replication::{compare, replay, verify};
use meridian_types::{
    Notice, Resource,
    session::{SendError, SessionEvent},
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);

async fn contacts(cores: &Cores, core: usize, name: &str) -> Vec<String> {
    let page = cores.cores[core].chat.contacts(&cores.app, &user(name), None, None).await.unwrap();
    page.items.into_iter().map(|contact| contact.username.to_string()).collect()
}

async fn check_replay(cores: &Cores) {
    verify(&*cores.store).await.unwrap();
    let copy: Arc<MemoryStore> = Arc::default();
    replay(&*cores.store, &*copy).await.unwrap();
    assert_eq!(compare(&*cores.store, &*copy, 10).await.unwrap(), []);
}

/// I12 with the two on different cores: what is sent after the answer to a block never arrives.
#[tokio::test]
async fn a_block_and_sends_from_another_core_have_one_order() {
    let cores = Cores::new(3).await;
    for name in ["alice", "bob"] {
        cores.register(name).await;
    }
    let alice = cores.login(0, "alice", "a").await;
    let bob = cores.login(1, "bob", "b").await;
    let (here, app) = (&cores.cores[2].chat, &cores.app);
    for round in 0..10 {
        let sends: Vec<_> = (0..20)
            .map(|n| bob.submission("alice", &body("bob", "alice", &format!("{round}/{n}"))))
            .map(|submission| bob.attached.session.send(submission))
            .collect();
        let people = [user("bob")];
        let (late, sent) = tokio::join!(
            async {
                here.block(app, &user("alice"), &people, None).await.unwrap();
                bob.submit(bob.submission("alice", &body("bob", "alice", "late"))).await
            },
            join_all(sends)
        );
        assert_eq!(late, Err(SendError::Blocked));
        let outcomes: Vec<bool> = sent.into_iter().map(|sent| sent.unwrap().is_ok()).collect();
        let stored = outcomes.iter().filter(|sent| **sent).count();
        assert!(outcomes.iter().take(stored).all(|sent| *sent), "none passes after one was refused");
        here.unblock(app, &user("alice"), &people, None).await.unwrap();
    }
    let owed = alice.pull_all().await;
    assert!(
        owed.iter().filter(|entry| Notice::of(entry).is_none()).all(|entry| common::text_of(entry) != "late")
    );
    check_replay(&cores).await;
}

#[tokio::test]
async fn invitations_that_cross_between_cores_make_contacts() {
    let cores = Cores::new(2).await;
    for n in 0..10 {
        let (a, b) = (format!("a{n}"), format!("b{n}"));
        cores.register(&a).await;
        cores.register(&b).await;
        let (one, other) = (&cores.cores[0].chat, &cores.cores[1].chat);
        let (a, b) = (user(&a), user(&b));
        let both = tokio::join!(
            one.invite_contact(&cores.app, &a, &b, ""),
            other.invite_contact(&cores.app, &b, &a, "")
        );
        assert!(both.0.unwrap() && both.1.unwrap());
        assert_eq!(contacts(&cores, 1, a.as_str()).await, [b.to_string()]);
        assert_eq!(contacts(&cores, 0, b.as_str()).await, [a.to_string()]);
    }
    check_replay(&cores).await;
}

#[tokio::test]
async fn accepting_and_withdrawing_at_once_has_one_outcome() {
    let cores = Cores::new(2).await;
    let (one, other) = (&cores.cores[0].chat, &cores.cores[1].chat);
    for n in 0..20 {
        let (a, b) = (user(&format!("a{n}")), user(&format!("b{n}")));
        cores.register(a.as_str()).await;
        cores.register(b.as_str()).await;
        one.invite_contact(&cores.app, &a, &b, "").await.unwrap();
        let (accepted, _) = tokio::join!(other.accept_contact(&cores.app, &b, &a), async {
            one.remove_contact(&cores.app, &a, &b, None).await.unwrap()
        });
        // Withdrawn first: nothing to accept. Accepted first: the removal ended the contact.
        match accepted {
            Ok(true) | Err(ChatError::NoInvitation) => {}
            other => panic!("{other:?}"),
        }
        assert!(
            contacts(&cores, 0, a.as_str()).await.is_empty()
                && contacts(&cores, 1, b.as_str()).await.is_empty()
        );
        assert!(matches!(other.accept_contact(&cores.app, &b, &a).await, Err(ChatError::NoInvitation)));
    }
    check_replay(&cores).await;
}

#[tokio::test]
async fn a_mute_is_in_force_on_every_core_when_it_is_answered() {
    let cores = Cores::new(2).await;
    cores.register("alice").await;
    cores.register("bob").await;
    let alice = cores.login(0, "alice", "a").await;
    let elsewhere = &cores.cores[1].chat;
    for round in 0..5 {
        let mute = async |until| {
            let mutes = Mutes { chat: Some(until), ..Mutes::default() };
            elsewhere.set_mutes(&cores.app, &user("alice"), mutes).await.unwrap();
        };
        let send = || alice.submit(alice.submission("bob", &body("alice", "bob", "hi")));
        mute(Mutes::FOR_EVER).await;
        assert_eq!(send().await, Err(SendError::Muted), "{round}");
        mute(0).await;
        send().await.unwrap();
    }
}

/// Waits for a presence of somebody that fits.
async fn hears(person: &mut Person, of: &str, fits: impl Fn(&str, usize) -> bool) {
    let heard = async {
        loop {
            let Some(SessionEvent::Transient(entry)) = person.attached.events.recv().await else { continue };
            if let Some(Notice::Presence(presence)) = Notice::of(&entry)
                && entry.sender.as_str() == of
                && fits(&presence.ext, presence.status.len())
            {
                return;
            }
        }
    };
    timeout(PATIENCE * 3, heard).await.expect("heard in time");
}

#[tokio::test]
async fn followers_on_another_core_hear_of_devices_and_words() {
    let cores = Cores::new(2).await;
    for name in ["alice", "bob"] {
        cores.register(name).await;
    }
    let mut alice = cores.login(0, "alice", "a").await;
    let chats: Vec<_> = cores.cores.iter().map(|core| &core.chat).collect();
    chats[0].follow_presence(&cores.app, &user("alice"), &[user("bob")], 600).await.unwrap();
    let bob = cores.login(1, "bob", "b1").await;
    hears(&mut alice, "bob", |_, devices| devices == 1).await;
    let other = cores.login(0, "bob", "b2").await;
    hears(&mut alice, "bob", |_, devices| devices == 2).await;
    let device = Resource::parse("b1").unwrap();
    chats[1].publish_presence(&cores.app, &user("bob"), &device, 1, "here").await.unwrap();
    hears(&mut alice, "bob", |ext, devices| (ext, devices) == ("here", 2)).await;
    for chat in chats {
        let record = chat.presences(&cores.app, &[user("bob")]).await.unwrap().remove(0);
        assert_eq!((record.ext.as_str(), record.status.len()), ("here", 2));
    }
    bob.attached.session.detach();
    hears(&mut alice, "bob", |_, devices| devices == 1).await;
    drop(other);
}

/// What nobody can know is not said to be away; when it can be known again, followers hear it without asking.
#[tokio::test]
async fn presence_becomes_unknown_without_the_soft_state_and_right_again_with_it() {
    let cores = Cores::new(2).await;
    for name in ["alice", "bob"] {
        cores.register(name).await;
    }
    let mut alice = cores.login(0, "alice", "a").await;
    let chat = &cores.cores[0].chat;
    chat.follow_presence(&cores.app, &user("alice"), &[user("bob")], 600).await.unwrap();
    let there = cores.login(1, "bob", "b1").await;
    let here = cores.login(0, "bob", "b2").await;
    hears(&mut alice, "bob", |_, devices| devices == 2).await;
    cores.soft.away.store(true, Ordering::SeqCst);
    here.attached.session.detach();
    let unknown = chat.presences(&cores.app, &[user("bob")]).await;
    assert!(matches!(unknown, Err(ChatError::Busy)), "{unknown:?}");
    cores.soft.away.store(false, Ordering::SeqCst);
    let heard = hears(&mut alice, "bob", |_, devices| {
        assert_ne!(devices, 0, "never said to be away");
        devices == 1
    });
    heard.await;
    let record = chat.presences(&cores.app, &[user("bob")]).await.unwrap().remove(0);
    assert_eq!(record.status.keys().collect::<Vec<_>>(), ["b1"]);
    drop(there);
}
