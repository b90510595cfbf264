//! Redis comes and goes.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // test code

use bytes::Bytes;
use meridian_ports::{Bus, Heard, SoftState, Subscription};
use meridian_redis::{RedisBus, RedisConfig, RedisSoftState};
use meridian_services::Redis;
use std::time::{Duration, Instant};
use tokio::time::timeout;

const TTL: Duration = Duration::from_secs(600);
const PATIENCE: Duration = Duration::from_secs(20);
/// A command with its deadline, on a busy machine.
const BOUNDED: Duration = Duration::from_secs(5);

async fn hear(subscription: &mut Box<dyn Subscription>) -> Heard {
    timeout(PATIENCE, subscription.next()).await.expect("something is heard")
}

async fn until_works<T, F: Future<Output = meridian_ports::Result<T>>>(work: impl Fn() -> F) -> T {
    let begun = Instant::now();
    loop {
        match work().await {
            Ok(done) => return done,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bus_and_the_soft_state_recover_by_themselves() {
    let mut server = Redis::start();
    let config = RedisConfig::parse(&server.url()).unwrap();
    let bus = RedisBus::open(config.clone()).await.unwrap();
    let soft = RedisSoftState::open(config).await.unwrap();
    let mut listener = until_works(|| bus.subscribe("t")).await;
    soft.set("k", Bytes::from_static(b"x"), TTL).await.unwrap();

    server.kill();
    let begun = Instant::now();
    assert!(bus.publish("t", Bytes::new()).await.is_err());
    assert!(soft.get("k").await.is_err());
    assert!(begun.elapsed() < BOUNDED, "refused only after {:?}", begun.elapsed());

    server.restart();
    assert_eq!(hear(&mut listener).await, Heard::Gap);
    until_works(|| bus.publish("t", Bytes::from_static(b"back"))).await;
    assert_eq!(hear(&mut listener).await, Heard::Payload(Bytes::from_static(b"back")));
    assert_eq!(until_works(|| soft.get("k")).await, None, "a lost value is gone");
    soft.set("k", Bytes::from_static(b"y"), TTL).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_holds_up_nobody() {
    let server = Redis::start();
    let config = RedisConfig::parse(&server.url()).unwrap();
    let bus = RedisBus::open(config.clone()).await.unwrap();
    let soft = RedisSoftState::open(config).await.unwrap();
    let mut listener = until_works(|| bus.subscribe("t")).await;
    soft.set("k", Bytes::from_static(b"x"), TTL).await.unwrap();
    server.pause(true);
    let begun = Instant::now();
    assert!(soft.get("k").await.is_err());
    assert!(bus.publish("t", Bytes::new()).await.is_err());
    assert!(begun.elapsed() < BOUNDED, "refused only after {:?}", begun.elapsed());
    server.pause(false);
    assert_eq!(until_works(|| soft.get("k")).await, Some(Bytes::from_static(b"x")));
    until_works(|| bus.publish("t", Bytes::from_static(b"back"))).await;
    // It may have taken the silence for a loss, or not have noticed it.
    while hear(&mut listener).await != Heard::Payload(Bytes::from_static(b"back")) {}
}

#[tokio::test]
async fn opening_does_not_need_the_server() {
    let mut server = Redis::start();
    server.kill();
    let config = RedisConfig::parse(&server.url()).unwrap();
    let soft = RedisSoftState::open(config.clone()).await.unwrap();
    let bus = RedisBus::open(config).await.unwrap();
    assert!(soft.get("k").await.is_err());
    assert!(bus.subscribe("t").await.is_err());
    server.restart();
    assert_eq!(until_works(|| soft.get("k")).await, None);
    until_works(|| bus.subscribe("t")).await;
}
