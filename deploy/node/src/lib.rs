//! Puts a node together: configuration, backends, the core, the edge, and the admin port.
//!
//! This is the only room that knows concrete backends.

#![forbid(unsafe_code)]

pub mod cli;

mod admin;
mod config;
mod demo;
mod serve;
mod telemetry;

pub use config::{Config, ConfigError};
pub use serve::{Node, serve};
