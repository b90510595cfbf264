//! The kit on a cluster of six, which the cases share: each has a prefix of its own.
#![allow(clippy::unwrap_used)] // a test fails by panicking
use meridian_conformance::{BusFixture, SoftFixture};
use meridian_redis::{RedisBus, RedisConfig, RedisSoftState};
use meridian_services::RedisCluster;
use std::sync::{
    OnceLock,
    atomic::{AtomicU32, Ordering},
    mpsc,
};

fn config() -> RedisConfig {
    static URL: OnceLock<String> = OnceLock::new();
    static CASES: AtomicU32 = AtomicU32::new(0);
    let url = URL.get_or_init(|| {
        let (tell, told) = mpsc::channel();
        // The servers end with the thread that started them: one that ends with the process.
        std::thread::spawn(move || {
            let cluster = RedisCluster::start();
            tell.send(cluster.url()).unwrap();
            loop {
                std::thread::park();
            }
        });
        told.recv().unwrap()
    });
    RedisConfig { url: url.clone(), prefix: format!("case-{}:", CASES.fetch_add(1, Ordering::Relaxed)) }
}

async fn soft() -> SoftFixture {
    let config = config();
    let soft = RedisSoftState::open(config.clone()).await.unwrap();
    SoftFixture::new(soft).with_peer(RedisSoftState::open(config).await.unwrap())
}

meridian_conformance::soft_suite!(soft());

async fn bus() -> BusFixture {
    let config = config();
    let bus = RedisBus::open(config.clone()).await.unwrap();
    BusFixture::new(bus).with_peer(RedisBus::open(config).await.unwrap())
}

meridian_conformance::bus_suite!(bus());
