//! Two cores as real processes over one PostgreSQL and one Redis: they come, die and hang while messages are sent, and
//! every acknowledged message is in the database once.

use crate::world::{BINARY, Core, MESSAGES, assert_stored, under_load};
use meridian_services::{Postgres, Redis};
use serde_json::json;
use std::process::Command;

#[test]
fn cores_die_and_hang_and_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (mut postgres, mut redis) = (Postgres::durable(), Redis::start());
    let (database, soft) = (postgres.url("postgres"), redis.url());
    let first = Core::new(folder.path(), "first", &database, &soft);
    let mut second = Core::new(folder.path(), "second", &database, &soft);

    let token = first.app_token();
    let user = json!({ "username": "ann", "password": "secret" });
    assert_eq!(first.post("users", &token, &user).0, 200);
    let (status, answer) = second.post("users", &second.app_token(), &user);
    assert_eq!((status, &answer["error"]), (400, &json!("duplicate_unique_property_exists")), "{answer}");

    let seen = under_load(&first, &token, |seen| {
        seen.flow("messages through two cores", 200);
        second.kill();
        println!("kill -9 of a core: longest pause {:?}", seen.flow("messages after a core died", 200));
        second.start();
        println!("a core comes back: longest pause {:?}", seen.flow("messages after a core came back", 200));
        second.signal("STOP");
        println!("a core hangs: longest pause {:?}", seen.flow("messages while a core hangs", 200));
        second.signal("CONT");
        println!("it goes on: longest pause {:?}", seen.flow("messages after it went on", 200));
        assert!(redis.cli(&["flushall"]).contains("OK"));
        println!("Redis forgets everything: longest pause {:?}", seen.flow("messages after that", 200));
        redis.kill();
        println!("no Redis: longest pause {:?}", seen.flow("messages without Redis", 200));
        redis.restart();
        seen.flow("messages with Redis again", 100);
        postgres.restart();
        println!(
            "PostgreSQL crashes and comes back: longest pause {:?}",
            seen.flow("messages after that", 200)
        );
        second.signal("TERM");
        println!("a core leaves: longest pause {:?}", seen.flow("messages after a core left", 200));
    });

    assert_stored(seen, &postgres.sql("postgres", MESSAGES));
    drop((first, second));
    let checked = Command::new(BINARY).args(["check", "--store", &database]).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}
