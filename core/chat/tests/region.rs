//! Several cores over one store: one writer per log, whatever happens to the cores, and one memory of accounts, apps and
//! sessions.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)] // test code

mod common;

use common::{
    Person, login,
    region::{Cores, LEASE, persist},
    text_of, user,
};
use meridian_chat::{AppSettings, OverLimit};
use meridian_types::{
    AppKey,
    session::{CloseReason, Refusal, SessionEvent},
};
use std::{collections::HashSet, sync::atomic::Ordering, time::Duration};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);

/// Everything that a device gets, however it learns of it, until it has `count` texts.
async fn texts(person: &mut Person, count: usize) -> Vec<String> {
    let mut got = Vec::new();
    while got.len() < count {
        let event = timeout(PATIENCE, person.attached.events.recv()).await.expect("told in time").unwrap();
        match event {
            SessionEvent::Entry { entry, deliver: true, .. } => got.push(text_of(&entry)),
            SessionEvent::Lagged => {
                for text in person.catch_up().await {
                    if !got.contains(&text) {
                        got.push(text);
                    }
                }
            }
            _ => {}
        }
    }
    got
}

#[tokio::test]
async fn people_on_different_cores_talk_and_each_sender_keeps_the_order() {
    let cores = Cores::new(3).await;
    cores.register("bob").await;
    let mut bob = cores.login(2, "bob", "b1").await;
    for (index, name) in [(0, "ann"), (1, "carl"), (2, "dora")] {
        cores.register(name).await;
        let person = cores.login(index, name, "d1").await;
        // All at once: the answers come when they come, the order is that of the calls.
        let sends: Vec<_> = (0..50)
            .map(|n| person.submission("bob", &common::body(name, "bob", &format!("{name} {n}"))))
            .map(|submission| person.attached.session.send(submission))
            .collect();
        for send in sends {
            send.await.unwrap().unwrap();
        }
        let expected: Vec<_> = (0..50).map(|n| format!("{name} {n}")).collect();
        assert_eq!(texts(&mut bob, 50).await, expected);
    }
}

#[tokio::test]
async fn message_ids_of_several_cores_never_meet() {
    let cores = Cores::new(3).await;
    let mut ids = HashSet::new();
    for n in 0..12 {
        let name = format!("p{n}");
        cores.register(&name).await;
        let person = cores.login(n % 3, &name, "d").await;
        for to in ["q1", "q2", "q3", "q4"] {
            for _ in 0..25 {
                assert!(ids.insert(person.text(to, "x").await.0));
            }
        }
    }
}

#[tokio::test]
async fn the_logs_of_a_dead_core_go_on_and_nothing_is_lost_or_twice() {
    let mut cores = Cores::new(3).await;
    for name in ["ann", "bob"] {
        cores.register(name).await;
    }
    let senders: Vec<_> = ["s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"].into();
    let mut people = Vec::new();
    for name in &senders {
        cores.register(name).await;
        people.push(cores.login(0, name, "d1").await);
    }
    for round in 0..3 {
        for person in &people {
            persist(person, "bob", &format!("{} {round}", person.name)).await;
        }
        if cores.cores.len() > 1 {
            // Not the one that the people are on.
            let dead = cores.kill(1);
            let begun = std::time::Instant::now();
            for person in &people {
                persist(person, "bob", &format!("{} {round} after", person.name)).await;
            }
            let took = begun.elapsed();
            assert!(took < LEASE * 4, "the logs resumed only after {took:?}");
            drop(dead);
        }
    }
    let bob = cores.login(0, "bob", "b1").await;
    let mut got = bob.pull_all().await.iter().map(|entry| text_of(entry)).collect::<Vec<_>>();
    got.sort();
    let mut expected = Vec::new();
    for name in &senders {
        for round in 0..3 {
            expected.push(format!("{name} {round}"));
            if round < 2 {
                expected.push(format!("{name} {round} after"));
            }
        }
    }
    expected.sort();
    assert_eq!(got, expected);
    meridian_replication::verify(&*cores.store).await.unwrap();
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_and_given_once() {
    let cores = Cores::new(2).await;
    cores.register("bob").await;
    let mut people = Vec::new();
    for n in 0..8 {
        let name = format!("a{n}");
        cores.register(&name).await;
        people.push(cores.login(0, &name, "d").await);
    }
    let other = cores.cores[1].address.clone();
    cores.network.deaf.lock().unwrap().insert(other.clone());
    let sends: Vec<_> = people
        .iter()
        .map(|person| person.submission("bob", &common::body(&person.name, "bob", "once")))
        .zip(&people)
        .map(|(submission, person)| person.attached.session.send(submission))
        .collect();
    tokio::time::sleep(LEASE / 2).await;
    cores.network.deaf.lock().unwrap().clear();
    for send in sends {
        send.await.unwrap().unwrap();
    }
    let bob = cores.login(0, "bob", "b").await;
    assert_eq!(bob.pull_all().await.len(), people.len());
}

#[tokio::test]
async fn a_core_that_lost_touch_neither_writes_nor_believes_what_it_remembers() {
    let cores = Cores::new(2).await;
    cores.register("ann").await;
    let token = cores.token("ann").await;
    // Both remember the account.
    for core in &cores.cores {
        let identity = core.chat.identify(&cores.app, &token).await;
        assert!(identity.is_ok());
    }
    cores.cut_off(1, true);
    tokio::time::sleep(LEASE + LEASE / 2).await;
    cores.cores[0].chat.set_password(&cores.app, &user("ann"), "new").await.unwrap();
    assert!(cores.cores[1].chat.identify(&cores.app, &token).await.is_err(), "an old memory was believed");
    cores.cut_off(1, false);
    cores.settle().await;
    assert!(cores.cores[1].chat.identify(&cores.app, &token).await.is_err());
    let fresh = cores.token("ann").await;
    let ann = cores.cores[1].chat.attach(login("ann", "d", fresh)).await.unwrap();
    drop(ann);
}

#[tokio::test]
async fn a_core_that_leaves_hands_its_logs_over_at_once() {
    let mut cores = Cores::new(2).await;
    cores.register("bob").await;
    let mut people = Vec::new();
    for n in 0..8 {
        let name = format!("a{n}");
        cores.register(&name).await;
        people.push(cores.login(0, &name, "d").await);
    }
    for person in &people {
        persist(person, "bob", "one").await;
    }
    let leaving = cores.cores.pop().unwrap();
    let begun = std::time::Instant::now();
    let (closed, ()) = tokio::join!(leaving.chat.close(), async {
        for person in &people {
            persist(person, "bob", "two").await;
        }
    });
    let () = closed;
    assert!(begun.elapsed() < LEASE * 2, "hand-over took {:?}", begun.elapsed());
    let bob = cores.login(0, "bob", "b").await;
    assert_eq!(bob.pull_all().await.len(), 2 * people.len());
}

#[tokio::test]
async fn a_new_password_and_a_ban_count_on_every_core_when_they_are_answered() {
    let cores = Cores::new(3).await;
    cores.register("ann").await;
    let token = cores.token("ann").await;
    let mut seats = Vec::new();
    for (index, core) in cores.cores.iter().enumerate() {
        seats.push(core.chat.attach(login("ann", &format!("d{index}"), token.clone())).await.unwrap());
    }
    cores.cores[1].chat.set_password(&cores.app, &user("ann"), "new").await.unwrap();
    for (core, seat) in cores.cores.iter().zip(&mut seats) {
        assert!(core.chat.identify(&cores.app, &token).await.is_err());
        assert_eq!(seat.closed.try_recv(), Ok(CloseReason::PasswordChanged));
    }
    let again = cores.login(2, "ann", "d9").await;
    assert!(cores.cores[0].chat.force_offline(&cores.app, &user("ann")).await.unwrap());
    let mut closed = again.attached.closed;
    assert_eq!(closed.try_recv(), Ok(CloseReason::Kicked));
    cores.cores[0].chat.set_activated(&cores.app, &user("ann"), false).await.unwrap();
    let refused = cores.cores[1].chat.attach(login("ann", "d", cores_token_of(&cores, "ann").await)).await;
    assert!(refused.is_err());
}

/// A token even of a banned user, as an old one would be.
async fn cores_token_of(cores: &Cores, name: &str) -> String {
    let issued = cores.cores[0].chat.user_token(&cores.app, &user(name), false, None).await;
    issued.map_or_else(|_| "none".into(), |issued| issued.token)
}

#[tokio::test]
async fn devices_of_one_person_on_different_cores_know_of_each_other() {
    let settings = AppSettings { devices_per_platform: 2, ..AppSettings::default() };
    let cores = Cores::with(3, settings).await;
    cores.register("ann").await;
    let mut first = cores.login(0, "ann", "d1").await;
    // Who sits longest is told by the millisecond.
    tokio::time::sleep(Duration::from_millis(3)).await;
    let mut second = cores.login(1, "ann", "d2").await;
    for core in &cores.cores {
        assert!(core.chat.is_online(&cores.app, &user("ann")).await);
        assert_eq!(core.chat.devices(&cores.app, &user("ann")).await.len(), 2);
    }
    let _third = cores.login(2, "ann", "d3").await;
    let replaced = CloseReason::Replaced { extension: String::new() };
    assert_eq!(first.attached.closed.try_recv(), Ok(replaced.clone()), "the longest seated one leaves");
    assert!(second.attached.closed.try_recv().is_err());
    let _again = cores.login(0, "ann", "d2").await;
    assert_eq!(second.attached.closed.try_recv(), Ok(replaced), "the same device is there once");
}

#[tokio::test]
async fn the_longest_seated_device_leaves_whichever_core_the_new_one_comes_to() {
    let settings = AppSettings { devices_per_platform: 2, ..AppSettings::default() };
    let cores = Cores::with(2, settings).await;
    for (person, third) in [("ann", 0), ("bob", 1)] {
        cores.register(person).await;
        let mut first = cores.login(0, person, "d1").await;
        tokio::time::sleep(Duration::from_millis(3)).await;
        let mut second = cores.login(1, person, "d2").await;
        let _third = cores.login(third, person, "d3").await;
        assert!(first.attached.closed.try_recv().is_ok(), "{person}");
        assert!(second.attached.closed.try_recv().is_err(), "{person}");
    }
}

#[tokio::test]
async fn where_the_app_says_so_one_device_too_many_is_refused_on_every_core() {
    let settings =
        AppSettings { devices_per_platform: 1, over_limit: OverLimit::Refuse, ..AppSettings::default() };
    let cores = Cores::with(2, settings).await;
    cores.register("ann").await;
    let first = cores.login(0, "ann", "d1").await;
    let token = cores.token("ann").await;
    let refused = cores.cores[1].chat.attach(login("ann", "d2", token.clone())).await;
    assert_eq!(refused.unwrap_err(), Refusal::TooManyDevices);
    drop(first);
    let again = async {
        while cores.cores[1].chat.attach(login("ann", "d2", token.clone())).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, again).await.expect("the seat is free again");
}

#[tokio::test]
async fn without_the_bus_messages_still_arrive_on_other_cores() {
    let cores = Cores::new(2).await;
    for name in ["ann", "bob"] {
        cores.register(name).await;
    }
    let ann = cores.login(0, "ann", "a").await;
    let mut bob = cores.login(1, "bob", "b").await;
    cores.wire.away.store(true, Ordering::SeqCst);
    ann.text("bob", "in the dark").await;
    assert_eq!(texts(&mut bob, 1).await, ["in the dark"]);
    cores.wire.away.store(false, Ordering::SeqCst);
    ann.text("bob", "in the light").await;
    assert_eq!(texts(&mut bob, 1).await.last().map(String::as_str), Some("in the light"));
}

#[tokio::test]
async fn an_app_is_known_everywhere_when_its_making_is_answered() {
    let cores = Cores::new(3).await;
    let key = AppKey::parse("org#second").unwrap();
    cores.cores[0].chat.create_app(&key, AppSettings::default()).await.unwrap();
    for core in &cores.cores {
        core.chat.app(&key).await.unwrap();
    }
    let settings = AppSettings { message_limit: 77, ..AppSettings::default() };
    cores.cores[2].chat.set_app_settings(&key, settings).await.unwrap();
    for core in &cores.cores {
        assert_eq!(core.chat.app(&key).await.unwrap().settings.message_limit, 77);
    }
}

/// Cores come, die and lose touch while people send; each send is repeated until it is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_to_cores_each_acknowledged_send_is_there_once_and_in_order() {
    for seed in 0..4_u64 {
        let mut cores = Cores::new(3).await;
        cores.register("bob").await;
        let mut senders = Vec::new();
        for n in 0..6 {
            let name = format!("s{n}");
            cores.register(&name).await;
            // On the core that stays.
            let person = cores.login(0, &name, "d").await;
            senders.push(tokio::spawn(async move {
                for n in 0..40 {
                    persist(&person, "bob", &format!("{n}")).await;
                }
                person
            }));
        }
        let mut dice = seed * 2 + 1;
        let mut dead = Vec::new();
        while senders.iter().any(|sender| !sender.is_finished()) {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            match (dice >> 33) % 4 {
                0 if cores.cores.len() > 1 => dead.push(cores.kill(1)),
                1 if cores.cores.len() < 4 => drop(cores.start().await),
                2 if cores.cores.len() > 1 => cores.cut_off(1, true),
                _ if cores.cores.len() > 1 => cores.cut_off(1, false),
                _ => {}
            }
            tokio::time::sleep(LEASE / 3).await;
        }
        for sender in senders {
            sender.await.unwrap();
        }
        let bob = cores.login(0, "bob", "b").await;
        let all = bob.pull_all().await;
        for n in 0..6 {
            let from = format!("s{n}");
            let got: Vec<_> = all
                .iter()
                .filter(|entry| entry.sender.as_str() == from)
                .map(|entry| text_of(entry))
                .collect();
            let expected: Vec<_> = (0..40).map(|n| n.to_string()).collect();
            assert_eq!(got, expected, "seed {seed}, from {from}");
        }
        meridian_replication::verify(&*cores.store).await.unwrap();
    }
}
