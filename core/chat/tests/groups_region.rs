//! Groups over several cores: what many do at once has one outcome, the same for everybody.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)] // test code

mod common;

use common::{Person, region::Cores, text_of, user};
use futures_util::future::join_all;
use meridian_chat::{Actor, ChatError, Consent, GroupAction, MucError, NewGroup, Role, ThreadAction};
use meridian_memory::MemoryStore;
use meridian_replication::{compare, replay, verify};
use meridian_types::{
    Entry, EntryKind, MucId, Notice,
    notice::MucChange,
    session::{SendError, SessionEvent},
};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);

async fn check_replay(cores: &Cores) {
    verify(&*cores.store).await.unwrap();
    let copy: Arc<MemoryStore> = Arc::default();
    replay(&*cores.store, &*copy).await.unwrap();
    assert_eq!(compare(&*cores.store, &*copy, 10).await.unwrap(), []);
}

fn by(name: &str) -> Actor {
    Actor { user: Some(user(name)), device: None }
}

fn app() -> Actor {
    Actor { user: None, device: None }
}

async fn made(cores: &Cores, owner: &str, members: &[&str], max_users: u64) -> MucId {
    let group = NewGroup {
        id: None,
        name: "G".into(),
        description: String::new(),
        owner: user(owner),
        members: members.iter().map(|name| user(name)).collect(),
        public: true,
        approval: false,
        allow_invites: false,
        invite_need_confirm: false,
        max_users,
        custom: String::new(),
        avatar: String::new(),
    };
    cores.cores[0].chat.create_group(&cores.app, app(), Consent::NotAsked, group).await.unwrap()
}

async fn act(
    cores: &Cores,
    core: usize,
    id: MucId,
    actor: Actor,
    action: GroupAction,
) -> Result<(), MucError> {
    match cores.cores[core].chat.manage_group(&cores.app, id, actor, action).await {
        Ok(outcomes) => outcomes.into_iter().find_map(|outcome| outcome.error).map_or(Ok(()), Err),
        Err(ChatError::Muc(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

fn apply() -> GroupAction {
    GroupAction::Apply { reason: String::new() }
}

fn change_of(entry: &Entry) -> Option<MucChange> {
    match Notice::of(entry) {
        Some(Notice::Muc(notice)) => Some(notice.change),
        _ => None,
    }
}

/// What is delivered until a text comes; what the device was not told of it pulls.
async fn until(person: &mut Person, last: &str) -> Vec<String> {
    let mut heard = Vec::new();
    loop {
        match timeout(PATIENCE, person.attached.events.recv()).await.expect("in time").expect("attached") {
            SessionEvent::Entry { entry, deliver: true, .. } if entry.kind == EntryKind::Message => {
                heard.push(text_of(&entry));
                if heard.last().unwrap() == last {
                    return heard;
                }
            }
            SessionEvent::Lagged => drop(person.pull_all().await),
            _ => {}
        }
    }
}

/// Messages reach members on every core, whoever writes the log.
#[tokio::test]
async fn members_on_all_cores_hear_everything_in_one_order() {
    let cores = Cores::new(3).await;
    let names = ["alice", "bob", "carol"];
    for name in names {
        cores.register(name).await;
    }
    let mut people = Vec::new();
    for (core, name) in names.iter().enumerate() {
        let person = cores.login(core, name, "d").await;
        assert!(person.pull_all().await.is_empty());
        people.push(person);
    }
    let id = made(&cores, "alice", &["bob", "carol"], 10).await;
    for n in 0..30 {
        people[n % 3].say(id, &n.to_string()).await.unwrap();
    }
    people[0].say(id, "end").await.unwrap();
    let ear = cores.login(0, "alice", "ear").await;
    let stored: Vec<String> = ear
        .pull_all()
        .await
        .iter()
        .filter(|entry| entry.kind == EntryKind::Message)
        .map(|entry| text_of(entry))
        .collect();
    assert_eq!(stored.len(), 31);
    for (index, person) in people.iter_mut().enumerate().skip(1) {
        let heard = until(person, "end").await;
        let others: Vec<String> = stored
            .iter()
            .filter(|text| text.parse::<usize>().map_or(true, |n| n % 3 != index))
            .cloned()
            .collect();
        assert_eq!(heard, others);
    }
    check_replay(&cores).await;
}

/// I13 with the member on another core than the one who removes.
#[tokio::test]
async fn a_removal_and_sends_from_another_core_have_one_order() {
    let cores = Cores::new(3).await;
    for name in ["alice", "bob"] {
        cores.register(name).await;
    }
    let id = made(&cores, "alice", &["bob"], 10).await;
    let bob = cores.login(1, "bob", "b").await;
    for round in 0..10 {
        let sends: Vec<_> = (0..20)
            .map(|n| bob.to_group(id, &common::body("bob", &id.to_string(), &format!("{round}/{n}"))))
            .map(|submission| bob.attached.session.send(submission))
            .collect();
        let (late, sent) = tokio::join!(
            async {
                act(&cores, 2, id, by("alice"), GroupAction::Remove(vec![user("bob")])).await.unwrap();
                bob.say(id, "late").await
            },
            join_all(sends)
        );
        assert_eq!(late, Err(SendError::NotMember));
        // What was sent before the removal is in, what came after is not, and nothing is in between.
        let outcomes: Vec<bool> = sent.into_iter().map(|sent| sent.unwrap().is_ok()).collect();
        assert!(outcomes.is_sorted_by(|one, other| one >= other), "{outcomes:?}");
        let add = GroupAction::Add { people: vec![user("bob")], consent: Consent::NotAsked };
        act(&cores, 0, id, app(), add).await.unwrap();
    }
    check_replay(&cores).await;
}

#[tokio::test]
async fn the_last_seat_is_taken_once() {
    let cores = Cores::new(2).await;
    cores.register("alice").await;
    let names: Vec<String> = (0..10).map(|n| format!("m{n}")).collect();
    for name in &names {
        cores.register(name).await;
    }
    let id = made(&cores, "alice", &[], 4).await;
    let joins = names.iter().enumerate().map(|(n, name)| act(&cores, n % 2, id, by(name), apply()));
    let outcomes = join_all(joins).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(()) | Err(MucError::Full))), "{outcomes:?}");
    let group = cores.cores[1].chat.group(&cores.app, id, None).await.unwrap();
    let members = cores.cores[0].chat.group_members(&cores.app, id, None, 100, false).await.unwrap();
    assert_eq!((group.size, members.items.len()), (4, 4));
    check_replay(&cores).await;
}

/// Whichever comes first, there is one owner, and the owner is in.
#[tokio::test]
async fn a_transfer_against_the_new_owner_leaving() {
    let cores = Cores::new(2).await;
    for name in ["alice", "bob"] {
        cores.register(name).await;
    }
    let (mut transferred, mut left) = (0, 0);
    for round in 0..20 {
        let id = made(&cores, "alice", &["bob"], 10).await;
        let transfer = act(&cores, round % 2, id, by("alice"), GroupAction::Transfer(user("bob")));
        let leave = act(&cores, (round + 1) % 2, id, by("bob"), GroupAction::Leave);
        let (transfer, leave) = tokio::join!(transfer, leave);
        match (&transfer, &leave) {
            (Ok(()), Err(MucError::OwnerLeaves)) => transferred += 1,
            (Err(MucError::NotMember { .. }), Ok(())) => left += 1,
            other => panic!("{other:?}"),
        }
        for core in &cores.cores {
            let group = core.chat.group(&cores.app, id, None).await.unwrap();
            let owner = group.info.owner.clone();
            let role = core.chat.group(&cores.app, id, Some(&owner)).await.unwrap().role;
            assert_eq!(role, Role::Owner);
        }
    }
    assert_eq!(transferred + left, 20);
    check_replay(&cores).await;
}

#[tokio::test]
async fn admins_are_never_one_too_many() {
    let cores = Cores::new(2).await;
    cores.register("alice").await;
    let names: Vec<String> = (0..105).map(|n| format!("m{n}")).collect();
    for name in &names {
        cores.register(name).await;
    }
    let members: Vec<&str> = names.iter().map(String::as_str).collect();
    let id = made(&cores, "alice", &members, 200).await;
    let raise = names.iter().enumerate().map(|(n, name)| {
        act(&cores, n % 2, id, by("alice"), GroupAction::Admin { user: user(name), on: true })
    });
    let outcomes = join_all(raise).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 99);
    assert_eq!(cores.cores[0].chat.group_admins(&cores.app, id).await.unwrap().len(), 99);
    check_replay(&cores).await;
}

/// Nobody is in a group that is gone, and who came in at the last moment learns that it is.
#[tokio::test]
async fn destroying_against_joining() {
    let cores = Cores::new(2).await;
    cores.register("alice").await;
    let names: Vec<String> = (0..8).map(|n| format!("m{n}")).collect();
    for name in &names {
        cores.register(name).await;
    }
    for round in 0..5 {
        let id = made(&cores, "alice", &[], 20).await;
        let joins = names.iter().enumerate().map(|(n, name)| act(&cores, n % 2, id, by(name), apply()));
        let destroy = act(&cores, round % 2, id, by("alice"), GroupAction::Destroy);
        let (outcomes, destroyed) = tokio::join!(join_all(joins), destroy);
        destroyed.unwrap();
        for (name, outcome) in names.iter().zip(&outcomes) {
            assert!(matches!(outcome, Ok(()) | Err(MucError::NotFound)), "{outcome:?}");
            let chat = &cores.cores[1].chat;
            assert_eq!(chat.joined_group_count(&cores.app, &user(name)).await.unwrap(), 0);
            let late = cores.login(0, name, &format!("d{round}")).await;
            let heard = late.pull_all().await;
            let mut of_this = heard.iter().filter(|entry| entry.conversation == id.into());
            let last = of_this.next_back().and_then(|entry| change_of(entry));
            assert_eq!(last, outcome.is_ok().then_some(MucChange::Destroyed));
        }
    }
    check_replay(&cores).await;
}

/// A mute holds on every core from the moment it is answered, and ends by itself.
#[tokio::test]
async fn a_mute_holds_everywhere_and_ends() {
    let cores = Cores::new(2).await;
    for name in ["alice", "bob"] {
        cores.register(name).await;
    }
    let id = made(&cores, "alice", &["bob"], 10).await;
    let bob = cores.login(1, "bob", "b").await;
    bob.say(id, "before").await.unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let until = u64::try_from(now.as_millis()).unwrap() + 700;
    act(&cores, 0, id, by("alice"), GroupAction::Mute { people: vec![user("bob")], until }).await.unwrap();
    assert_eq!(bob.say(id, "muted").await, Err(SendError::MutedHere));
    let begun = std::time::Instant::now();
    while bob.say(id, "again").await.is_err() {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    check_replay(&cores).await;
}

async fn on_thread(
    cores: &Cores,
    core: usize,
    id: MucId,
    name: &str,
    action: ThreadAction,
) -> Result<(), MucError> {
    match cores.cores[core].chat.manage_thread(&cores.app, id, by(name), action).await {
        Ok(outcomes) => outcomes.into_iter().find_map(|outcome| outcome.error).map_or(Ok(()), Err),
        Err(ChatError::Muc(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

/// However many begin a thread about a message, it has one.
#[tokio::test]
async fn a_message_has_one_thread() {
    let cores = Cores::new(2).await;
    for name in ["alice", "bob"] {
        cores.register(name).await;
    }
    let id = made(&cores, "alice", &["bob"], 10).await;
    let alice = cores.login(0, "alice", "a").await;
    for _ in 0..5 {
        let on = alice.say(id, "about").await.unwrap().message_id;
        let begin = |n: usize| {
            let owner = if n.is_multiple_of(2) { "alice" } else { "bob" };
            let chat = &cores.cores[n % 2].chat;
            chat.create_thread(&cores.app, by(owner), (id, on), "T".into(), user(owner))
        };
        let begun = join_all((0..6).map(begin)).await;
        let made = begun.iter().filter(|outcome| outcome.is_ok()).count();
        let late =
            |outcome: &&Result<MucId, _>| matches!(outcome, Err(ChatError::Muc(MucError::ThreadExists)));
        assert_eq!((made, begun.iter().filter(late).count()), (1, 5));
    }
    check_replay(&cores).await;
}

/// Who is thrown out of the group, or whose thread ends, at the moment of joining is in no thread afterwards.
#[tokio::test]
async fn joining_a_thread_against_its_end_and_against_removal_from_the_group() {
    let cores = Cores::new(2).await;
    for name in ["alice", "bob"] {
        cores.register(name).await;
    }
    let id = made(&cores, "alice", &["bob"], 10).await;
    let alice = cores.login(0, "alice", "a").await;
    for round in 0..20 {
        let on = alice.say(id, "about").await.unwrap().message_id;
        let begun =
            cores.cores[0].chat.create_thread(&cores.app, by("alice"), (id, on), "T".into(), user("alice"));
        let thread = begun.await.unwrap();
        let join = on_thread(&cores, round % 2, thread, "bob", ThreadAction::Join(vec![user("bob")]));
        let ends = round.is_multiple_of(4) || round % 4 == 1;
        let against = async {
            if ends {
                on_thread(&cores, (round + 1) % 2, thread, "alice", ThreadAction::Destroy).await
            } else {
                let remove = GroupAction::Remove(vec![user("bob")]);
                act(&cores, (round + 1) % 2, id, by("alice"), remove).await
            }
        };
        let (joined, against) = tokio::join!(join, against);
        against.unwrap();
        match joined {
            Ok(()) => {}
            Err(MucError::NotFound) if ends => {}
            Err(MucError::NotMember { .. }) if !ends => {}
            other => panic!("{other:?}"),
        }
        let mine = cores.cores[1].chat.joined_threads(&cores.app, &user("bob"), None, None, (50, true)).await;
        assert!(mine.unwrap().items.is_empty());
        if !ends {
            let of = cores.cores[1].chat.thread(&cores.app, thread, None).await.unwrap();
            assert_eq!(of.size, 1);
            let add = GroupAction::Add { people: vec![user("bob")], consent: Consent::NotAsked };
            act(&cores, 0, id, app(), add).await.unwrap();
        }
    }
    check_replay(&cores).await;
}
