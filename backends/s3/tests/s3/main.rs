//! On s3s-fs and on Garage, servers of each case alone.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

mod bad_days;
mod common;
mod garage;
mod s3s_fs;
