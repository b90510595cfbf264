//! Which failure is which kind: the one file that translates what the engine says.
//!
//! With a real engine, map its errors here: no route or connection lost is `Unavailable`, no answer in time
//! `Timeout`, no space `Full`, a checksum that is wrong `Corrupt`. When the answer to a write was lost, add
//! `.maybe_done()`: the caller then knows that it must look before it tries again.

use meridian_sdk::{Error, ErrorKind, Result};
use std::time::Duration;

pub(crate) fn invalid(verb: &'static str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, verb, message)
}

pub(crate) fn full(verb: &'static str, capacity: u64) -> Error {
    Error::new(ErrorKind::Full, verb, format!("all {capacity} bytes are in use"))
}

/// A key of a blob, by the rule in the contract.
pub(crate) fn check_blob_key(verb: &'static str, key: &str) -> Result<()> {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/');
    let good = (1..=200).contains(&key.len())
        && key.bytes().all(allowed)
        && key.split('/').all(|segment| !matches!(segment, "" | "." | ".."));
    if good { Ok(()) } else { Err(invalid(verb, "not a key for a blob")) }
}

/// Keys and members of soft state.
pub(crate) fn check_name(verb: &'static str, name: &str) -> Result<()> {
    match name.len() {
        1..=512 => Ok(()),
        len => Err(invalid(verb, format!("a key of {len} bytes; 1 to 512 are allowed"))),
    }
}

pub(crate) fn check_value(verb: &'static str, len: usize) -> Result<()> {
    if len <= 64 * 1024 {
        Ok(())
    } else {
        Err(invalid(verb, format!("a value of {len} bytes; 64 KiB are allowed")))
    }
}

pub(crate) fn check_ttl(verb: &'static str, ttl: Duration) -> Result<()> {
    let allowed = Duration::from_millis(1)..=Duration::from_secs(24 * 3600);
    if allowed.contains(&ttl) {
        Ok(())
    } else {
        Err(invalid(verb, format!("a time to live of {ttl:?}; 1 ms to 24 h are allowed")))
    }
}
