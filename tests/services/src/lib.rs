#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // test code: what does not start is a failed test

mod certificates;
mod patroni;
mod plugin;
mod postgres;
mod process;
mod redis;
mod s3;

pub use certificates::Certificates;
pub use patroni::Patroni;
pub use plugin::PythonPlugin;
pub use postgres::Postgres;
pub use process::{Process, free_port, program, tool, until};
pub use redis::{Redis, RedisCluster};
pub use s3::S3;
