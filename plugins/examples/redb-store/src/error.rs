//! Which failure of the engine is which kind.

use meridian_sdk::{Error, ErrorKind};
use std::io;

/// A failure of the engine in a verb.
pub(crate) fn engine(verb: &'static str, error: impl Into<redb::Error>) -> Error {
    let error = error.into();
    let kind = match &error {
        redb::Error::Corrupted(_) => ErrorKind::Corrupt,
        redb::Error::Io(error) if error.kind() == io::ErrorKind::StorageFull => ErrorKind::Full,
        redb::Error::ValueTooLarge(_) => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, verb, error.to_string()).with_source(error)
}

/// A record that does not read as it was written.
pub(crate) fn corrupt(verb: &'static str, what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, verb, format!("a stored {what} cannot be read"))
}

/// `?` on the engine's many errors, with the verb.
pub(crate) trait In<T> {
    fn within(self, verb: &'static str) -> Result<T, Error>;
}

impl<T, E: Into<redb::Error>> In<T> for Result<T, E> {
    fn within(self, verb: &'static str) -> Result<T, Error> {
        self.map_err(|error| engine(verb, error))
    }
}
