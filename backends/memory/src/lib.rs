#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod bus;
mod directory;
mod log;
mod soft;
mod store;

pub use bus::MemoryBus;
pub use directory::MemoryDirectory;
pub use soft::MemorySoftState;
pub use store::MemoryStore;
