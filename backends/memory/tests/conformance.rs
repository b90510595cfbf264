//! The model against the kit, and against itself in random histories.

use meridian_conformance::StoreFixture;
use meridian_memory::MemoryStore;

async fn fixture() -> StoreFixture {
    StoreFixture::new(MemoryStore::new())
}

meridian_conformance::store_suite!(fixture(), skip: [reopening_keeps_everything]);
