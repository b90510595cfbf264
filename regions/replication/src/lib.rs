#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod apply;
mod compare;
mod error;
mod pages;
mod replay;
mod verify;

pub use apply::{apply, check_follows};
pub use compare::{Difference, compare};
pub use error::ReplicationError;
pub use replay::{BATCH, replay};
pub use verify::verify;
