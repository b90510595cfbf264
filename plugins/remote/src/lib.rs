#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod client;
mod model;
mod open;
mod server;
mod wire;

pub use client::{
    RemoteBlobs, RemoteBus, RemoteConfig, RemoteDirectory, RemotePlugin, RemoteSoftState, RemoteStore,
};
pub use open::{open_blobs, open_bus, open_directory, open_soft_state, open_store};
pub use server::{PluginServer, ServeError};

/// What travels, compiled from `proto/plugin.proto`.
#[allow(clippy::all, missing_debug_implementations, unreachable_pub)] // generated code
mod proto {
    tonic::include_proto!("meridian.plugin.v1");
}

/// The version of the protocol spoken here.
pub const PROTOCOL: u32 = 1;
