#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod auth;
mod body_reader;
mod call;
mod config;
mod discovery;
mod envelope;
mod error;
mod files;
mod groups;
mod handlers;
mod messages;
mod openapi;
mod people;
mod query;
mod rate;
mod rooms;
mod router;
mod service;
mod threads;
mod token;
mod users;

pub use config::ApiConfig;
pub use service::{Api, Body};
