//! The directory against the kit, on a schema of its own for each case.
#![allow(clippy::unwrap_used)] // helpers of tests

use meridian_conformance::DirectoryFixture;
use meridian_postgres::{PgConfig, PgDirectory};
use meridian_services::Postgres;
use std::sync::{
    LazyLock,
    atomic::{AtomicUsize, Ordering},
};

static SERVER: LazyLock<Postgres> = LazyLock::new(Postgres::start);
static SCHEMAS: AtomicUsize = AtomicUsize::new(0);

async fn fixture() -> DirectoryFixture {
    let number = SCHEMAS.fetch_add(1, Ordering::Relaxed);
    let url = format!("{}?schema=case_{number}", SERVER.url("postgres"));
    DirectoryFixture::new(PgDirectory::open(PgConfig::parse(&url).unwrap()).await.unwrap())
}

meridian_conformance::directory_suite!(fixture());
