//! The kit, on a schema of its own for each case.
#![allow(clippy::unwrap_used)] // helpers of tests

use meridian_conformance::StoreFixture;
use meridian_ports::Store;
use meridian_postgres::{PgConfig, PgStore};
use meridian_services::Postgres;
use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicUsize, Ordering},
};

/// One server for all cases of this process; the kernel ends it with the process.
static SERVER: LazyLock<Postgres> = LazyLock::new(Postgres::start);
static SCHEMAS: AtomicUsize = AtomicUsize::new(0);

async fn fixture() -> StoreFixture {
    let number = SCHEMAS.fetch_add(1, Ordering::Relaxed);
    let url = format!("{}?schema=case_{number}&connections=4&committers=2", SERVER.url("postgres"));
    let config = PgConfig::parse(&url).unwrap();
    let store = Arc::new(PgStore::open(config.clone()).await.unwrap());
    StoreFixture::shared(store).with_reopen(move || {
        let config = config.clone();
        Box::pin(async move { Arc::new(PgStore::open(config).await.unwrap()) as Arc<dyn Store> })
    })
}

meridian_conformance::store_suite!(fixture());
