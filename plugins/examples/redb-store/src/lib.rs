#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod open;
mod read;
mod store;
mod tables;
mod write;

pub use open::open;
pub use store::RedbStore;
