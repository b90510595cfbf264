#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod config;
mod error;
mod numbers;
mod open;
mod read;
mod schema;
mod step;
mod store;
mod writer;

pub use config::SqliteConfig;
pub use error::OpenError;
pub use store::SqliteStore;
