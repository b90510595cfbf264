//! Puts a node together: configuration, backends, the core, the edge, and the admin port.
//!
//! This is the only room that knows concrete backends.

#![forbid(unsafe_code)]

pub mod cli;

mod admin;
mod check;
mod config;
mod demo;
mod serve;
mod telemetry;

pub use check::check;
pub use config::{Config, ConfigError};
pub use serve::{Node, serve};
