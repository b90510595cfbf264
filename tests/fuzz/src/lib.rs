#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod body;
mod frame;
pub mod seeds;
mod stored;

pub use body::body;
pub use frame::frame;
pub use stored::stored;
