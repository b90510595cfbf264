//! A real listener, a real WebSocket client over TCP, and a scripted core in the same process.

mod client;
mod core;
mod http;
mod limits;
mod login;
mod queues;
mod sends;
