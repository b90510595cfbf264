//! Errors of the layer itself; those of a shard pass through as they are.

use meridian_ports::{Error, ErrorKind};
use meridian_types::LogId;
use std::fmt;

/// Why a configuration makes no store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    Shards { found: usize },
    Name { name: String },
    Twice { name: String },
    Unknown { log: LogId, shard: String },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shards { found } => write!(f, "shards: {found} of them; 1 to 64 are possible"),
            Self::Name { name } => write!(f, "shards: {name:?} is no name (1 to 64 of a-z, 0-9, - and _)"),
            Self::Twice { name } => write!(f, "shards: {name:?} is there twice"),
            Self::Unknown { log, shard } => write!(f, "placement: {log}: there is no shard {shard:?}"),
        }
    }
}

impl std::error::Error for OpenError {}

/// A move that was committed and whose copy is not whole, or a place that nobody knows.
pub(crate) fn unfinished(verb: &'static str, log: LogId, why: &str) -> Error {
    Error::new(ErrorKind::Unavailable, verb, format!("log {log} is being moved: {why}"))
}

pub(crate) fn corrupt(verb: &'static str, message: String) -> Error {
    Error::new(ErrorKind::Corrupt, verb, message)
}
