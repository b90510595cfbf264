#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod bus;
mod config;
mod error;
mod soft;

pub use bus::RedisBus;
pub use config::RedisConfig;
pub use error::OpenError;
pub use soft::RedisSoftState;
