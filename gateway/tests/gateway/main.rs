//! A real listener, a real WebSocket client over TCP, and a scripted core in the same process.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod admission;
mod client;
mod core;
mod h2;
mod h2_limits;
mod histories;
mod http;
mod json;
mod limits;
mod login;
mod queues;
mod rooms;
mod sends;
mod tls;
