//! Groups: who is in, who may do what, who hears what, and what it costs.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)] // test code

mod common;

use common::{Person, World, text_of, user};
use meridian_chat::{
    Actor, AppSettings, ChatError, Consent, GroupAction, GroupChanges, MucError, NewGroup, NewUser,
    OutgoingMessage, Role, Target,
};
use meridian_memory::MemoryStore;
use meridian_ports::Store;
use meridian_replication::{compare, replay, verify};
use meridian_types::room::Priority;
use meridian_types::{
    Entry, EntryKind, MucId, Notice, Resource,
    msync::{KeyValue, MessageBody, key_value::Value, message_body::Type},
    notice::{Joining, MucChange},
    session::{RouteTo, SendError},
};
use prost::Message;
use std::{collections::BTreeMap, sync::Arc};

async fn check_replay(world: &World) {
    verify(&*world.store).await.unwrap();
    let copy: Arc<MemoryStore> = Arc::default();
    replay(&*world.store, &*copy).await.unwrap();
    assert_eq!(compare(&*world.store, &*copy, 10).await.unwrap(), []);
}

fn group_of(owner: &str, members: &[&str]) -> NewGroup {
    NewGroup {
        id: None,
        name: "G".into(),
        description: "d".into(),
        owner: user(owner),
        members: members.iter().map(|name| user(name)).collect(),
        public: true,
        approval: false,
        allow_invites: false,
        invite_need_confirm: true,
        max_users: 200,
        custom: String::new(),
        avatar: String::new(),
    }
}

fn app() -> Actor {
    Actor { user: None, device: None }
}

fn by(name: &str) -> Actor {
    Actor { user: Some(user(name)), device: None }
}

/// Made by the app: nobody is asked.
async fn made(world: &World, group: NewGroup) -> MucId {
    world.chat.create_group(&world.app, app(), Consent::NotAsked, group).await.unwrap()
}

async fn act(world: &World, id: MucId, actor: Actor, action: GroupAction) -> Result<(), MucError> {
    match world.chat.manage_group(&world.app, id, actor, action).await {
        Ok(outcomes) => outcomes.into_iter().find_map(|outcome| outcome.error).map_or(Ok(()), Err),
        Err(ChatError::Muc(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

fn change_of(entry: &Entry) -> MucChange {
    match Notice::of(entry) {
        Some(Notice::Muc(notice)) => notice.change,
        other => panic!("not about a group: {other:?}"),
    }
}

async fn next(person: &mut Person) -> MucChange {
    change_of(&*person.receive().await)
}

fn is_joined(change: &MucChange, names: &[&str]) -> bool {
    matches!(change, MucChange::Joined { people, .. } if people.iter().map(|name| name.as_str()).eq(names.iter().copied()))
}

async fn register(world: &World, names: &[&str]) {
    for name in names {
        world.register(name).await;
    }
}

/// What a device is owed, in words: texts, and the names of changes.
async fn owed(person: &Person) -> Vec<String> {
    let word = |entry: &Arc<Entry>| match entry.kind {
        EntryKind::Notice => format!("{:?}", change_of(entry)).split([' ', '{']).next().unwrap().to_owned(),
        _ => text_of(entry),
    };
    person.pull_all().await.iter().map(word).collect()
}

#[tokio::test]
async fn members_hear_each_other_live_and_later() {
    let world = World::new().await;
    let mut alice = world.login("alice", "a1").await;
    let mut bob = world.login("bob", "b1").await;
    register(&world, &["carol"]).await;
    let id = made(&world, group_of("alice", &["bob", "carol"])).await;
    assert!(matches!(next(&mut alice).await, MucChange::Created));
    for person in [&mut alice, &mut bob] {
        assert!(is_joined(&next(person).await, &["bob", "carol"]));
    }
    alice.say(id, "one").await.unwrap();
    assert_eq!(text_of(&*bob.receive().await), "one");
    bob.say(id, "two").await.unwrap();
    assert_eq!(text_of(&*alice.receive().await), "two");
    // Carol was away.
    let carol = world.login("carol", "c1").await;
    assert_eq!(owed(&carol).await, ["Joined", "one", "two"]);
    let all = carol.pull_all().await;
    let last = meridian_types::Position::new(meridian_types::Epoch(1), all[2].seq);
    carol.attached.session.acknowledge(&id.into(), last);
    assert!(owed(&carol).await.is_empty());
    check_replay(&world).await;
}

/// I13: what is said before somebody comes or after they go is not theirs.
#[tokio::test]
async fn nobody_reads_outside_their_stay() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    let bob = world.login("bob", "b1").await;
    let id = made(&world, group_of("alice", &[])).await;
    alice.say(id, "before").await.unwrap();
    let add = GroupAction::Add { people: vec![user("bob")], consent: Consent::NotAsked };
    act(&world, id, app(), add.clone()).await.unwrap();
    alice.say(id, "within").await.unwrap();
    act(&world, id, by("alice"), GroupAction::Remove(vec![user("bob")])).await.unwrap();
    alice.say(id, "after").await.unwrap();
    assert_eq!(owed(&bob).await, ["Joined", "within", "Removed"]);
    assert_eq!(bob.say(id, "no").await, Err(SendError::NotMember));
    act(&world, id, app(), add).await.unwrap();
    alice.say(id, "again").await.unwrap();
    let laptop = world.login("bob", "b2").await;
    assert_eq!(owed(&laptop).await, ["Joined", "within", "Removed", "Joined", "again"]);
    // Who knows the name of a group can still not pull it.
    let eve = world.login("eve", "e1").await;
    let request = meridian_types::session::PullRequest {
        conversation: id.into(),
        after: Default::default(),
        max_entries: 10,
        max_bytes: 1000,
    };
    assert!(eve.attached.session.pull(request).await.unwrap().entries.is_empty());
    check_replay(&world).await;
}

#[tokio::test]
async fn who_is_asked_answers() {
    let world = World::new().await;
    let mut alice = world.login("alice", "a1").await;
    let mut bob = world.login("bob", "b1").await;
    let mut carol = world.login("carol", "c1").await;
    let group = group_of("alice", &["bob", "carol"]);
    let actor = Actor { user: Some(user("alice")), device: Some(Resource::parse("a1").unwrap()) };
    let id = world.chat.create_group(&world.app, actor.clone(), Consent::AsSet, group).await.unwrap();
    assert!(matches!(next(&mut bob).await, MucChange::Invited { .. }));
    assert!(matches!(next(&mut carol).await, MucChange::Invited { .. }));
    assert_eq!(bob.say(id, "no").await, Err(SendError::NotMember));
    let answer = |accept| GroupAction::Answer { accept, reason: "why".into() };
    act(&world, id, by("carol"), answer(false)).await.unwrap();
    assert!(matches!(next(&mut alice).await, MucChange::InvitationDeclined { reason } if reason == "why"));
    assert_eq!(act(&world, id, by("carol"), answer(true)).await, Err(MucError::NoInvitation));
    act(&world, id, by("bob"), answer(true)).await.unwrap();
    assert_eq!(next(&mut alice).await, MucChange::InvitationAccepted);
    assert!(is_joined(&next(&mut alice).await, &["bob"]));
    alice.say(id, "welcome").await.unwrap();
    assert!(is_joined(&next(&mut bob).await, &["bob"]));
    assert_eq!(text_of(&*bob.receive().await), "welcome");
    // Members may not invite here; outsiders never.
    let invite = GroupAction::Add { people: vec![user("carol")], consent: Consent::AsSet };
    let refused = act(&world, id, by("bob"), invite.clone()).await;
    assert_eq!(refused, Err(MucError::NotPermitted { needed: Role::Admin }));
    assert_eq!(act(&world, id, by("carol"), invite).await, Err(MucError::NotMember { user: user("carol") }));
    check_replay(&world).await;
}

#[tokio::test]
async fn who_asks_is_let_in_or_not() {
    let world = World::new().await;
    let mut alice = world.login("alice", "a1").await;
    let mut dave = world.login("dave", "d1").await;
    register(&world, &["bob", "carol"]).await;
    let id = made(&world, NewGroup { approval: true, ..group_of("alice", &["dave"]) }).await;
    act(&world, id, app(), GroupAction::Admin { user: user("dave"), on: true }).await.unwrap();
    for person in [&mut alice, &mut dave] {
        while !matches!(next(person).await, MucChange::AdminAdded { .. }) {}
    }
    let apply = || GroupAction::Apply { reason: "please".into() };
    act(&world, id, by("bob"), apply()).await.unwrap();
    act(&world, id, by("carol"), apply()).await.unwrap();
    for person in [&mut alice, &mut dave] {
        for _ in 0..2 {
            assert!(matches!(next(person).await, MucChange::Applied { reason } if reason == "please"));
        }
    }
    let decide = |applicant: &str, accept| GroupAction::Decide {
        applicant: user(applicant),
        accept,
        reason: "no".into(),
    };
    act(&world, id, by("dave"), decide("bob", true)).await.unwrap();
    act(&world, id, by("alice"), decide("carol", false)).await.unwrap();
    assert_eq!(act(&world, id, by("alice"), decide("carol", true)).await, Err(MucError::NoApplication));
    assert_eq!(owed(&world.login("bob", "b1").await).await, ["Joined"]);
    assert_eq!(owed(&world.login("carol", "c1").await).await, ["ApplicationDeclined"]);
    assert!(matches!(next(&mut alice).await, MucChange::Joined { how: Joining::Accepted, .. }));
    // An open group needs nobody; a private one cannot be asked.
    let open = made(&world, group_of("alice", &[])).await;
    act(&world, open, by("carol"), apply()).await.unwrap();
    assert!(world.chat.is_in_group(&world.app, open, &user("carol")).await.unwrap());
    let private = made(&world, NewGroup { public: false, ..group_of("alice", &[]) }).await;
    assert_eq!(act(&world, private, by("carol"), apply()).await, Err(MucError::NotPublic));
    check_replay(&world).await;
}

#[tokio::test]
async fn mutes_silence_and_end() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    let bob = world.login("bob", "b1").await;
    let carol = world.login("carol", "c1").await;
    let id = made(&world, group_of("alice", &["bob", "carol"])).await;
    let people = vec![user("bob")];
    let mute = |until| GroupAction::Mute { people: vec![user("bob")], until };
    act(&world, id, by("alice"), mute(u64::MAX)).await.unwrap();
    assert_eq!(bob.say(id, "x").await, Err(SendError::MutedHere));
    assert_eq!(world.chat.group_muted(&world.app, id).await.unwrap()[0].until, u64::MAX);
    act(&world, id, by("alice"), GroupAction::Unmute(people.clone())).await.unwrap();
    bob.say(id, "y").await.unwrap();
    // One that is over needs no lifting.
    act(&world, id, by("alice"), mute(1)).await.unwrap();
    bob.say(id, "z").await.unwrap();
    assert!(world.chat.group_muted(&world.app, id).await.unwrap().is_empty());
    assert_eq!(
        act(&world, id, by("bob"), mute(u64::MAX)).await,
        Err(MucError::NotPermitted { needed: Role::Admin })
    );
    act(&world, id, by("alice"), GroupAction::MuteAll(true)).await.unwrap();
    assert_eq!(bob.say(id, "x").await, Err(SendError::NotAllowed));
    act(&world, id, by("alice"), GroupAction::Allow { people, on: true }).await.unwrap();
    bob.say(id, "allowed").await.unwrap();
    alice.say(id, "owner").await.unwrap();
    assert_eq!(carol.say(id, "x").await, Err(SendError::NotAllowed));
    act(&world, id, app(), GroupAction::MuteAll(false)).await.unwrap();
    carol.say(id, "free").await.unwrap();
    act(&world, id, app(), GroupAction::Disable(true)).await.unwrap();
    assert_eq!(alice.say(id, "x").await, Err(SendError::GroupDisabled));
    assert_eq!(act(&world, id, by("alice"), GroupAction::MuteAll(true)).await, Err(MucError::Disabled));
    act(&world, id, app(), GroupAction::Disable(false)).await.unwrap();
    alice.say(id, "back").await.unwrap();
    check_replay(&world).await;
}

#[tokio::test]
async fn owners_and_admins_have_their_rights() {
    let world = World::new().await;
    register(&world, &["alice", "bob", "carol", "dave"]).await;
    let id = made(&world, group_of("alice", &["bob", "carol"])).await;
    let admin = |name: &str, on| GroupAction::Admin { user: user(name), on };
    act(&world, id, by("alice"), admin("bob", true)).await.unwrap();
    assert_eq!(
        act(&world, id, by("alice"), admin("dave", true)).await,
        Err(MucError::NotMember { user: user("dave") })
    );
    assert_eq!(
        act(&world, id, by("bob"), admin("carol", true)).await,
        Err(MucError::NotPermitted { needed: Role::Owner })
    );
    let remove = |name: &str| GroupAction::Remove(vec![user(name)]);
    assert_eq!(act(&world, id, by("bob"), remove("alice")).await, Err(MucError::Owner));
    assert_eq!(act(&world, id, by("alice"), GroupAction::Leave).await, Err(MucError::OwnerLeaves));
    assert_eq!(
        act(&world, id, by("alice"), GroupAction::Transfer(user("alice"))).await,
        Err(MucError::SameOwner)
    );
    act(&world, id, by("alice"), GroupAction::Transfer(user("bob"))).await.unwrap();
    let group = world.chat.group(&world.app, id, Some(&user("bob"))).await.unwrap();
    assert_eq!((group.info.owner.as_str(), group.role, group.size), ("bob", Role::Owner, 3));
    assert!(world.chat.group_admins(&world.app, id).await.unwrap().is_empty());
    act(&world, id, by("alice"), GroupAction::Leave).await.unwrap();
    act(&world, id, by("bob"), GroupAction::Block(vec![user("carol")])).await.unwrap();
    assert_eq!(world.chat.group_blocked(&world.app, id).await.unwrap(), [user("carol")]);
    let apply = GroupAction::Apply { reason: String::new() };
    assert_eq!(act(&world, id, by("carol"), apply).await, Err(MucError::Blocked { user: user("carol") }));
    // The app brings in even the blocked, who are so no longer.
    let add = GroupAction::Add { people: vec![user("carol"), user("nobody")], consent: Consent::NotAsked };
    assert_eq!(act(&world, id, app(), add).await, Err(MucError::NoUser { user: user("nobody") }));
    assert!(world.chat.is_in_group(&world.app, id, &user("carol")).await.unwrap());
    assert!(world.chat.group_blocked(&world.app, id).await.unwrap().is_empty());
    check_replay(&world).await;
}

#[tokio::test]
async fn settings_extras_and_the_end() {
    let world = World::new().await;
    let mut alice = world.login("alice", "a1").await;
    let mut bob = world.login("bob", "b1").await;
    let id = made(&world, group_of("alice", &["bob"])).await;
    for person in [&mut alice, &mut bob] {
        while !is_joined(&next(person).await, &["bob"]) {}
    }
    let changes = GroupChanges { name: Some("H".into()), max_users: Some(5), ..GroupChanges::default() };
    act(&world, id, by("alice"), GroupAction::Update(changes.clone())).await.unwrap();
    let MucChange::Updated { fields } = next(&mut bob).await else { panic!() };
    assert_eq!((fields["name"].as_str(), fields["max_users"].as_u64()), (Some("H"), Some(5)));
    act(&world, id, by("alice"), GroupAction::Update(changes)).await.unwrap();
    let small = GroupChanges { max_users: Some(1), ..GroupChanges::default() };
    assert_eq!(
        act(&world, id, app(), GroupAction::Update(small)).await,
        Err(MucError::SizeBelow { size: 1 })
    );
    act(&world, id, by("alice"), GroupAction::Announce("hear".into())).await.unwrap();
    assert_eq!(
        next(&mut bob).await,
        MucChange::Announced { text: "hear".into() },
        "the same again changes nothing"
    );
    let set = |name: &str, value: &str| GroupAction::Attributes {
        user: user("bob"),
        changes: BTreeMap::from([(name.to_owned(), value.to_owned())]),
    };
    act(&world, id, by("bob"), set("nick", "B")).await.unwrap();
    act(&world, id, by("alice"), set("role", "x")).await.unwrap();
    act(&world, id, by("alice"), set("role", "")).await.unwrap();
    let attributes =
        world.chat.group_attributes(&world.app, id, &[user("bob"), user("alice")], &[]).await.unwrap();
    assert_eq!(attributes[&user("bob")], BTreeMap::from([("nick".to_owned(), "B".to_owned())]));
    assert!(!attributes.contains_key(&user("alice")));
    let large = act(&world, id, by("bob"), set("x", &"y".repeat(4096))).await;
    assert_eq!(large, Err(MucError::AttributesTooLarge { limit: 4096 }));

    assert_eq!(
        act(&world, id, by("bob"), GroupAction::Destroy).await,
        Err(MucError::NotPermitted { needed: Role::Owner })
    );
    act(&world, id, by("alice"), GroupAction::Destroy).await.unwrap();
    while next(&mut bob).await != MucChange::Destroyed {}
    assert_eq!(bob.say(id, "x").await, Err(SendError::GroupNotFound));
    assert!(world.chat.joined_groups(&world.app, &user("bob"), 0, 10).await.unwrap().is_empty());
    assert!(matches!(world.chat.group(&world.app, id, None).await, Err(ChatError::Muc(MucError::NotFound))));
    assert_eq!(world.chat.joined_group_count(&world.app, &user("alice")).await.unwrap(), 0);
    // Who was away learns of it too, and of nothing else of a later group with this id.
    assert_eq!(owed(&world.login("bob", "b2").await).await.last().unwrap(), "Destroyed");
    check_replay(&world).await;
}

#[tokio::test]
async fn a_chosen_id_can_be_used_again_after_the_end() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    register(&world, &["bob", "carol"]).await;
    let id = MucId::parse("4711").unwrap();
    let chosen = |members: &[&str]| NewGroup { id: Some(id), ..group_of("alice", members) };
    assert_eq!(made(&world, chosen(&["bob"])).await, id);
    let again = world.chat.create_group(&world.app, app(), Consent::NotAsked, chosen(&[])).await;
    assert!(matches!(again, Err(ChatError::Muc(MucError::Exists))));
    alice.say(id, "old").await.unwrap();
    act(&world, id, app(), GroupAction::Destroy).await.unwrap();
    made(&world, chosen(&["carol"])).await;
    alice.say(id, "new").await.unwrap();
    assert_eq!(owed(&world.login("bob", "b1").await).await, ["Joined", "old", "Destroyed"]);
    assert_eq!(owed(&world.login("carol", "c1").await).await, ["Joined", "new"]);
    let own = NewGroup { id: MucId::parse(&(MucId::OWN + 5).to_string()), ..group_of("alice", &[]) };
    let refused = world.chat.create_group(&world.app, app(), Consent::NotAsked, own).await;
    assert!(matches!(refused, Err(ChatError::Muc(MucError::Id))));
    check_replay(&world).await;
}

#[tokio::test]
async fn directed_messages_reach_only_those_named() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    register(&world, &["bob", "carol", "eve"]).await;
    let id = made(&world, group_of("alice", &["bob", "carol"])).await;
    let directed = |names: &[&str]| {
        let body = common::body("alice", &id.to_string(), "for bob");
        let members = names.iter().map(|name| (*name).to_owned()).collect();
        meridian_types::session::Submission { route: RouteTo::Members(members), ..alice.to_group(id, &body) }
    };
    alice.submit(directed(&["bob"])).await.unwrap();
    assert_eq!(alice.submit(directed(&["eve"])).await, Err(SendError::NotMember));
    assert_eq!(alice.submit(directed(&[])).await, Err(SendError::DirectedLimit { limit: 20 }));
    assert_eq!(owed(&world.login("bob", "b1").await).await, ["Joined", "for bob"]);
    assert_eq!(owed(&world.login("carol", "c1").await).await, ["Joined"]);
    assert_eq!(owed(&world.login("alice", "a2").await).await, ["Created", "Joined", "for bob"]);
    // By the app, for anybody.
    let body = MessageBody {
        r#type: Some(Type::Groupchat as i32),
        ..common::body("admin", &id.to_string(), "news")
    };
    let message = OutgoingMessage {
        priority: Priority::default(),
        is_broadcast: false,
        from: user("admin"),
        to: Target::Muc(id),
        only: vec![user("carol")],
        body: body.encode_to_vec().into(),
        sync_device: false,
        online_only: false,
        at: None,
    };
    world.chat.send(&world.app, message.clone()).await.unwrap();
    assert_eq!(owed(&world.login("carol", "c2").await).await, ["Joined", "news"]);
    let refused = world.chat.send(&world.app, OutgoingMessage { only: vec![user("eve")], ..message }).await;
    assert!(refused.is_err());
    check_replay(&world).await;
}

#[tokio::test]
async fn recalls_and_edits_in_a_group() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    let bob = world.login("bob", "b1").await;
    let id = made(&world, group_of("alice", &["bob"])).await;
    let said = bob.say(id, "oops").await.unwrap().message_id;
    let about = |kind: Type, target: meridian_types::MessageId, from: &str| {
        let mut body =
            MessageBody { r#type: Some(kind as i32), ..common::body(from, &id.to_string(), "edited") };
        match kind {
            Type::Edit => body.edit_message_id = Some(target.0),
            _ => body.ack_message_id = Some(target.0),
        }
        body
    };
    let edited = bob.submit(bob.to_group(id, &about(Type::Edit, said, "bob"))).await.unwrap();
    assert!(edited.notice.unwrap().contains("chat:group"));
    let foreign = alice.say(id, "mine").await.unwrap().message_id;
    let refused = bob.submit(bob.to_group(id, &about(Type::Recall, foreign, "bob"))).await;
    assert_eq!(refused, Err(SendError::NotPermitted));
    // The owner may withdraw what others said.
    alice.submit(alice.to_group(id, &about(Type::Recall, said, "alice"))).await.unwrap();
    let late = world.login("bob", "b2").await;
    assert!(!owed(&late).await.contains(&"oops".to_owned()));
    check_replay(&world).await;
}

fn receipt(reader: &str, id: MucId, target: meridian_types::MessageId) -> MessageBody {
    MessageBody {
        r#type: Some(Type::ReadAck as i32),
        ack_message_id: Some(target.0),
        ack_content: Some("seen".into()),
        ..common::body(reader, &id.to_string(), "")
    }
}

#[tokio::test]
async fn an_author_learns_how_many_have_read() {
    let world = World::new().await;
    let mut alice = world.login("alice", "a1").await;
    let names: Vec<String> = (0..20).map(|n| format!("m{n:02}")).collect();
    let mut readers = Vec::new();
    for name in &names {
        readers.push(world.login(name, "d").await);
    }
    let members: Vec<&str> = names.iter().map(String::as_str).collect();
    let id = made(&world, group_of("alice", &members)).await;
    let message = alice.say(id, "who reads this?").await.unwrap().message_id;
    for reader in &readers {
        for _ in 0..2 {
            reader.submit(reader.to_group(id, &receipt(&reader.name, id, message))).await.unwrap();
        }
    }
    // Numbers that rise to the last one; fewer than there are readers.
    let mut heard = Vec::new();
    while heard.last() != Some(&20) {
        let entry = alice.receive().await;
        if entry.kind != EntryKind::ReadReceipt {
            continue;
        }
        assert_eq!(entry.target, Some(message));
        let body = MessageBody::decode(entry.body.clone().unwrap()).unwrap();
        let [KeyValue { value: Some(Value::StringValue(counts)), .. }] = &body.ext[..] else { panic!() };
        let counts: BTreeMap<String, u64> = serde_json::from_str(counts).unwrap();
        heard.push(counts[&message.to_string()]);
    }
    assert!(heard.is_sorted() && heard.len() < 20, "{heard:?}");
    assert_eq!(world.chat.group_reader_count(&world.app, id, message).await.unwrap(), 20);
    let page = world.chat.group_readers(&world.app, id, message, None, 15).await.unwrap();
    assert_eq!((page.items.len(), page.items[0].0.as_str()), (15, "m00"));
    let rest = world.chat.group_readers(&world.app, id, message, page.cursor.as_deref(), 15).await.unwrap();
    assert_eq!((rest.items.len(), rest.cursor), (5, None));
    // Others are not told.
    assert_eq!(owed(&world.login("m00", "late").await).await, ["Joined", "who reads this?"]);
    check_replay(&world).await;
}

#[tokio::test]
async fn a_shield_keeps_messages_away() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    let mut bob = world.login("bob", "b1").await;
    let id = made(&world, group_of("alice", &["bob"])).await;
    let device = Resource::parse("b1").unwrap();
    let shield =
        |on| (Actor { user: Some(user("bob")), device: Some(device.clone()) }, GroupAction::Shield(on));
    let (actor, on) = shield(true);
    act(&world, id, actor, on).await.unwrap();
    alice.say(id, "unheard").await.unwrap();
    act(&world, id, by("alice"), GroupAction::Announce("heard".into())).await.unwrap();
    let (actor, off) = shield(false);
    act(&world, id, actor, off).await.unwrap();
    alice.say(id, "heard").await.unwrap();
    assert!(is_joined(&next(&mut bob).await, &["bob"]));
    assert_eq!(next(&mut bob).await, MucChange::Announced { text: "heard".into() });
    assert_eq!(text_of(&*bob.receive().await), "heard");
    let late = owed(&world.login("bob", "b2").await).await;
    assert_eq!(late, ["Joined", "Shielded", "Announced", "Shielded", "heard"]);
    check_replay(&world).await;
}

#[tokio::test]
async fn lists_page_in_order() {
    let world = World::new().await;
    let names: Vec<String> = (0..25).map(|n| format!("m{n:02}")).collect();
    for name in names.iter().map(String::as_str).chain(["alice"]) {
        world.register(name).await;
    }
    let id = made(&world, group_of("alice", &[])).await;
    // The last name comes first.
    for name in names.iter().rev() {
        let add = GroupAction::Add { people: vec![user(name)], consent: Consent::NotAsked };
        act(&world, id, app(), add).await.unwrap();
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = world.chat.group_members(&world.app, id, cursor.as_deref(), 10, false).await.unwrap();
        seen.extend(page.items.into_iter().map(|member| member.user.to_string()));
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    let expected: Vec<String> = ["alice".to_owned()].into_iter().chain(names.iter().rev().cloned()).collect();
    assert_eq!(seen, expected);
    let last = world.chat.group_members(&world.app, id, None, 10, true).await.unwrap();
    let before = world.chat.group_members(&world.app, id, last.cursor.as_deref(), 20, true).await.unwrap();
    let mut back: Vec<String> =
        last.items.iter().chain(&before.items).map(|member| member.user.to_string()).collect();
    back.reverse();
    assert_eq!((back, before.cursor), (expected.clone(), None));
    let behind = world.chat.group_members_behind(&world.app, id, 20, 10).await.unwrap();
    assert_eq!(behind.iter().map(|member| member.user.as_str()).collect::<Vec<_>>(), expected[20..]);
    assert!(world.chat.group_members_behind(&world.app, id, 30, 10).await.unwrap().is_empty());

    let mut ids = vec![id];
    for n in 0..4 {
        let public = n % 2 == 0;
        let group = NewGroup { name: format!("G{n}"), public, ..group_of("m00", &["alice"]) };
        ids.push(made(&world, group).await);
    }
    let first = world.chat.groups(&world.app, None, 3).await.unwrap();
    let rest = world.chat.groups(&world.app, first.cursor.as_deref(), 3).await.unwrap();
    assert_eq!((first.items.len(), rest.items.len(), rest.cursor), (3, 2, None));
    let sizes: Vec<u64> = first.items.iter().chain(&rest.items).map(|entry| entry.size).collect();
    assert_eq!(sizes.iter().filter(|size| **size == 2).count(), 4);
    assert_eq!(world.chat.public_groups(&world.app, None, 10).await.unwrap().items.len(), 3);
    assert_eq!(world.chat.joined_groups(&world.app, &user("alice"), 1, 2).await.unwrap().len(), 2);
    assert_eq!(world.chat.joined_group_count(&world.app, &user("alice")).await.unwrap(), 5);
}

#[tokio::test]
async fn limits_hold() {
    let settings = AppSettings {
        max_groups: 2,
        max_joined_groups: 1,
        group_size_limit: 3,
        max_admins: 1,
        ..AppSettings::default()
    };
    let world = World::with(settings).await;
    register(&world, &["alice", "bob", "carol", "dave", "erin"]).await;
    let large = NewGroup { max_users: 4, ..group_of("alice", &[]) };
    let refused = world.chat.create_group(&world.app, app(), Consent::NotAsked, large).await;
    assert!(matches!(refused, Err(ChatError::Muc(MucError::SizeLimit { limit: 3 }))));
    let id = made(&world, NewGroup { max_users: 3, ..group_of("alice", &["bob", "carol"]) }).await;
    let add = GroupAction::Add { people: vec![user("dave")], consent: Consent::NotAsked };
    assert_eq!(act(&world, id, app(), add).await, Err(MucError::Full));
    let again = GroupAction::Add { people: vec![user("bob")], consent: Consent::NotAsked };
    assert_eq!(act(&world, id, app(), again).await, Err(MucError::AlreadyMember { user: user("bob") }));
    let admin = |name: &str| GroupAction::Admin { user: user(name), on: true };
    act(&world, id, app(), admin("bob")).await.unwrap();
    assert_eq!(act(&world, id, app(), admin("carol")).await, Err(MucError::TooManyAdmins { limit: 1 }));
    let second = NewGroup { max_users: 3, ..group_of("alice", &[]) };
    let refused = world.chat.create_group(&world.app, app(), Consent::NotAsked, second).await;
    assert!(matches!(refused, Err(ChatError::Muc(MucError::JoinedLimit { limit: 1, .. }))));
    made(&world, NewGroup { max_users: 3, ..group_of("dave", &[]) }).await;
    let third = NewGroup { max_users: 3, ..group_of("erin", &[]) };
    let refused = world.chat.create_group(&world.app, app(), Consent::NotAsked, third.clone()).await;
    assert!(matches!(refused, Err(ChatError::Muc(MucError::GroupLimit { limit: 2 }))));
    act(&world, id, app(), GroupAction::Destroy).await.unwrap();
    made(&world, third).await;
}

/// A message costs the same writes however many are in.
#[tokio::test]
async fn a_message_is_stored_once() {
    let world = World::new().await;
    let alice = world.login("alice", "a1").await;
    let names: Vec<String> = (0..300).map(|n| format!("m{n:03}")).collect();
    for name in &names {
        let new = NewUser { username: user(name), password: None, nickname: None };
        world.chat.register(&world.app, new).await.unwrap();
    }
    let mut costs = Vec::new();
    for size in [2, 300] {
        let id = made(&world, NewGroup { max_users: 1000, ..group_of("alice", &[]) }).await;
        for names in names[..size].chunks(60) {
            let people = names.iter().map(|name| user(name)).collect();
            act(&world, id, app(), GroupAction::Add { people, consent: Consent::NotAsked }).await.unwrap();
        }
        alice.say(id, "warm").await.unwrap();
        let heads = || async { world.store.logs(None, 1000).await.unwrap() };
        let before = heads().await;
        alice.say(id, "measured").await.unwrap();
        let (mut effects, mut bytes) = (0, 0);
        for head in heads().await {
            let known =
                before.iter().find(|before| before.log == head.log).map_or(head.lsn, |before| before.lsn);
            for logged in world.store.operations(head.log, known, 100).await.unwrap() {
                effects += logged.operation.effects.len();
                bytes += logged.operation.encode_detached().len();
            }
        }
        costs.push((effects, bytes));
    }
    assert_eq!(costs[0].0, 1);
    assert_eq!(costs[0], costs[1]);
}

#[tokio::test]
async fn a_restarted_core_knows_the_groups() {
    let world = World::new().await;
    register(&world, &["alice", "bob"]).await;
    let id = made(&world, group_of("alice", &["bob"])).await;
    let world = world.restart().await;
    let alice = world.login("alice", "a1").await;
    let mut bob = world.login("bob", "b1").await;
    assert_eq!(owed(&bob).await, ["Joined"]);
    alice.say(id, "hello").await.unwrap();
    assert_eq!(text_of(&*bob.receive().await), "hello");
}

#[tokio::test]
async fn a_deleted_person_leaves_and_their_groups_end() {
    let world = World::new().await;
    let mut carol = world.login("carol", "c1").await;
    register(&world, &["alice", "bob"]).await;
    let own = made(&world, group_of("alice", &["carol"])).await;
    let other = made(&world, group_of("bob", &["alice", "carol"])).await;
    act(&world, other, app(), GroupAction::Admin { user: user("alice"), on: true }).await.unwrap();
    act(&world, other, app(), GroupAction::Disable(true)).await.unwrap();
    world.chat.delete_user(&world.app, &user("alice")).await.unwrap();
    let mut heard = Vec::new();
    while heard.len() < 6 {
        heard.push(next(&mut carol).await);
    }
    assert!(
        heard.contains(&MucChange::Destroyed) && heard.contains(&MucChange::Left { size: 2 }),
        "{heard:?}"
    );
    assert!(matches!(world.chat.group(&world.app, own, None).await, Err(ChatError::Muc(MucError::NotFound))));
    assert_eq!(world.chat.group(&world.app, other, None).await.unwrap().size, 2);
    assert!(world.chat.group_admins(&world.app, other).await.unwrap().is_empty());
    // Another account of the same name is somebody else.
    world.register("alice").await;
    assert!(!world.chat.is_in_group(&world.app, other, &user("alice")).await.unwrap());
    assert_eq!(world.chat.joined_group_count(&world.app, &user("alice")).await.unwrap(), 0);
    check_replay(&world).await;
}
