//! Errors of PostgreSQL and what they mean for the contract.

use meridian_ports::{Error, ErrorKind};

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    #[error("the URL cannot be used: {0}")]
    Url(String),
    #[error("cannot use the database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("schema {schema} has version {found}, this program knows {known}; use a newer program")]
    TooNew { schema: String, found: i32, known: i32 },
}

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

pub(crate) fn kind(error: &sqlx::Error) -> ErrorKind {
    if matches!(error, sqlx::Error::PoolTimedOut) {
        return ErrorKind::Timeout;
    }
    if matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) {
        return ErrorKind::Corrupt;
    }
    let Some(code) = code(error) else { return ErrorKind::Unavailable };
    match (code.as_str(), &code[..2.min(code.len())]) {
        ("53100", _) => ErrorKind::Full,
        ("53200" | "53300", _) | (_, "40") | ("55P03", _) => ErrorKind::Busy,
        ("57014", _) => ErrorKind::Timeout,
        ("XX001" | "XX002", _) => ErrorKind::Corrupt,
        (_, "22" | "23" | "54") => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    }
}

/// A transaction that lost against another and may be tried again: nothing of it happened.
pub(crate) fn lost_a_race(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| code.starts_with("40") && code != "40003")
}

/// Whether the connection is of no more use: broken, or to a server that takes no writes any more.
pub(crate) fn breaks_connection(error: &sqlx::Error) -> bool {
    match code(error) {
        Some(code) => code.starts_with("57P") || code.starts_with("08") || code == "25006" || code == "25P02",
        None => !matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)),
    }
}

/// Whether a statement that failed so may have been committed all the same.
pub(crate) fn maybe_committed(error: &sqlx::Error) -> bool {
    match code(error) {
        Some(code) => code.starts_with("57P") || code.starts_with("08") || code == "40003",
        None => matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed),
    }
}

pub(crate) fn failed(verb: &'static str, error: sqlx::Error) -> Error {
    Error::new(kind(&error), verb, error.to_string()).with_source(error)
}

/// Why a write failed, in a form that several waiting steps can be told.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    message: String,
    maybe_done: bool,
}

impl Failure {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), maybe_done: false }
    }

    /// A statement that was sent and failed.
    pub(crate) fn of_statement(error: &sqlx::Error) -> Self {
        Self { maybe_done: maybe_committed(error), ..Self::from(error) }
    }

    /// A statement that was sent and not answered.
    pub(crate) fn unanswered() -> Self {
        Self { maybe_done: true, ..Self::new(ErrorKind::Timeout, "no answer in time") }
    }

    /// Whether a step of the group, and not the database, may be what failed.
    pub(crate) fn may_be_one_step(&self) -> bool {
        !self.maybe_done && self.kind == ErrorKind::Invalid
    }

    pub(crate) fn to_error(&self, verb: &'static str) -> Error {
        let error = Error::new(self.kind, verb, self.message.clone());
        if self.maybe_done { error.maybe_done() } else { error }
    }
}

impl From<&sqlx::Error> for Failure {
    fn from(error: &sqlx::Error) -> Self {
        Self::new(kind(error), error.to_string())
    }
}
