//! The open protocol for tenants who use no SDK: JSON in WebSocket text frames, at `/ws/v1`. README.md beside this file
//! describes it for strangers, `asyncapi.json` for machines.
//!
//! `serve` takes a connection from its hello through its `session` to its `end`; `frame` reads what clients say, `event`
//! writes what they are told, `body` is the content of messages both ways, `queues` what a connection knows of each
//! conversation.

mod body;
mod check;
mod end;
mod event;
mod frame;
mod queues;
mod serve;
mod session;
#[cfg(test)]
mod tests;

pub use check::check_frame;
pub(crate) use serve::serve;
