//! Threads: who begins, joins and ends them, who hears what, and that the group's rules hold in them.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)] // test code

mod common;

use common::{Person, World, text_of, user};
use meridian_chat::{
    Actor, AppSettings, ChatError, Consent, GroupAction, MucError, NewGroup, Role, ThreadAction,
};
use meridian_memory::MemoryStore;
use meridian_replication::{compare, replay, verify};
use meridian_types::{
    Entry, EntryKind, MessageId, MucId, MucKind, Notice,
    notice::{MucChange, ThreadChange, ThreadNotice},
    session::SendError,
};
use std::sync::Arc;

async fn check_replay(world: &World) {
    verify(&*world.store).await.unwrap();
    let copy: Arc<MemoryStore> = Arc::default();
    replay(&*world.store, &*copy).await.unwrap();
    assert_eq!(compare(&*world.store, &*copy, 10).await.unwrap(), []);
}

fn by(name: &str) -> Actor {
    Actor { user: Some(user(name)), device: None }
}

fn app() -> Actor {
    Actor { user: None, device: None }
}

async fn group(world: &World, members: &[&str]) -> MucId {
    let group = NewGroup {
        id: None,
        name: "G".into(),
        description: String::new(),
        owner: user("alice"),
        members: members.iter().map(|name| user(name)).collect(),
        public: true,
        approval: false,
        allow_invites: false,
        invite_need_confirm: false,
        max_users: 200,
        custom: String::new(),
        avatar: String::new(),
    };
    world.chat.create_group(&world.app, app(), Consent::NotAsked, group).await.unwrap()
}

async fn begin(world: &World, group: MucId, on: MessageId, owner: &str) -> Result<MucId, MucError> {
    let begun = world.chat.create_thread(&world.app, by(owner), (group, on), "T".into(), user(owner));
    match begun.await {
        Ok(id) => Ok(id),
        Err(ChatError::Muc(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

async fn act(world: &World, id: MucId, actor: Actor, action: ThreadAction) -> Result<(), MucError> {
    match world.chat.manage_thread(&world.app, id, actor, action).await {
        Ok(outcomes) => outcomes.into_iter().find_map(|outcome| outcome.error).map_or(Ok(()), Err),
        Err(ChatError::Muc(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

fn join(name: &str) -> ThreadAction {
    ThreadAction::Join(vec![user(name)])
}

/// The next notice about a thread.
async fn heard(person: &mut Person) -> ThreadNotice {
    loop {
        if let Some(Notice::Thread(notice)) = Notice::of(&*person.receive().await) {
            return notice;
        }
    }
}

async fn owed_texts(person: &Person) -> Vec<String> {
    let all = person.pull_all().await;
    all.iter()
        .filter(|entry| entry.kind == EntryKind::Message)
        .map(|entry: &Arc<Entry>| text_of(entry))
        .collect()
}

#[tokio::test]
async fn a_thread_is_begun_heard_of_and_joined() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    let mut bob = world.login("bob", "b1").await;
    let carol = world.login("carol", "c1").await;
    let group = group(&world, &["bob", "carol"]).await;
    let on = alice.say(group, "about this").await.unwrap().message_id;
    let id = begin(&world, group, on, "alice").await.unwrap();
    assert_eq!((id.kind(), id.place()), (MucKind::Thread, group.place()));
    let notice = heard(&mut bob).await;
    assert_eq!((notice.id, notice.message, notice.change), (id, on, ThreadChange::Created));
    assert_eq!(begin(&world, group, on, "bob").await, Err(MucError::ThreadExists));
    assert_eq!(begin(&world, group, MessageId(7), "bob").await, Err(MucError::NoMessage));

    assert_eq!(bob.say(id, "x").await, Err(SendError::NotMember));
    act(&world, id, by("bob"), join("bob")).await.unwrap();
    assert_eq!(
        act(&world, id, by("bob"), join("bob")).await,
        Err(MucError::AlreadyMember { user: user("bob") })
    );
    alice.say(id, "first").await.unwrap();
    let told = heard(&mut bob).await;
    assert!(matches!(told.change, ThreadChange::Said { count: 1, ref last } if last.from == user("alice")));
    bob.say(id, "second").await.unwrap();
    // Carol is in the group and not in the thread.
    assert_eq!(owed_texts(&carol).await, ["about this"]);
    assert_eq!(owed_texts(&world.login("bob", "b2").await).await, ["about this", "first", "second"]);
    let last = world.chat.last_of_thread(&world.app, id, &user("carol")).await.unwrap().unwrap();
    assert_eq!(last.from, user("bob"));
    let thread = world.chat.thread(&world.app, id, Some(&user("bob"))).await.unwrap();
    assert_eq!((thread.size, thread.role), (2, Role::Member));
    check_replay(&world).await;
}

#[tokio::test]
async fn the_groups_rules_hold_in_its_threads() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    let bob = world.login("bob", "b1").await;
    world.register("eve").await;
    let group = group(&world, &["bob"]).await;
    let on = alice.say(group, "about this").await.unwrap().message_id;
    let id = begin(&world, group, on, "bob").await.unwrap();
    assert_eq!(act(&world, id, by("eve"), join("eve")).await, Err(MucError::NotMember { user: user("eve") }));
    let outsider = world.chat.last_of_thread(&world.app, id, &user("eve")).await;
    assert!(matches!(outsider, Err(ChatError::Muc(MucError::NotMember { .. }))));

    let mute = |until| GroupAction::Mute { people: vec![user("bob")], until };
    world.chat.manage_group(&world.app, group, app(), mute(u64::MAX)).await.unwrap();
    assert_eq!(bob.say(id, "x").await, Err(SendError::MutedHere));
    world.chat.manage_group(&world.app, group, app(), mute(1)).await.unwrap();
    bob.say(id, "y").await.unwrap();
    // Who leaves the group leaves its threads.
    let remove = GroupAction::Remove(vec![user("bob")]);
    world.chat.manage_group(&world.app, group, by("alice"), remove).await.unwrap();
    assert_eq!(bob.say(id, "z").await, Err(SendError::NotMember));
    assert_eq!(world.chat.thread(&world.app, id, None).await.unwrap().size, 0);
    let joined = world.chat.joined_threads(&world.app, &user("bob"), None, None, (10, true)).await.unwrap();
    assert!(joined.items.is_empty());
    check_replay(&world).await;
}

#[tokio::test]
async fn threads_are_renamed_left_and_ended_by_those_who_may() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    let mut bob = world.login("bob", "b1").await;
    let carol = world.login("carol", "c1").await;
    let group = group(&world, &["bob", "carol"]).await;
    let on = alice.say(group, "about this").await.unwrap().message_id;
    let id = begin(&world, group, on, "bob").await.unwrap();
    act(&world, id, by("carol"), join("carol")).await.unwrap();
    let rename = || ThreadAction::Rename("U".into());
    assert_eq!(
        act(&world, id, by("carol"), rename()).await,
        Err(MucError::NotPermitted { needed: Role::Admin })
    );
    act(&world, id, by("alice"), rename()).await.unwrap();
    assert_eq!(heard(&mut bob).await.change, ThreadChange::Created);
    let renamed = heard(&mut bob).await;
    assert_eq!((renamed.name.as_str(), renamed.change), ("U", ThreadChange::Renamed));
    act(&world, id, by("carol"), ThreadAction::Leave).await.unwrap();
    assert_eq!(carol.say(id, "x").await, Err(SendError::NotMember));
    act(&world, id, app(), join("carol")).await.unwrap();
    act(&world, id, by("bob"), ThreadAction::Remove(vec![user("carol")])).await.unwrap();
    act(&world, id, by("bob"), ThreadAction::Destroy).await.unwrap();
    assert_eq!(bob.say(id, "x").await, Err(SendError::GroupNotFound));
    assert_eq!(heard(&mut bob).await.change, ThreadChange::Destroyed);
    // Another may be begun about the same message; it ends with the group.
    let again = begin(&world, group, on, "carol").await.unwrap();
    carol.say(again, "hello").await.unwrap();
    world.chat.manage_group(&world.app, group, app(), GroupAction::Destroy).await.unwrap();
    assert_eq!(carol.say(again, "x").await, Err(SendError::GroupNotFound));
    assert!(matches!(
        world.chat.thread(&world.app, again, None).await,
        Err(ChatError::Muc(MucError::NotFound))
    ));
    assert!(world.chat.threads(&world.app, None, 10, true).await.unwrap().items.is_empty());
    let joined: Vec<_> = carol.pull_all().await;
    assert!(joined.iter().any(|entry| matches!(Notice::of(entry), Some(Notice::Muc(notice)) if notice.change == MucChange::Destroyed)));
    check_replay(&world).await;
}

#[tokio::test]
async fn lists_page_both_ways() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    world.register("bob").await;
    let group = group(&world, &["bob"]).await;
    let mut ids = Vec::new();
    for n in 0..7 {
        let on = alice.say(group, &n.to_string()).await.unwrap().message_id;
        let id = begin(&world, group, on, "alice").await.unwrap();
        act(&world, id, by("bob"), join("bob")).await.unwrap();
        ids.push(id);
    }
    ids.sort_unstable();
    for backwards in [false, true] {
        let mut expected = ids.clone();
        if backwards {
            expected.reverse();
        }
        let (mut all, mut of_group, mut joined) = (Vec::new(), Vec::new(), Vec::new());
        let (chat, app, bob) = (&world.chat, &world.app, user("bob"));
        let mut cursor = None;
        loop {
            let page = chat.threads(app, cursor.as_deref(), 3, backwards).await.unwrap();
            all.extend(page.items);
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        loop {
            let page = chat.threads_of_group(app, group, cursor.as_deref(), 3, backwards).await.unwrap();
            of_group.extend(page.items.iter().map(|thread| thread.info.id));
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        loop {
            let range = (3, backwards);
            let page = chat.joined_threads(app, &bob, Some(group), cursor.as_deref(), range).await.unwrap();
            joined.extend(page.items.iter().map(|thread| thread.info.id));
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!((all, of_group, joined), (expected.clone(), expected.clone(), expected));
    }
}

#[tokio::test]
async fn an_app_has_so_many_threads() {
    let world = World::with(AppSettings { max_threads: 2, ..AppSettings::default() }).await;
    let alice = world.login("alice", "a").await;
    world.login("bob", "b").await;
    let group = group(&world, &["bob"]).await;
    let mut messages = Vec::new();
    for text in ["one", "two", "three"] {
        messages.push(alice.say(group, text).await.unwrap().message_id);
    }
    let first = begin(&world, group, messages[0], "alice").await.unwrap();
    begin(&world, group, messages[1], "bob").await.unwrap();
    let limit = Err(MucError::ThreadLimit { limit: 2 });
    assert_eq!(begin(&world, group, messages[2], "alice").await, limit);
    act(&world, first, by("alice"), ThreadAction::Destroy).await.unwrap();
    begin(&world, group, messages[2], "alice").await.unwrap();
    assert_eq!(begin(&world, group, messages[0], "alice").await, limit);
    // Those that go with their group count no more.
    world.chat.manage_group(&world.app, group, app(), GroupAction::Destroy).await.unwrap();
    let group = self::group(&world, &["bob"]).await;
    assert_eq!(
        world.chat.groups(&world.app, None, 10).await.unwrap().items.len(),
        1,
        "threads are no groups"
    );
    for text in ["one", "two"] {
        let on = alice.say(group, text).await.unwrap().message_id;
        begin(&world, group, on, "alice").await.unwrap();
    }
    check_replay(&world).await;
}
