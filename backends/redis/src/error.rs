//! Errors of Redis and what they mean for the contracts.

use meridian_ports::{Error, ErrorKind};
use redis::RedisError;

/// Why a backend could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    #[error("the URL cannot be used: {0}")]
    Url(String),
    #[error("the driver cannot start: {0}")]
    Driver(#[from] RedisError),
}

pub(crate) fn failed(verb: &'static str, error: RedisError) -> Error {
    // What a script or command says of its own arguments.
    let kind = match error.code() {
        Some("OOM") => ErrorKind::Full,
        Some("BUSY" | "LOADING" | "TRYAGAIN") => ErrorKind::Busy,
        _ if error.to_string().contains("would overflow") => ErrorKind::Invalid,
        _ if error.is_timeout() => ErrorKind::Timeout,
        _ => ErrorKind::Unavailable,
    };
    let text = error.to_string();
    Error::new(kind, verb, text).with_source(error)
}

pub(crate) fn too_slow(verb: &'static str) -> Error {
    Error::new(ErrorKind::Timeout, verb, "no answer in time")
}
