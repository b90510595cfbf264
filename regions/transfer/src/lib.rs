#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod export;
mod frame;
mod import;
mod model;
mod operation;
mod tenant;

pub use error::TransferError;
pub use export::export;
pub use import::import;
pub use model::Summary;
