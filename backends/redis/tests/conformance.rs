//! The kit, under a prefix of its own for each case.
#![allow(clippy::unwrap_used)] // helpers of tests

use meridian_conformance::{BusFixture, SoftFixture};
use meridian_redis::{RedisBus, RedisConfig, RedisSoftState};
use meridian_services::Redis;
use std::sync::{
    LazyLock,
    atomic::{AtomicUsize, Ordering},
};

static SERVER: LazyLock<Redis> = LazyLock::new(Redis::start);
static PREFIXES: AtomicUsize = AtomicUsize::new(0);

fn config() -> RedisConfig {
    let number = PREFIXES.fetch_add(1, Ordering::Relaxed);
    RedisConfig::parse(&format!("{}?prefix=case{number}/", SERVER.url())).unwrap()
}

async fn soft() -> SoftFixture {
    SoftFixture::new(RedisSoftState::open(config()).await.unwrap())
}

async fn bus() -> BusFixture {
    BusFixture::new(RedisBus::open(config()).await.unwrap())
}

meridian_conformance::soft_suite!(soft());
meridian_conformance::bus_suite!(bus());
