//! The log writers. A command is decided by the one task that owns its log, on state in memory; what it decides
//! becomes an operation; many operations commit as one step. The answer comes after the commit.

mod apply;
mod command;
mod conversation;
mod draft;
mod place;
mod remote;
mod set;
mod writer;

pub(crate) use apply::Apply;
pub(crate) use command::{Command, EncodedCommand, LogError, Pending};
pub(crate) use draft::{Draft, JOINED, NewEntry, Publication};
pub(crate) use place::Placement;
pub(crate) use set::Logs;
pub(crate) use writer::Shared;
