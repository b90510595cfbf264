//! What the file system says, in the words of the contract.

use meridian_ports::{Error, ErrorKind};
use std::io;

/// Maps a file system error. Paths stay out of the message: keys are not secret, but roots may be.
pub(crate) fn from_io(verb: &'static str, doing: &'static str, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            ErrorKind::Full
        }
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, verb, doing).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_full_and_anything_else_is_unavailable() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(from_io("put", "writing", full).kind(), ErrorKind::Full);
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(from_io("put", "writing", denied).kind(), ErrorKind::Unavailable);
    }
}
