#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod blobs;
mod config;
mod error;
mod soft;

pub use blobs::SkeletonBlobs;
pub use config::SkeletonConfig;
pub use soft::SkeletonSoftState;
