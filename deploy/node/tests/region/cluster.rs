//! Two cores over a Redis Cluster that loses a master.

use crate::world::{Core, MESSAGES, assert_stored, under_load};
use meridian_services::{Postgres, RedisCluster, until};
use std::time::Duration;

#[test]
fn a_redis_master_dies_and_messages_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (postgres, mut redis) = (Postgres::durable(), RedisCluster::start());
    let database = postgres.url("postgres");
    let first = Core::new(folder.path(), "first", &database, &redis.url());
    let second = Core::new(folder.path(), "second", &database, &redis.url());
    let seen = under_load(&first, &first.app_token(), |seen| {
        seen.flow("messages", 200);
        let dead = redis.kill_a_master();
        println!("a Redis master dies: longest pause {:?}", seen.flow("messages without it", 200));
        until("a replica takes over", Duration::from_secs(60), || {
            redis.nodes()[(dead + 1) % 6].cli(&["cluster", "info"]).contains("cluster_state:ok")
        });
        println!("a replica takes over: longest pause {:?}", seen.flow("messages after that", 200));
    });
    assert_stored(seen, &postgres.sql("postgres", MESSAGES));
    drop((first, second));
}
