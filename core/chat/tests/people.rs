//! Contacts, block lists, attributes, mutes, presence: what people do to each other, and what they are told of it.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)] // test code

mod common;

use common::{Person, World, body, user};
use meridian_chat::{AppSettings, ChatError, Mutes, NewUser, OutgoingMessage, Target};
use meridian_memory::MemoryStore;
use meridian_replication::{compare, replay, verify};
use meridian_types::room::Priority;
use meridian_types::{
    Entry, Notice, Resource,
    notice::{ContactChange, ConversationName, SilentMode},
    session::SendError,
};
use prost::Message;
use std::sync::Arc;

fn change_of(entry: &Entry) -> (ContactChange, String) {
    match Notice::of(entry) {
        Some(Notice::Contact { change, .. }) => (change, entry.sender.to_string()),
        other => panic!("not about a contact: {other:?}"),
    }
}

async fn next_change(person: &mut Person) -> (ContactChange, String) {
    change_of(&*person.receive().await)
}

fn by(change: ContactChange, name: &str) -> (ContactChange, String) {
    (change, name.to_owned())
}

async fn names(world: &World, name: &str) -> Vec<String> {
    let page = world.chat.contacts(&world.app, &user(name), None, None).await.unwrap();
    page.items.into_iter().map(|contact| contact.username.to_string()).collect()
}

/// What the logs say is all there is.
async fn check_replay(world: &World) {
    verify(&*world.store).await.unwrap();
    let copy: Arc<MemoryStore> = Arc::default();
    replay(&*world.store, &*copy).await.unwrap();
    assert_eq!(compare(&*world.store, &*copy, 10).await.unwrap(), []);
}

#[tokio::test]
async fn an_invitation_is_accepted_and_both_devices_of_both_know() {
    let world = World::new().await;
    let mut alice = world.login("alice", "a1").await;
    world.register("bob").await;
    let (chat, app) = (&world.chat, &world.app);
    assert!(chat.invite_contact(app, &user("alice"), &user("bob"), "hello").await.unwrap());
    assert!(names(&world, "bob").await.is_empty());

    // Bob was away.
    let bob = world.login("bob", "b1").await;
    let owed = bob.pull_all().await;
    assert_eq!(owed.len(), 1);
    assert_eq!(change_of(&owed[0]), by(ContactChange::Invited, "alice"));
    let Some(Notice::Contact { reason, .. }) = Notice::of(&owed[0]) else { panic!("no notice") };
    assert_eq!(reason, "hello");

    let mut tablet = world.login("bob", "b2").await;
    assert!(chat.accept_contact(app, &user("bob"), &user("alice")).await.unwrap());
    assert!(
        !chat.accept_contact(app, &user("bob"), &user("alice")).await.unwrap(),
        "twice is as good as once"
    );
    assert_eq!(next_change(&mut alice).await, by(ContactChange::Accepted, "bob"));
    assert_eq!(next_change(&mut tablet).await, by(ContactChange::Accepted, "bob"));
    assert_eq!(
        (names(&world, "alice").await, names(&world, "bob").await),
        (vec!["bob".into()], vec!["alice".into()])
    );
    assert!(!chat.invite_contact(app, &user("alice"), &user("bob"), "").await.unwrap());
    check_replay(&world).await;
}

#[tokio::test]
async fn invitations_are_declined_withdrawn_and_refused() {
    let world = World::new().await;
    let mut alice = world.login("alice", "a1").await;
    world.register("bob").await;
    let (chat, app) = (&world.chat, &world.app);
    let (a, b) = (user("alice"), user("bob"));
    let accepted = chat.accept_contact(app, &b, &a).await;
    assert!(matches!(accepted, Err(ChatError::NoInvitation)), "{accepted:?}");
    chat.invite_contact(app, &a, &b, "").await.unwrap();
    assert!(chat.decline_contact(app, &b, &a).await.unwrap());
    assert_eq!(next_change(&mut alice).await, by(ContactChange::Declined, "bob"));
    assert!(!chat.decline_contact(app, &b, &a).await.unwrap());

    chat.invite_contact(app, &a, &b, "").await.unwrap();
    chat.remove_contact(app, &a, &b, None).await.unwrap();
    assert!(matches!(chat.accept_contact(app, &b, &a).await, Err(ChatError::NoInvitation)), "withdrawn");

    chat.block(app, &b, std::slice::from_ref(&a), None).await.unwrap();
    assert!(matches!(chat.invite_contact(app, &a, &b, "").await, Err(ChatError::Blocked)));
    assert!(matches!(chat.invite_contact(app, &a, &a, "").await, Err(ChatError::Oneself)));
    let nobody = chat.invite_contact(app, &a, &user("nobody"), "").await;
    assert!(matches!(nobody, Err(ChatError::UserNotFound)));
}

#[tokio::test]
async fn two_who_invite_each_other_become_contacts() {
    let world = World::new().await;
    let (mut alice, mut bob) = (world.login("alice", "a1").await, world.login("bob", "b1").await);
    let (chat, app) = (&world.chat, &world.app);
    let (a, b) = (user("alice"), user("bob"));
    let both = tokio::join!(chat.invite_contact(app, &a, &b, ""), chat.invite_contact(app, &b, &a, ""));
    assert!(both.0.unwrap() && both.1.unwrap());
    assert_eq!(
        (names(&world, "alice").await, names(&world, "bob").await),
        (vec!["bob".into()], vec!["alice".into()])
    );
    // One of them was invited, then both read the same.
    let first = next_change(&mut alice).await;
    let (last, other) = match first.0 {
        ContactChange::Invited => (next_change(&mut alice).await, next_change(&mut bob).await),
        _ => {
            assert_eq!(next_change(&mut bob).await.0, ContactChange::Invited);
            (first, next_change(&mut bob).await)
        }
    };
    assert_eq!(last.0, ContactChange::Accepted);
    assert_eq!(last, other);
    check_replay(&world).await;
}

#[tokio::test]
async fn removing_a_contact_is_mutual_and_the_acting_device_is_not_told() {
    let world = World::new().await;
    let mut acting = world.login("alice", "a1").await;
    let mut other = world.login("alice", "a2").await;
    let mut bob = world.login("bob", "b1").await;
    let (chat, app) = (&world.chat, &world.app);
    chat.add_contact(app, &user("alice"), &user("bob"), true).await.unwrap();
    for person in [&mut acting, &mut other, &mut bob] {
        assert_eq!(next_change(person).await, by(ContactChange::Added, "alice"));
    }
    chat.set_remark(app, &user("alice"), &user("bob"), "Bobby").await.unwrap();
    let page = chat.contacts(app, &user("alice"), None, Some(1)).await.unwrap();
    assert_eq!((page.items[0].remark.as_deref(), page.cursor), (Some("Bobby"), None));

    let device = Some(Resource::parse("a1").unwrap());
    chat.remove_contact(app, &user("alice"), &user("bob"), device).await.unwrap();
    assert_eq!(next_change(&mut bob).await, by(ContactChange::Removed, "alice"));
    assert_eq!(next_change(&mut other).await, by(ContactChange::Removed, "alice"));
    bob.text("alice", "marker").await;
    assert_eq!(common::text_of(&*acting.receive().await), "marker", "the acting device knows already");
    assert!(names(&world, "bob").await.is_empty());
    let remark = chat.set_remark(app, &user("alice"), &user("bob"), "x").await;
    assert!(matches!(remark, Err(ChatError::NotContacts)));
    check_replay(&world).await;
}

#[tokio::test]
async fn what_is_sent_after_a_block_is_refused_and_before_it_stays() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    let bob = world.login("bob", "b1").await;
    let (chat, app) = (&world.chat, &world.app);
    bob.text("alice", "before").await;
    chat.block(app, &user("alice"), &[user("bob")], None).await.unwrap();
    let send = async |from: &Person, to: &str| {
        from.submit(from.submission(to, &body(&from.name, to, "after"))).await.map(drop)
    };
    assert_eq!(send(&bob, "alice").await, Err(SendError::Blocked));
    assert_eq!(send(&alice, "bob").await, Ok(()), "the one who blocks may write");
    let rest = OutgoingMessage {
        priority: Priority::default(),
        is_broadcast: false,
        from: user("bob"),
        to: Target::User(user("alice")),
        only: Vec::new(),
        body: body("bob", "alice", "by REST").encode_to_vec().into(),
        sync_device: false,
        online_only: false,
        at: None,
    };
    assert!(matches!(chat.send(app, rest).await, Err(ChatError::Blocked)));
    assert_eq!(chat.blocked(app, &user("alice"), None, None).await.unwrap().items, ["bob"]);
    assert_eq!(
        chat.are_blocked(app, &user("alice"), &[user("bob"), user("carol")]).await.unwrap(),
        [true, false]
    );
    chat.unblock(app, &user("alice"), &[user("bob")], None).await.unwrap();
    assert_eq!(send(&bob, "alice").await, Ok(()));
    let kept: Vec<String> = alice
        .pull_all()
        .await
        .iter()
        .filter(|entry| Notice::of(entry).is_none())
        .map(|e| common::text_of(e))
        .collect();
    assert_eq!(kept, ["before", "after"]);
    check_replay(&world).await;
}

/// I12: whoever has the answer to a block gets nothing that was sent after it, whatever goes on beside it.
#[tokio::test]
async fn a_block_and_sends_at_once_have_one_order() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    let bob = world.login("bob", "b1").await;
    let (chat, app) = (&world.chat, &world.app);
    for round in 0..20 {
        let sends: Vec<_> = (0..20)
            .map(|n| bob.submission("alice", &body("bob", "alice", &format!("{round}/{n}"))))
            .map(|submission| bob.attached.session.send(submission))
            .collect();
        let people = [user("bob")];
        let (blocked, late) = tokio::join!(
            async {
                chat.block(app, &user("alice"), &people, None).await.unwrap();
                // Everything from here on comes after the answer.
                bob.submit(bob.submission("alice", &body("bob", "alice", "late"))).await
            },
            futures_util::future::join_all(sends)
        );
        assert_eq!(blocked, Err(SendError::Blocked));
        let outcomes: Vec<bool> = late.into_iter().map(|sent| sent.unwrap().is_ok()).collect();
        let stored = outcomes.iter().filter(|sent| **sent).count();
        assert!(outcomes.iter().take(stored).all(|sent| *sent), "none passes after one was refused");
        chat.unblock(app, &user("alice"), &people, None).await.unwrap();
    }
    let texts = alice.pull_all().await;
    assert!(
        texts
            .iter()
            .filter(|entry| Notice::of(entry).is_none())
            .all(|entry| common::text_of(entry) != "late")
    );
}

#[tokio::test]
async fn only_contacts_write_where_the_app_says_so() {
    let settings = AppSettings { friend_check: true, ..AppSettings::default() };
    let world = World::with(settings).await;
    let alice = world.login("alice", "a1").await;
    world.register("bob").await;
    let send = || alice.submit(alice.submission("bob", &body("alice", "bob", "hi")));
    assert_eq!(send().await, Err(SendError::NotContacts));
    world.chat.add_contact(&world.app, &user("alice"), &user("bob"), false).await.unwrap();
    send().await.unwrap();
    world.chat.remove_contact(&world.app, &user("bob"), &user("alice"), None).await.unwrap();
    assert_eq!(send().await, Err(SendError::NotContacts));
}

#[tokio::test]
async fn limits_of_contacts_blocks_and_users_hold() {
    let settings = AppSettings { max_contacts: 2, max_blocks: 2, max_users: 4, ..AppSettings::default() };
    let world = World::with(settings).await;
    for name in ["a", "b", "c", "d"] {
        world.register(name).await;
    }
    let (chat, app) = (&world.chat, &world.app);
    let fifth = NewUser { username: user("e"), password: None, nickname: None };
    assert!(matches!(chat.register(app, fifth.clone()).await, Err(ChatError::UserLimit { limit: 4 })));
    chat.add_contact(app, &user("a"), &user("b"), true).await.unwrap();
    chat.add_contact(app, &user("a"), &user("c"), true).await.unwrap();
    let more = chat.add_contact(app, &user("a"), &user("d"), true).await;
    assert!(matches!(more, Err(ChatError::ContactLimit { is_actor: true })));
    let more = chat.invite_contact(app, &user("d"), &user("a"), "").await;
    assert!(matches!(more, Err(ChatError::ContactLimit { is_actor: false })));
    let names = ["b", "c", "d"].map(user);
    assert!(matches!(
        chat.block(app, &user("a"), &names, None).await,
        Err(ChatError::BlockLimit { limit: 2 })
    ));
    chat.block(app, &user("a"), &names[..2], None).await.unwrap();
    assert_eq!(
        chat.block(app, &user("a"), &names[..2], None).await.unwrap(),
        names[..2],
        "again is nothing new"
    );

    chat.delete_user(app, &user("d")).await.unwrap();
    chat.register(app, fifth).await.unwrap();
}

#[tokio::test]
async fn a_deleted_user_leaves_nothing_behind() {
    let world = World::new().await;
    let mut bob = world.login("bob", "b1").await;
    for name in ["alice", "carol", "dave"] {
        world.register(name).await;
    }
    let (chat, app) = (&world.chat, &world.app);
    let alice = user("alice");
    chat.add_contact(app, &alice, &user("bob"), true).await.unwrap();
    assert_eq!(next_change(&mut bob).await.0, ContactChange::Added);
    chat.invite_contact(app, &alice, &user("carol"), "").await.unwrap();
    chat.invite_contact(app, &user("dave"), &alice, "").await.unwrap();
    chat.block(app, &alice, &[user("dave")], None).await.unwrap();
    chat.set_profile(app, &alice, &[("nickname".to_owned(), "Al".to_owned())].into()).await.unwrap();
    assert_eq!(chat.profiles_size(app).await.unwrap(), 10);
    chat.follow_presence(app, &alice, &[user("bob")], 60).await.unwrap();
    chat.set_mutes(app, &alice, Mutes { chat: Some(Mutes::FOR_EVER), ..Mutes::default() }).await.unwrap();
    let silent = SilentMode { kind: Some("NONE".into()), ..SilentMode::default() };
    chat.set_silent_mode(app, &alice, None, silent, None).await.unwrap();

    chat.delete_user(app, &alice).await.unwrap();
    assert_eq!(next_change(&mut bob).await, by(ContactChange::Removed, "alice"));
    world.register("alice").await;
    assert!(names(&world, "alice").await.is_empty() && names(&world, "bob").await.is_empty());
    assert!(chat.profile(app, &alice).await.unwrap().is_empty());
    assert_eq!(chat.profiles_size(app).await.unwrap(), 0);
    assert_eq!(chat.mutes(app, &alice).await.unwrap(), Mutes::default());
    assert!(chat.muted(app, 0, 10).await.unwrap().is_empty());
    assert!(chat.blocked(app, &alice, None, None).await.unwrap().items.is_empty());
    assert!(chat.presence_subscriptions(app, &alice).await.unwrap().is_empty());
    assert_eq!(chat.silent_mode(app, &alice, None).await.unwrap(), SilentMode::default());
    for (invited, inviter) in [("carol", "alice"), ("alice", "dave")] {
        let accepted = chat.accept_contact(app, &user(invited), &user(inviter)).await;
        assert!(
            matches!(accepted, Err(ChatError::NoInvitation)),
            "{invited} was not invited by this {inviter}"
        );
    }
    check_replay(&world).await;
}

/// Deleting somebody while everybody does something to them: afterwards nothing of it is left.
#[tokio::test]
async fn deleting_wins_over_what_comes_with_it() {
    let world = World::new().await;
    let (chat, app) = (&world.chat, &world.app);
    let friends: Vec<_> = (0..20).map(|n| user(&format!("f{n}"))).collect();
    for friend in &friends {
        world.register(friend.as_str()).await;
    }
    for _ in 0..5 {
        world.register("alice").await;
        let alice = user("alice");
        let busy = friends.iter().map(|friend| {
            let alice = alice.clone();
            async move {
                // The outcome depends on who was first; what is left does not.
                let _ = chat.add_contact(app, friend, &alice, true).await;
                let _ = chat.invite_contact(app, &alice, friend, "").await;
                let _ = chat.block(app, &alice, std::slice::from_ref(friend), None).await;
                let _ = chat.follow_presence(app, friend, &[alice], 60).await;
            }
        });
        let (_, deleted) = tokio::join!(futures_util::future::join_all(busy), chat.delete_user(app, &alice));
        deleted.unwrap();
        world.register("alice").await;
        assert!(names(&world, "alice").await.is_empty());
        assert!(chat.blocked(app, &alice, None, None).await.unwrap().items.is_empty());
        for friend in &friends {
            assert!(names(&world, friend.as_str()).await.is_empty(), "{friend}");
            assert!(chat.presence_subscriptions(app, friend).await.unwrap().is_empty(), "{friend}");
        }
        chat.delete_user(app, &alice).await.unwrap();
    }
    check_replay(&world).await;
}

#[tokio::test]
async fn attributes_are_merged_counted_and_limited() {
    let settings = AppSettings { profile_limit: 40, profiles_limit: 30, ..AppSettings::default() };
    let world = World::with(settings).await;
    for name in ["alice", "bob"] {
        world.register(name).await;
    }
    let (chat, app) = (&world.chat, &world.app);
    let set = async |name: &str, field: &str, text: &str| {
        chat.set_profile(app, &user(name), &[(field.to_owned(), text.to_owned())].into()).await
    };
    set("alice", "nick", "Al").await.unwrap();
    set("alice", "sign", "").await.unwrap();
    set("alice", "nick", "Ali").await.unwrap();
    let profile = chat.profile(app, &user("alice")).await.unwrap();
    assert_eq!(profile, [("nick".to_owned(), "Ali".to_owned()), ("sign".to_owned(), String::new())].into());
    assert_eq!(chat.profiles_size(app).await.unwrap(), 11);
    assert!(matches!(
        set("alice", "ext", &"x".repeat(40)).await,
        Err(ChatError::ProfileTooLarge { limit: 40 })
    ));
    set("bob", "ext", "0123456789").await.unwrap();
    assert!(matches!(set("bob", "birthday", "123456").await, Err(ChatError::ProfilesTooLarge { limit: 30 })));
    chat.delete_profile(app, &user("alice")).await.unwrap();
    assert_eq!(chat.profiles_size(app).await.unwrap(), 13);
    let both = chat.profiles(app, &[user("alice"), user("bob")]).await.unwrap();
    assert_eq!(both.iter().map(|profile| profile.len()).collect::<Vec<_>>(), [0, 1]);
    check_replay(&world).await;
}

#[tokio::test]
async fn the_muted_may_not_send_until_it_ends() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    world.register("bob").await;
    let (chat, app) = (&world.chat, &world.app);
    let send = || alice.submit(alice.submission("bob", &body("alice", "bob", "hi")));
    let mute = async |until: u64| {
        chat.set_mutes(app, &user("alice"), Mutes { chat: Some(until), ..Mutes::default() }).await.unwrap();
    };
    mute(Mutes::FOR_EVER).await;
    assert_eq!(send().await, Err(SendError::Muted));
    let again = world.login("alice", "a2").await;
    let late = again.submit(again.submission("bob", &body("alice", "bob", "hi"))).await;
    assert_eq!(late, Err(SendError::Muted), "a login does not help");
    mute(1).await;
    send().await.unwrap();
    let muted = chat.muted(app, 0, 10).await.unwrap();
    assert_eq!(muted.len(), 1, "who was muted stays listed");
    assert!(chat.muted(app, 1, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn silent_modes_are_kept_and_told_to_the_other_devices() {
    let world = World::new().await;
    let mut acting = world.login("alice", "a1").await;
    let mut other = world.login("alice", "a2").await;
    let (chat, app) = (&world.chat, &world.app);
    let alice = user("alice");
    let bob = Some(ConversationName::User(user("bob")));
    let change = |kind: &str| SilentMode { kind: Some(kind.into()), ..SilentMode::default() };
    let device = Resource::parse("a1").unwrap();
    let set = chat.set_silent_mode(app, &alice, bob.clone(), change("NONE"), Some(device)).await.unwrap();
    assert_eq!(set.kind.as_deref(), Some("NONE"));
    let expected = Notice::SilentMode { conversation: bob.clone(), settings: set.clone() };
    assert_eq!(Notice::of(&*other.receive().await), Some(expected));
    assert_eq!(chat.silent_mode(app, &alice, bob.as_ref()).await.unwrap(), set);
    for n in 0..5 {
        let group = Some(ConversationName::Group(format!("{n}")));
        chat.set_silent_mode(app, &alice, group, change("AT"), None).await.unwrap();
    }
    let first = chat.silent_kinds(app, &alice, None, 4).await.unwrap();
    let second = chat.silent_kinds(app, &alice, first.cursor.as_deref(), 4).await.unwrap();
    assert_eq!((first.items.len(), second.items.len(), second.cursor), (4, 2, None));
    chat.set_silent_mode(app, &alice, bob, change("DEFAULT"), None).await.unwrap();
    assert_eq!(chat.silent_kinds(app, &alice, None, 9).await.unwrap().items.len(), 5);
    let told = Notice::of(&*acting.receive().await);
    let Some(Notice::SilentMode { conversation, .. }) = told else { panic!("{told:?}") };
    assert_eq!(conversation, Some(ConversationName::Group("0".into())), "not what this device did itself");
    check_replay(&world).await;
}

async fn next_presence(person: &mut Person, of: &str) -> (String, Vec<String>) {
    loop {
        let entry = person.receive().await;
        if let Some(Notice::Presence(presence)) = Notice::of(&entry)
            && entry.sender.as_str() == of
        {
            return (presence.ext, presence.status.into_keys().collect());
        }
    }
}

#[tokio::test]
async fn followers_hear_who_comes_goes_and_says_something() {
    let world = World::new().await;
    let mut alice = world.login("alice", "a1").await;
    world.register("bob").await;
    let (chat, app) = (&world.chat, &world.app);
    let (a, b) = (user("alice"), user("bob"));
    let records = chat.follow_presence(app, &a, &[b.clone(), user("nobody")], 600).await.unwrap();
    assert!(records.iter().all(|record| record.status.is_empty()));
    assert!(records[0].expiry > 0 && records[1].expiry == 0, "nobody cannot be followed");
    let known: Vec<_> = chat.presence_subscriptions(app, &a).await.unwrap();
    assert_eq!(known.iter().map(|known| known.user.as_str()).collect::<Vec<_>>(), ["bob"]);
    assert!(matches!(
        chat.follow_presence(app, &a, std::slice::from_ref(&a), 600).await,
        Err(ChatError::Oneself)
    ));

    let bob = world.login("bob", "b1").await;
    assert_eq!(next_presence(&mut alice, "bob").await, (String::new(), vec!["b1".to_owned()]));
    let device = Resource::parse("b1").unwrap();
    chat.publish_presence(app, &b, &device, 101, "busy").await.unwrap();
    assert_eq!(next_presence(&mut alice, "bob").await, ("busy".to_owned(), vec!["b1".to_owned()]));
    let record = chat.presences(app, std::slice::from_ref(&b)).await.unwrap().remove(0);
    assert_eq!((record.ext.as_str(), record.status.get("b1")), ("busy", Some(&101)));
    chat.publish_presence(app, &b, &device, 1, "").await.unwrap();
    assert_eq!(next_presence(&mut alice, "bob").await.0, "");
    bob.attached.session.detach();
    assert_eq!(next_presence(&mut alice, "bob").await, (String::new(), vec![]));
    assert!(chat.presences(app, std::slice::from_ref(&b)).await.unwrap()[0].status.is_empty());

    chat.unfollow_presence(app, &a, &["bob".into()]).await.unwrap();
    assert!(chat.presence_subscriptions(app, &a).await.unwrap().is_empty());
    let mut bob = world.login("bob", "b2").await;
    chat.publish_presence(app, &b, &Resource::parse("b2").unwrap(), 1, "back").await.unwrap();
    assert_eq!(next_presence(&mut bob, "bob").await.0, "back", "the own devices hear what one says");
    bob.text("alice", "marker").await;
    let heard = loop {
        let entry = alice.receive().await;
        match Notice::of(&entry) {
            Some(Notice::Presence(_)) if entry.sender == b => panic!("no longer followed"),
            Some(_) => {}
            None => break common::text_of(&entry),
        }
    };
    assert_eq!(heard, "marker");
}
