//! A core whose PostgreSQL and Redis take encrypted connections.

use crate::world::{BINARY, Core, MESSAGES, assert_stored, under_load};
use meridian_services::{Postgres, Redis};
use std::{fs, process::Command};

#[test]
fn connections_to_postgresql_and_redis_are_encrypted_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let (postgres, first_authority) = Postgres::encrypted();
    let (redis, rediss, second_authority) = Redis::start_encrypted();
    let database = format!("{}?sslmode=verify-full", postgres.url("postgres"));

    // Nobody has told this one whom to trust.
    let refused = Command::new(BINARY).args(["check", "--store", &database]).output().unwrap();
    assert!(!refused.status.success());
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(told.contains("certificate"), "{told}");

    let trusted = folder.path().join("trusted.pem");
    let authorities = [first_authority.authority(), second_authority.authority()];
    fs::write(&trusted, authorities.map(|file| fs::read_to_string(file).unwrap()).concat()).unwrap();
    let files = format!("file:{}?shared=true", folder.path().join("files").display());
    let mut core = Core::prepared(folder.path(), "core", &database, &rediss, &files);
    core.trust(trusted);
    core.start();
    let seen = under_load(&core, &core.app_token(), |seen| {
        seen.flow("messages over TLS", 100);
        let plain = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                     WHERE application_name = 'meridian' AND NOT ssl";
        assert_eq!(postgres.sql("postgres", plain), "0");
    });
    assert_stored(seen, &postgres.sql("postgres", MESSAGES));
    let clients = redis.cli(&["client", "list"]);
    let connected = clients.lines().filter(|line| !line.contains("cmd=client")).count();
    assert!(connected >= 2, "the core is not connected to Redis: {clients}");
    drop(core);
}
