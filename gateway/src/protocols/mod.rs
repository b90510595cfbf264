//! The client protocols, one folder each. Each is an adapter: its frames are commands of a session, and events of the
//! session are its frames.

pub mod json;
pub mod msync;
mod rooms;

use std::net::IpAddr;

/// What a WebSocket speaks; its path says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Msync,
    Json,
}

/// Who opened a WebSocket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) address: IpAddr,
    pub(crate) speaks: Protocol,
}
