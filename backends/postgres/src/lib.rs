#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod config;
mod connect;
mod directory;
mod error;
mod numbers;
mod read;
mod schema;
mod store;
mod writer;

pub use config::PgConfig;
pub use directory::PgDirectory;
pub use error::OpenError;
pub use store::PgStore;
