//! Core to core: one TCP connection per direction that carries many requests at once, each with its answer. Both ends
//! prove that they know the region's secret before anything else is read.
//!
//! ```text
//! server → client   "MRDN" version(1) nonce(16)
//! client → server   nonce(16) HMAC-SHA256(secret, "client" ‖ server's nonce ‖ own nonce)
//! server → client   HMAC-SHA256(secret, "server" ‖ server's nonce ‖ client's nonce)
//! then, both ways   length(4) id(8) payload      the length counts id and payload, at most 16 MiB; big-endian
//! ```
//!
//! All of it inside mutual TLS where certificates are configured; else the addresses belong on a private network.

mod client;
mod frame;
mod server;

pub use client::{CallError, PeerClient};
pub(crate) use frame::{admit, greet};
pub use server::{PeerHandler, PeerServer};

use std::fmt;

/// What every core of a region knows and nobody else.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    #[must_use]
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self(secret.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
