//! The model against the kit, and against itself in random histories.

use meridian_conformance::{BusFixture, DirectoryFixture, SoftFixture, StoreFixture};
use meridian_memory::{MemoryBus, MemoryDirectory, MemorySoftState, MemoryStore};

async fn fixture() -> StoreFixture {
    StoreFixture::new(MemoryStore::new())
}

meridian_conformance::store_suite!(fixture(), skip: [reopening_keeps_everything]);

async fn soft() -> SoftFixture {
    SoftFixture::new(MemorySoftState::new())
}

meridian_conformance::soft_suite!(soft());

async fn bus() -> BusFixture {
    BusFixture::new(MemoryBus::new())
}

meridian_conformance::bus_suite!(bus());

async fn directory() -> DirectoryFixture {
    DirectoryFixture::new(MemoryDirectory::new())
}

meridian_conformance::directory_suite!(directory());
