#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod blobs;
mod cleanup;
mod client;
mod config;
mod error;
mod put;

pub use blobs::S3Blobs;
pub use config::S3Config;
