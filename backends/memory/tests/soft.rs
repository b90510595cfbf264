//! Soft state, bus and directory against the kit.

use meridian_conformance::{BusFixture, DirectoryFixture, SoftFixture};
use meridian_memory::{MemoryBus, MemoryDirectory, MemorySoftState};

async fn soft() -> SoftFixture {
    SoftFixture::new(MemorySoftState::new())
}

async fn bus() -> BusFixture {
    BusFixture::new(MemoryBus::new())
}

async fn directory() -> DirectoryFixture {
    DirectoryFixture::new(MemoryDirectory::new())
}

meridian_conformance::soft_suite!(soft());
meridian_conformance::bus_suite!(bus());
meridian_conformance::directory_suite!(directory());
