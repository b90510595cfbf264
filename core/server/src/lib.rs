//! The core role: serves the link and REST over the chat logic, in this process.

#![forbid(unsafe_code)]

mod local;
mod peers;

pub use local::LocalCore;
pub use peers::{ChatPeers, PeerService};
