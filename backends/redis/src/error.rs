//! What the driver's errors mean to a caller.

use meridian_ports::{Error, ErrorKind};
use redis::RedisError;

pub(crate) fn invalid(verb: &'static str, message: &str) -> Error {
    Error::new(ErrorKind::Invalid, verb, message)
}

pub(crate) fn away(verb: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, verb, "redis is away")
}

/// A command that was sent and failed.
pub(crate) fn failed(verb: &'static str, error: &RedisError) -> Error {
    if error.is_timeout() {
        return late(verb);
    }
    let (kind, certain) = match error.code() {
        Some("OOM") => (ErrorKind::Full, true),
        // The server answered that it does not serve now.
        Some(_) => (ErrorKind::Unavailable, true),
        None => (ErrorKind::Unavailable, false),
    };
    let made = Error::new(kind, verb, error.to_string());
    if certain { made } else { made.maybe_done() }
}

pub(crate) fn late(verb: &'static str) -> Error {
    Error::new(ErrorKind::Timeout, verb, "no answer of redis in time").maybe_done()
}

pub(crate) fn unexpected(verb: &'static str) -> Error {
    Error::new(ErrorKind::Corrupt, verb, "an answer of redis that does not fit the question")
}
