#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod body;
mod frame;
mod json;
mod link;
pub mod seeds;
mod stored;

pub use body::body;
pub use frame::frame;
pub use json::json;
pub use link::link;
pub use stored::stored;
