#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)] // test code: what does not start is a failed test

mod plugin;
mod postgres;
mod process;
mod redis;

pub use plugin::PythonPlugin;
pub use postgres::Postgres;
pub use process::{Process, free_port, program, until};
pub use redis::{Redis, RedisCluster};
