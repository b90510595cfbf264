//! The REST surface over a real chat logic, in memory, with files in a folder: what a caller sends and what comes back.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod files;
mod groups;
mod messages;
mod metrics;
mod people;
mod pipeline;
mod rooms;
mod server;
mod threads;
mod tokens;
mod users;
mod world;
