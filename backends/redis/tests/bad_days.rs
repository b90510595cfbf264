//! Redis goes away and comes back.
#![allow(clippy::unwrap_used)] // a test fails by panicking
use bytes::Bytes;
use meridian_ports::{Bus, ErrorKind, Heard, SoftState, Subscription};
use meridian_redis::{RedisBus, RedisConfig, RedisSoftState};
use meridian_services::{Redis, RedisCluster};
use std::{
    future::Future,
    time::{Duration, Instant},
};

const LONG: Duration = Duration::from_secs(600);
/// A call's deadline, and what a busy machine adds.
const PROMPT: Duration = Duration::from_millis(1_800);

fn config(url: String) -> RedisConfig {
    RedisConfig { url, prefix: "r:".into() }
}

async fn until<F: Future<Output = bool>>(what: &str, patience: Duration, mut holds: impl FnMut() -> F) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < patience, "{what}: not within {patience:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn hear(subscription: &mut dyn Subscription, patience: Duration) -> Heard {
    tokio::time::timeout(patience, subscription.next()).await.expect("something is heard")
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_survive_a_restart_and_hear_one_gap() {
    let mut redis = Redis::start();
    let bus = RedisBus::open(config(redis.url())).await.unwrap();
    assert!(bus.describe().starts_with("redis 7."), "{}", bus.describe());
    let mut one = bus.subscribe("one").await.unwrap();
    let mut two = bus.subscribe("two").await.unwrap();
    bus.publish("one", Bytes::from_static(b"before")).await.unwrap();
    assert_eq!(hear(&mut *one, LONG).await, Heard::Payload(Bytes::from_static(b"before")));
    redis.kill();
    until("publishing fails", PROMPT, || async { bus.publish("one", Bytes::new()).await.is_err() }).await;
    let start = Instant::now();
    assert_eq!(bus.publish("one", Bytes::new()).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(bus.subscribe("three").await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
    assert_eq!(bus.describe(), "redis (away)");
    redis.restart();
    let patience = Duration::from_secs(10);
    assert_eq!(hear(&mut *one, patience).await, Heard::Gap);
    assert_eq!(hear(&mut *two, patience).await, Heard::Gap);
    for topic in ["one", "two"] {
        until("publishing works", patience, || async {
            bus.publish(topic, Bytes::from_static(b"after")).await.is_ok()
        })
        .await;
    }
    assert_eq!(hear(&mut *one, patience).await, Heard::Payload(Bytes::from_static(b"after")));
    assert_eq!(hear(&mut *two, patience).await, Heard::Payload(Bytes::from_static(b"after")));
    assert!(!redis.cli(&["pubsub", "channels"]).contains("three"), "the failed subscription left nothing");
    drop((one, two));
    until("the server forgets", patience, || async { redis.cli(&["pubsub", "channels"]).trim().is_empty() })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_holds_nobody_up() {
    let redis = Redis::start();
    let bus = RedisBus::open(config(redis.url())).await.unwrap();
    let soft = RedisSoftState::open(config(redis.url())).await.unwrap();
    let mut subscription = bus.subscribe("t").await.unwrap();
    redis.signal("STOP");
    let start = Instant::now();
    let (published, set, subscribed) =
        tokio::join!(bus.publish("t", Bytes::new()), soft.set("k", Bytes::new(), LONG), bus.subscribe("u"));
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
    assert_eq!(published.unwrap_err().kind(), ErrorKind::Timeout);
    assert!(!set.unwrap_err().surely_not_done());
    assert_eq!(subscribed.unwrap_err().kind(), ErrorKind::Unavailable);
    redis.signal("CONT");
    let patience = Duration::from_secs(15);
    until("soft state works", patience, || async { soft.set("k", Bytes::new(), LONG).await.is_ok() }).await;
    // What is published before the subscription is restored is lost, with a gap.
    let after = Heard::Payload(Bytes::from_static(b"after"));
    let start = Instant::now();
    loop {
        assert!(start.elapsed() < patience, "nothing heard any more");
        let _ = bus.publish("t", Bytes::from_static(b"after")).await;
        let heard = tokio::time::timeout(Duration::from_millis(100), subscription.next()).await;
        if heard.as_ref() == Ok(&after) {
            break;
        }
    }
    bus.subscribe("u").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn soft_state_is_lost_by_restart_and_flush_and_works_again() {
    let mut redis = Redis::start();
    let soft = RedisSoftState::open(config(redis.url())).await.unwrap();
    soft.set("k", Bytes::from_static(b"v"), LONG).await.unwrap();
    soft.join("s", "m", Bytes::new(), LONG).await.unwrap();
    assert_eq!(soft.add("c", 5, LONG).await.unwrap(), 5);
    assert!(redis.cli(&["flushall"]).contains("OK"));
    assert_eq!(soft.get("k").await.unwrap(), None);
    assert_eq!(soft.members("s").await.unwrap(), []);
    assert_eq!(soft.add("c", 5, LONG).await.unwrap(), 5);
    redis.kill();
    assert_eq!(soft.get("k").await.unwrap_err().kind(), ErrorKind::Unavailable);
    redis.restart();
    until("soft state works", Duration::from_secs(5), || async { soft.get("k").await.is_ok() }).await;
    assert_eq!(soft.add("c", 1, LONG).await.unwrap(), 1);
    soft.join("s", "m", Bytes::new(), LONG).await.unwrap();
    assert_eq!(soft.members("s").await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_does_not_need_redis() {
    let mut redis = Redis::start();
    redis.kill();
    let start = Instant::now();
    let bus = RedisBus::open(config(redis.url())).await.unwrap();
    let soft = RedisSoftState::open(config(redis.url())).await.unwrap();
    assert_eq!((bus.describe(), soft.describe()), ("redis (away)".into(), "redis (away)".into()));
    assert!(start.elapsed() < PROMPT);
    redis.restart();
    let patience = Duration::from_secs(5);
    until("soft state works", patience, || async { soft.set("k", Bytes::new(), LONG).await.is_ok() }).await;
    until("the bus works", patience, || async { bus.subscribe("t").await.is_ok() }).await;
    assert!(soft.describe().starts_with("redis 7."), "{}", soft.describe());
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_work_and_are_never_told() {
    let redis = Redis::start_with_password("s3cret");
    let with = |password: &str| config(redis.url().replace("redis://", &format!("redis://:{password}@")));
    let soft = RedisSoftState::open(with("s3cret")).await.unwrap();
    soft.set("k", Bytes::new(), LONG).await.unwrap();
    let wrong = RedisSoftState::open(with("wr0ng")).await.unwrap();
    let error = wrong.set("k", Bytes::new(), LONG).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let unreadable =
        RedisSoftState::open(config("redis://:s3cret@host:notaport/x".into())).await.unwrap_err();
    assert_eq!(unreadable.kind(), ErrorKind::Invalid);
    let told = format!(
        "{soft:?} {wrong:?} {error:?} {error} {unreadable:?} {:?} {:?}",
        with("s3cret"),
        with("wr0ng")
    );
    assert!(!told.contains("s3cret") && !told.contains("wr0ng"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_recovers_from_the_loss_of_a_master() {
    let mut cluster = RedisCluster::start();
    let bus = RedisBus::open(config(cluster.url())).await.unwrap();
    let soft = RedisSoftState::open(config(cluster.url())).await.unwrap();
    assert!(bus.describe().starts_with("redis cluster 7."), "{}", bus.describe());
    // Enough names for every shard to have some.
    let names: Vec<_> = (0..24).map(|n| format!("n{n}")).collect();
    let mut subscriptions = Vec::new();
    for name in &names {
        subscriptions.push(bus.subscribe(name).await.unwrap());
        soft.set(name, Bytes::new(), LONG).await.unwrap();
    }
    cluster.kill_a_master();
    let start = Instant::now();
    let recovers = Duration::from_secs(10);
    for (name, subscription) in names.iter().zip(&mut subscriptions) {
        until("soft state works", recovers.saturating_sub(start.elapsed()), || async {
            soft.set(name, Bytes::new(), LONG).await.is_ok()
        })
        .await;
        assert_eq!(
            hear(&mut **subscription, recovers.saturating_sub(start.elapsed())).await,
            Heard::Gap,
            "{name}"
        );
    }
    for (name, subscription) in names.iter().zip(&mut subscriptions) {
        let payload = Bytes::from(name.clone());
        // A gap owns up to a loss, and there may be more than one until the cluster has settled; a silent loss fails.
        loop {
            until("a payload is taken", Duration::from_secs(10), || async {
                bus.publish(name, payload.clone()).await.is_ok()
            })
            .await;
            match hear(&mut **subscription, Duration::from_secs(10)).await {
                Heard::Gap => assert!(start.elapsed() < 3 * recovers, "{name}: gap after gap"),
                heard => {
                    assert_eq!(heard, Heard::Payload(payload));
                    break;
                }
            }
        }
    }
}
