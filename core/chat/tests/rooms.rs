//! Rooms: who is in, who hears what, what stays, and who goes when they are away.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)] // test code

mod common;

use common::{Person, World, login, region::Cores, text_of, user};
use futures_util::future::join_all;
use meridian_chat::{
    Actor, AppSettings, AttributeAction, AttributeError, AttributesOutcome, ChatError, GroupAction, MucError,
    NewRoom, OutgoingMessage, Role, RoomAttributes, Target,
};
use meridian_memory::MemoryStore;
use meridian_ports::Store;
use meridian_replication::{compare, replay, verify};
use meridian_types::{
    Entry, EntryKind, MucId, Notice, Position, Seq,
    msync::{MessageBody, message_body::Type},
    notice::MucChange,
    room::{Priority, RoomError, RoomRequest, Standing},
    session::{PullRequest, RouteTo, SendError, SessionEvent, Submission},
};
use prost::Message;
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);

async fn check_replay(store: &dyn Store) {
    verify(store).await.unwrap();
    let copy: Arc<MemoryStore> = Arc::default();
    replay(store, &*copy).await.unwrap();
    assert_eq!(compare(store, &*copy, 10).await.unwrap(), []);
}

fn room_of(owner: &str, max_users: u64) -> NewRoom {
    NewRoom {
        name: "R".into(),
        description: "d".into(),
        owner: user(owner),
        members: Vec::new(),
        max_users,
        custom: String::new(),
    }
}

fn app() -> Actor {
    Actor { user: None, device: None }
}

fn by(name: &str) -> Actor {
    Actor { user: Some(user(name)), device: None }
}

async fn made(world: &World, owner: &str) -> MucId {
    world.chat.create_room(&world.app, app(), room_of(owner, 200)).await.unwrap()
}

async fn act(world: &World, id: MucId, actor: Actor, action: GroupAction) -> Result<(), MucError> {
    match world.chat.manage_group(&world.app, id, actor, action).await {
        Ok(outcomes) => outcomes.into_iter().find_map(|outcome| outcome.error).map_or(Ok(()), Err),
        Err(ChatError::Muc(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

async fn join(person: &Person, room: MucId) -> Result<Standing, RoomError> {
    let (ext, leave_others) = (String::new(), false);
    person.attached.session.room(RoomRequest::Join { room, ext, leave_others }).await
}

async fn leave(person: &Person, room: MucId) -> Result<(), RoomError> {
    person.attached.session.room(RoomRequest::Leave { room }).await.map(drop)
}

fn to_room(person: &Person, room: MucId, text: &str) -> Submission {
    let body = common::body(&person.name, &room.to_string(), text);
    let body = MessageBody { r#type: Some(Type::Chatroom as i32), ..body };
    Submission { to_conference: true, ..person.submission(&room.to_string(), &body) }
}

async fn say(person: &Person, room: MucId, text: &str) -> Result<(), SendError> {
    person.submit(to_room(person, room, text)).await.map(drop)
}

/// What a device hears of rooms, in words.
struct Ear {
    person: Person,
    waiting: VecDeque<Arc<Entry>>,
}

impl Ear {
    fn new(person: Person) -> Self {
        Self { person, waiting: VecDeque::new() }
    }

    async fn entry(&mut self) -> Arc<Entry> {
        loop {
            if let Some(entry) = self.waiting.pop_front() {
                let (user, device) = (&self.person.attached.user, &self.person.attached.resource);
                // Of a room of their own that the app has made.
                if entry.reaches(user, device) && words(&entry) != "Created" {
                    return entry;
                }
                continue;
            }
            match timeout(PATIENCE, self.person.attached.events.recv()).await.unwrap().unwrap() {
                SessionEvent::Room(news) => self.waiting.extend(news.entries.iter().cloned()),
                SessionEvent::Transient(entry) => self.waiting.push_back(entry),
                _ => {}
            }
        }
    }

    async fn hear(&mut self) -> String {
        words(&*self.entry().await)
    }

    /// Everything up to these words.
    async fn hear_until(&mut self, last: &str) -> Vec<String> {
        let mut heard = Vec::new();
        while heard.last().is_none_or(|word| word != last) {
            heard.push(self.hear().await);
        }
        heard
    }
}

fn words(entry: &Entry) -> String {
    match Notice::of(entry) {
        Some(Notice::Muc(notice)) => match notice.change {
            MucChange::Joined { people, size, ext, .. } => {
                let people: Vec<_> = people.iter().map(|person| person.as_str()).collect();
                format!("{} came, {size}{ext}", people.join("+"))
            }
            MucChange::Left { size } => format!("{} left, {size}", entry.sender),
            MucChange::Removed { people, size, .. } => format!("{} removed, {size}", people[0]),
            MucChange::RoomAttributesSet { attributes, .. } => {
                format!("set {}", attributes.keys().cloned().collect::<Vec<_>>().join("+"))
            }
            MucChange::RoomAttributesRemoved { keys } => format!("took {}", keys.join("+")),
            other => format!("{other:?}").split([' ', '{']).next().unwrap().to_owned(),
        },
        _ if entry.kind == EntryKind::Message => text_of(entry),
        _ => format!("{:?}", entry.kind),
    }
}

#[tokio::test]
async fn who_is_in_hears_and_who_comes_is_told_the_last() {
    let world = World::with(AppSettings { room_history: 2, ..AppSettings::default() }).await;
    let mut alice = Ear::new(world.login("alice", "a1").await);
    let id = made(&world, "alice").await;
    let bob = world.login("bob", "b1").await;
    assert_eq!(say(&bob, id, "too early").await, Err(SendError::NotMember));
    assert_eq!(join(&alice.person, id).await.unwrap().members, 1);
    for text in ["one", "two", "three"] {
        say(&alice.person, id, text).await.unwrap();
    }
    let ext = "hey".to_owned();
    let standing =
        bob.attached.session.room(RoomRequest::Join { room: id, ext, leave_others: false }).await.unwrap();
    assert_eq!((standing.members, standing.all_muted, standing.muted_until), (2, false, 0));
    let history: Vec<_> = standing.history.iter().map(|entry| text_of(entry)).collect();
    assert_eq!(history, ["two", "three"]);
    assert_eq!(alice.hear().await, "bob came, 2hey");
    // Again, and on another device: no news.
    assert_eq!(join(&bob, id).await.unwrap().members, 2);
    let mut second = Ear::new(world.login("bob", "b2").await);
    say(&bob, id, "hello").await.unwrap();
    assert_eq!(alice.hear().await, "hello");
    assert_eq!(second.hear().await, "hello");
    leave(&bob, id).await.unwrap();
    assert_eq!(alice.hear().await, "bob left, 1");
    assert_eq!(second.hear().await, "bob left, 1");
    assert_eq!(leave(&bob, id).await, Err(RoomError::NotMember));
    assert_eq!(say(&bob, id, "gone").await, Err(SendError::NotMember));
    // Nothing of it is owed to anybody.
    assert!(world.login("bob", "b3").await.pull_all().await.is_empty());
    check_replay(&*world.store).await;
}

#[tokio::test]
async fn rooms_are_made_by_the_app_and_super_admins() {
    let world = World::with(AppSettings { max_rooms: 3, ..AppSettings::default() }).await;
    for name in ["alice", "bob"] {
        world.register(name).await;
    }
    let make = |actor, room| world.chat.create_room(&world.app, actor, room);
    let refused = make(by("alice"), room_of("alice", 10)).await;
    assert!(matches!(refused, Err(ChatError::Muc(MucError::NotSuperAdmin))));
    world.chat.set_super_admin(&world.app, &user("alice"), true).await.unwrap();
    let nobody = world.chat.set_super_admin(&world.app, &user("nobody"), true).await;
    assert!(matches!(nobody, Err(ChatError::UserNotFound)));
    assert_eq!(world.chat.super_admins(&world.app).await.unwrap(), [user("alice")]);
    let own = make(by("alice"), room_of("alice", 10)).await.unwrap();
    let with = NewRoom { members: vec![user("bob"), user("alice")], ..room_of("alice", 10) };
    let other = make(app(), with).await.unwrap();
    assert_eq!(world.chat.group(&world.app, other, None).await.unwrap().size, 2);
    for (room, error) in [
        (room_of("alice", 10_001), MucError::SizeLimit { limit: 10_000 }),
        (room_of("nobody", 10), MucError::NoUser { user: user("nobody") }),
        (NewRoom { members: vec![user("bob")], ..room_of("alice", 1) }, MucError::Full),
    ] {
        assert!(matches!(make(app(), room).await, Err(ChatError::Muc(refused)) if refused == error));
    }
    make(app(), room_of("alice", 10)).await.unwrap();
    let refused = make(app(), room_of("alice", 10)).await;
    assert!(matches!(refused, Err(ChatError::Muc(MucError::RoomLimit { limit: 3 }))));
    let rooms = world.chat.rooms(&world.app, None, 2).await.unwrap();
    let rest = world.chat.rooms(&world.app, rooms.cursor.as_deref(), 2).await.unwrap();
    assert_eq!((rooms.items.len(), rest.items.len(), rest.cursor), (2, 1, None));
    let joined = world.chat.joined_rooms(&world.app, &user("bob")).await.unwrap();
    assert_eq!(joined.iter().map(|room| room.info.id).collect::<Vec<_>>(), [other]);
    // Groups and rooms are listed apart.
    assert!(world.chat.groups(&world.app, None, 10).await.unwrap().items.is_empty());
    assert!(world.chat.public_groups(&world.app, None, 10).await.unwrap().items.is_empty());
    act(&world, own, by("alice"), GroupAction::Destroy).await.unwrap();
    make(app(), room_of("alice", 10)).await.unwrap();
    world.chat.set_super_admin(&world.app, &user("alice"), false).await.unwrap();
    assert!(world.chat.super_admins(&world.app).await.unwrap().is_empty());
    check_replay(&*world.store).await;
}

#[tokio::test]
async fn what_somebody_is_outlasts_their_stay() {
    let world = World::new().await;
    let mut alice = Ear::new(world.login("alice", "a1").await);
    let bob = world.login("bob", "b1").await;
    let id = made(&world, "alice").await;
    join(&bob, id).await.unwrap();
    let name = || vec![user("bob")];
    act(&world, id, by("alice"), GroupAction::Admin { user: user("bob"), on: true }).await.unwrap();
    act(&world, id, by("alice"), GroupAction::Mute { people: name(), until: u64::MAX }).await.unwrap();
    leave(&bob, id).await.unwrap();
    leave(&alice.person, id).await.unwrap();
    let standing = join(&bob, id).await.unwrap();
    assert_eq!((standing.muted_until, standing.members), (u64::MAX, 1));
    assert_eq!(world.chat.group(&world.app, id, Some(&user("bob"))).await.unwrap().role, Role::Admin);
    assert_eq!(say(&bob, id, "muted").await, Err(SendError::MutedHere));
    // Hers, though she is not in.
    act(&world, id, by("alice"), GroupAction::Unmute(name())).await.unwrap();
    assert_eq!(say(&alice.person, id, "away").await, Err(SendError::NotMember));
    say(&bob, id, "again").await.unwrap();
    join(&alice.person, id).await.unwrap();
    act(&world, id, by("bob"), GroupAction::MuteAll(true)).await.unwrap();
    assert_eq!(alice.hear_until("AllMuted").await.last().unwrap(), "AllMuted");
    act(&world, id, by("alice"), GroupAction::Remove(name())).await.unwrap();
    join(&bob, id).await.unwrap();
    assert_eq!(world.chat.group(&world.app, id, Some(&user("bob"))).await.unwrap().role, Role::Member);
    check_replay(&*world.store).await;
}

#[tokio::test]
async fn the_removed_hear_it_and_the_blocked_stay_out() {
    let world = World::new().await;
    let mut alice = Ear::new(world.login("alice", "a1").await);
    let mut bob = Ear::new(world.login("bob", "b1").await);
    let id = made(&world, "alice").await;
    join(&bob.person, id).await.unwrap();
    assert_eq!(alice.hear().await, "bob came, 2");
    act(&world, id, by("alice"), GroupAction::Block(vec![user("bob")])).await.unwrap();
    assert_eq!(bob.hear_until("bob removed, 1").await.len(), 1);
    assert_eq!(alice.hear().await, "bob removed, 1");
    assert_eq!(join(&bob.person, id).await, Err(RoomError::Blocked));
    say(&alice.person, id, "alone").await.unwrap();
    act(&world, id, by("alice"), GroupAction::Unblock(vec![user("bob")])).await.unwrap();
    assert_eq!(bob.hear().await, "Unblocked");
    join(&bob.person, id).await.unwrap();
    act(&world, id, by("alice"), GroupAction::Destroy).await.unwrap();
    assert_eq!(bob.hear().await, "Destroyed");
    assert_eq!(join(&bob.person, id).await, Err(RoomError::NotFound));
    assert!(world.chat.joined_rooms(&world.app, &user("bob")).await.unwrap().is_empty());
    check_replay(&*world.store).await;
}

#[tokio::test]
async fn a_person_may_leave_all_other_rooms() {
    let world = World::new().await;
    let bob = world.login("bob", "b1").await;
    let (first, second) = (made(&world, "bob").await, made(&world, "bob").await);
    let request = RoomRequest::Join { room: second, ext: String::new(), leave_others: true };
    bob.attached.session.room(request).await.unwrap();
    let joined = world.chat.joined_rooms(&world.app, &user("bob")).await.unwrap();
    assert_eq!(joined.iter().map(|room| room.info.id).collect::<Vec<_>>(), [second]);
    assert_eq!(world.chat.group(&world.app, first, None).await.unwrap().size, 0);
    let too_long = RoomRequest::Join { room: first, ext: "x".repeat(1025), leave_others: false };
    assert_eq!(bob.attached.session.room(too_long).await, Err(RoomError::Malformed));
}

#[tokio::test]
async fn priority_is_what_the_sender_says_and_high_for_the_allowed() {
    let world = World::new().await;
    let mut alice = Ear::new(world.login("alice", "a1").await);
    let bob = world.login("bob", "b1").await;
    let id = made(&world, "alice").await;
    join(&bob, id).await.unwrap();
    alice.hear().await;
    let low = Submission { ext: Priority::Low.ext(false), ..to_room(&bob, id, "low") };
    bob.submit(low.clone()).await.unwrap();
    assert_eq!(Priority::of(&*alice.entry().await), Priority::Low);
    act(&world, id, by("alice"), GroupAction::Allow { people: vec![user("bob")], on: true }).await.unwrap();
    assert_eq!(alice.hear().await, "Allowed");
    bob.submit(Submission { ext: Priority::Low.ext(false), ..to_room(&bob, id, "high") }).await.unwrap();
    assert_eq!(Priority::of(&*alice.entry().await), Priority::High);
    say(&bob, id, "high too").await.unwrap();
    assert_eq!(Priority::of(&*alice.entry().await), Priority::High);
}

#[tokio::test]
async fn a_message_to_some_is_for_them() {
    let world = World::new().await;
    world.register("alice").await;
    let id = made(&world, "alice").await;
    let mut ears = Vec::new();
    for name in ["alice", "bob", "carol"] {
        let person = world.login(name, "d1").await;
        join(&person, id).await.unwrap();
        ears.push(Ear::new(person));
    }
    let route = RouteTo::Members(vec!["bob".into()]);
    let person = &ears[0].person;
    person.submit(Submission { route, ..to_room(person, id, "for bob") }).await.unwrap();
    say(person, id, "for all").await.unwrap();
    assert!(ears[1].hear_until("for all").await.contains(&"for bob".to_owned()));
    assert!(!ears[2].hear_until("for all").await.contains(&"for bob".to_owned()));
    // Who comes later is told what was for everybody.
    let dave = world.login("dave", "d1").await;
    let history = join(&dave, id).await.unwrap().history;
    assert_eq!(history.iter().map(|entry| text_of(entry)).collect::<Vec<_>>(), ["for all"]);
}

#[tokio::test]
async fn a_room_is_read_on_after_a_gap() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    let bob = world.login("bob", "b1").await;
    let id = made(&world, "alice").await;
    say(&alice, id, "before").await.unwrap();
    let pull = |after| PullRequest {
        conversation: id.into(),
        after: Position { seq: Seq(after), ..Position::default() },
        max_entries: 10,
        max_bytes: 10_000,
    };
    assert!(bob.attached.session.pull(pull(0)).await.unwrap().entries.is_empty());
    // The clock of a join is in milliseconds.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let seq = join(&bob, id).await.unwrap().seq;
    say(&alice, id, "after").await.unwrap();
    for from in [0, seq] {
        let batch = bob.attached.session.pull(pull(from)).await.unwrap();
        assert_eq!(batch.entries.iter().map(|entry| text_of(entry)).collect::<Vec<_>>(), ["after"]);
    }
}

#[tokio::test]
async fn attributes_are_somebodys() {
    let world = World::new().await;
    let mut alice = Ear::new(world.login("alice", "a1").await);
    let bob = world.login("bob", "b1").await;
    let id = made(&world, "alice").await;
    join(&bob, id).await.unwrap();
    alice.hear().await;
    let change = |who: &'static str, forced, action| {
        let change = RoomAttributes { user: user(who), forced, action };
        world.chat.change_room_attributes(&world.app, id, by(who), change)
    };
    let set = |keys: &[&str], auto_delete| AttributeAction::Set {
        values: keys.iter().map(|key| ((*key).to_owned(), "v".to_owned())).collect(),
        auto_delete,
        ext: String::new(),
    };
    let remove = |key: &str| AttributeAction::Remove { keys: vec![key.to_owned()] };
    let failed =
        |key: &str, error| AttributesOutcome { done: Vec::new(), failed: [(key.into(), error)].into() };
    change("bob", false, set(&["goes", "second"], true)).await.unwrap();
    change("bob", false, set(&["stays"], false)).await.unwrap();
    assert_eq!(alice.hear().await, "set goes+second");
    assert_eq!(alice.hear().await, "set stays");
    let refused = change("alice", false, set(&["stays"], false)).await.unwrap();
    assert_eq!(refused, failed("stays", AttributeError::NotOwn));
    assert_eq!(change("alice", false, remove("goes")).await.unwrap(), failed("goes", AttributeError::NotOwn));
    change("alice", true, remove("second")).await.unwrap();
    assert_eq!(alice.hear().await, "took second");
    leave(&bob, id).await.unwrap();
    assert_eq!(alice.hear().await, "took goes");
    assert_eq!(alice.hear().await, "bob left, 1");
    let all = world.chat.room_attributes(&world.app, id, &[]).await.unwrap();
    assert_eq!(all.into_keys().collect::<Vec<_>>(), ["stays"]);
    let outside = change("bob", false, set(&["x"], false)).await;
    assert!(matches!(outside, Err(ChatError::Muc(MucError::NotMember { .. }))));
    let many: Vec<String> = (0..100).map(|n| format!("k{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let outcome = change("alice", false, set(&many, false)).await.unwrap();
    assert_eq!((outcome.done.len(), outcome.failed.len()), (99, 1));
    check_replay(&*world.store).await;
}

#[tokio::test]
async fn a_broadcast_reaches_the_rooms_in_which_something_happened() {
    let world = World::new().await;
    let mut alice = Ear::new(world.login("alice", "a1").await);
    let (busy, _quiet) = (made(&world, "alice").await, made(&world, "alice").await);
    say(&alice.person, busy, "hello").await.unwrap();
    let body = |room: MucId| {
        let body = common::body("admin", &room.to_string(), "to all");
        MessageBody { r#type: Some(Type::Chatroom as i32), ..body }.encode_to_vec().into()
    };
    let admin = user("admin");
    world.chat.broadcast(&world.app, &admin, Priority::High, false, &body).await.unwrap();
    let entry = alice.entry().await;
    assert_eq!((text_of(&entry), entry.conversation.muc()), ("to all".into(), Some(busy)));
    assert_eq!(Priority::of(&entry), Priority::High);
    // Sent by the app to one.
    let message = OutgoingMessage {
        from: admin,
        to: Target::Muc(busy),
        only: Vec::new(),
        body: body(busy),
        priority: Priority::Low,
        is_broadcast: false,
        sync_device: false,
        online_only: false,
        at: None,
    };
    world.chat.send(&world.app, message).await.unwrap();
    assert_eq!(Priority::of(&*alice.entry().await), Priority::Low);
}

#[tokio::test]
async fn who_is_away_for_long_is_taken_out_and_who_comes_back_hears_at_once() {
    let settings = AppSettings { room_grace_s: 1, ..AppSettings::default() };
    let cores = Cores::with(2, settings).await;
    let alice = cores.login(0, "alice", "a1").await;
    let id = cores.cores[0].chat.create_room(&cores.app, app(), room_of("alice", 10)).await.unwrap();
    let mut alice = Ear::new(alice);
    let bob = cores.login(1, "bob", "b1").await;
    join(&bob, id).await.unwrap();
    assert_eq!(alice.hear().await, "bob came, 2");
    // A moment away, and on another core: still in, without joining.
    drop(bob);
    let mut bob = Ear::new(cores.login(0, "bob", "b1").await);
    say(&alice.person, id, "still there?").await.unwrap();
    assert_eq!(bob.hear().await, "still there?");
    drop(bob);
    assert_eq!(alice.hear().await, "bob left, 1");
    assert_eq!(cores.cores[1].chat.group(&cores.app, id, None).await.unwrap().size, 1);
    check_replay(&*cores.store).await;
}

#[tokio::test]
async fn the_last_place_is_taken_once_and_a_kick_counts_on_every_core() {
    let cores = Cores::new(2).await;
    let id = {
        let _alice = cores.login(0, "alice", "a1").await;
        cores.cores[0].chat.create_room(&cores.app, app(), room_of("alice", 4)).await.unwrap()
    };
    let people: Vec<_> = join_all(
        (0..8).map(|n| cores.login(n % 2, ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"][n], "d")),
    )
    .await;
    let joined = join_all(people.iter().map(|person| join(person, id))).await;
    assert_eq!(joined.iter().filter(|joined| joined.is_ok()).count(), 3);
    assert!(joined.iter().all(|joined| matches!(joined, Ok(_) | Err(RoomError::Full))));
    assert_eq!(cores.cores[1].chat.group(&cores.app, id, None).await.unwrap().size, 4);

    // Somebody speaks while they are put out: what was taken is before the kick.
    let (index, _) = joined.iter().enumerate().find(|(_, joined)| joined.is_ok()).unwrap();
    let speaker = &people[index];
    let name = speaker.attached.user.clone();
    let kick = async {
        tokio::time::sleep(Duration::from_millis(3)).await;
        let kick = GroupAction::Remove(vec![name.clone()]);
        cores.cores[1].chat.manage_group(&cores.app, id, by("alice"), kick).await.unwrap();
    };
    let speak = async {
        let mut said = Vec::new();
        for n in 0..200 {
            said.push(say(speaker, id, &n.to_string()).await);
        }
        said
    };
    let (said, ()) = tokio::join!(speak, kick);
    let taken = said.iter().take_while(|said| said.is_ok()).count();
    assert!(said[taken..].iter().all(|said| said == &Err(SendError::NotMember)), "{said:?}");
    check_replay(&*cores.store).await;
}

#[tokio::test]
async fn destroying_and_joining_have_one_outcome() {
    let cores = Cores::new(2).await;
    let _alice = cores.login(0, "alice", "a1").await;
    let bob = cores.login(1, "bob", "b1").await;
    for _ in 0..20 {
        let id = cores.cores[0].chat.create_room(&cores.app, app(), room_of("alice", 10)).await.unwrap();
        let destroy = cores.cores[0].chat.manage_group(&cores.app, id, by("alice"), GroupAction::Destroy);
        let (joined, destroyed) = tokio::join!(join(&bob, id), destroy);
        destroyed.unwrap();
        assert!(matches!(joined, Ok(_) | Err(RoomError::NotFound)));
        assert_eq!(join(&bob, id).await, Err(RoomError::NotFound));
    }
    let rooms = cores.cores[1].chat.joined_rooms(&cores.app, &user("bob")).await.unwrap();
    assert!(rooms.is_empty(), "{rooms:?}");
    check_replay(&*cores.store).await;
}

#[tokio::test]
async fn a_deleted_person_is_in_no_room_and_their_own_end() {
    let world = World::new().await;
    let bob = world.login("bob", "b1").await;
    world.register("alice").await;
    let (own, other) = (made(&world, "bob").await, made(&world, "alice").await);
    join(&bob, other).await.unwrap();
    world.chat.delete_user(&world.app, &user("bob")).await.unwrap();
    let gone = world.chat.group(&world.app, own, None).await;
    assert!(matches!(gone, Err(ChatError::Muc(MucError::NotFound))));
    assert_eq!(world.chat.group(&world.app, other, None).await.unwrap().size, 1);
    let token = world.token("bob").await;
    let again = world.chat.attach(login("bob", "b2", token)).await.unwrap();
    assert!(world.chat.joined_rooms(&world.app, &again.user).await.unwrap().is_empty());
    check_replay(&*world.store).await;
}
