//! Blobs in a folder. See the README for the layout and why it survives crashes.

#![forbid(unsafe_code)]

mod blobs;
mod error;
mod key;
mod scratch;

pub use blobs::FsBlobs;
