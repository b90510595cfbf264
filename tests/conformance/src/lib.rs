#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)] // cases are test code: a failed promise is a panic with its words

pub mod blobs;
pub mod bus;
mod run;
pub mod soft;
pub mod store;

pub use blobs::BlobsFixture;
pub use bus::BusFixture;
pub use run::{Outcome, block_on, check_skips, run};
pub use soft::SoftFixture;
pub use store::StoreFixture;
