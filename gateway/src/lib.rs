//! The edge: listeners, WebSocket, MSYNC, REST forwarding.
//!
//! A [`Gateway`] owns one listener. Every connection begins as HTTP and meets the *door*: REST goes on to
//! the core, health answers at once, and `/websocket` becomes a session of a client protocol. The
//! gateway holds a [`meridian_link::CoreHandle`] and never knows whether the core is in the same process; it keeps
//! nothing that outlives a connection.

#![forbid(unsafe_code)]

mod address;
mod admission;
mod config;
mod connection;
mod door;
mod drain;
mod gauge;
mod http2;
mod listener;
mod preface;
mod protocols;
mod pulse;
mod stall;
mod tls;
mod websocket;

pub use address::{Network, NetworkError};
pub use config::{GatewayConfig, TlsFiles};
pub use listener::Gateway;
pub use protocols::{json, msync};
