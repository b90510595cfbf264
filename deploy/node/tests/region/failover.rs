//! Two cores over a highly available PostgreSQL whose primary dies while messages are sent.

use crate::world::{BINARY, Core, MESSAGES, assert_stored, under_load};
use meridian_services::{Patroni, Redis};
use std::process::Command;

#[test]
fn a_primary_dies_and_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (mut postgres, redis) = (Patroni::start(), Redis::start());
    let database = postgres.url("postgres");
    let first = Core::new(folder.path(), "first", &database, &redis.url());
    let second = Core::new(folder.path(), "second", &database, &redis.url());
    let token = first.app_token();
    let seen = under_load(&first, &token, |seen| {
        seen.flow("messages", 200);
        for round in ["first", "second"] {
            let primary = postgres.primary();
            postgres.kill(primary);
            println!("{round} failover: nothing was written for {:?}", seen.flow("messages after it", 200));
            postgres.revive(primary);
            postgres.wait();
            println!("the other server is back: {:?}", seen.flow("messages with both servers", 200));
        }
    });
    assert_stored(seen, &postgres.sql("postgres", MESSAGES));
    drop((first, second));
    let checked = Command::new(BINARY).args(["check", "--store", &database]).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}
