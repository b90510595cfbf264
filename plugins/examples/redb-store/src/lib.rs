#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod read;
mod store;
mod tables;
mod write;

pub use store::RedbStore;
