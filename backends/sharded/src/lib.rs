#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod config;
mod copy;
mod error;
mod move_log;
mod placement;
mod resolve;
mod store;

pub use config::{Shard, ShardedConfig};
pub use error::OpenError;
pub use move_log::Moved;
pub use placement::parse_log;
pub use store::ShardedStore;
