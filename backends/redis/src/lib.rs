#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod bus;
mod config;
mod driver;
mod error;
mod link;
mod queue;
mod registry;
mod soft;

pub use bus::RedisBus;
pub use config::RedisConfig;
pub use soft::RedisSoftState;
