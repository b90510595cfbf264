//! The kit on one server. Each case has a server of its own.
#![allow(clippy::unwrap_used)] // a test fails by panicking
use meridian_conformance::{BusFixture, SoftFixture};
use meridian_redis::{RedisBus, RedisConfig, RedisSoftState};
use meridian_services::Redis;

fn config(redis: &Redis) -> RedisConfig {
    RedisConfig { url: redis.url(), prefix: "region-1:".into() }
}

async fn soft() -> SoftFixture {
    let redis = Redis::start();
    let soft = RedisSoftState::open(config(&redis)).await.unwrap();
    let peer = RedisSoftState::open(config(&redis)).await.unwrap();
    SoftFixture::new(soft).with_peer(peer).with_guard(redis)
}

meridian_conformance::soft_suite!(soft());

async fn bus() -> BusFixture {
    let redis = Redis::start();
    let bus = RedisBus::open(config(&redis)).await.unwrap();
    let peer = RedisBus::open(config(&redis)).await.unwrap();
    BusFixture::new(bus).with_peer(peer).with_guard(redis)
}

meridian_conformance::bus_suite!(bus());
