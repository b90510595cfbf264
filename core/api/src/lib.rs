//! The REST surface: server REST and client REST over the chat logic.
//!
//! One table, `routes.tsv`, says which routes exist, who may call them, how often, and which function answers;
//! [`Api::handle`] is the only way in. See the README for a walk through.

#![forbid(unsafe_code)]

mod auth;
mod body_reader;
mod call;
mod config;
mod discovery;
mod envelope;
mod error;
mod files;
mod handlers;
mod messages;
mod query;
mod rate;
mod router;
mod service;
mod token;
mod users;

pub use config::ApiConfig;
pub use service::{Api, Body};
