//! Puts a node together: configuration, backends, the core, the edge, and the admin port.
//!
//! This is the only room that knows concrete backends. A plugin author adds more with [`Node::builder`].

#![forbid(unsafe_code)]

mod admin;
mod backends;
mod builder;
mod check;
mod cli;
mod config;
mod demo;
mod drain;
mod open;
mod registry;
mod roles;
mod serve;
mod sharded;
mod telemetry;
mod transfer;

pub use builder::NodeBuilder;
pub use config::{Config, ConfigError};
pub use registry::{Registry, RegistryError};
pub use serve::Node;
