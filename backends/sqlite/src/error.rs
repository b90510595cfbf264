//! Errors of SQLite and what they mean for the contract.

use meridian_ports::{Error, ErrorKind};
use std::{io, path::PathBuf};

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    #[error("{path} is in use by another process (or another store of this one)")]
    InUse { path: PathBuf },
    #[error("cannot use the lock file {path}")]
    LockFile { path: PathBuf, source: io::Error },
    #[error("cannot open the database {path}")]
    Database { path: PathBuf, source: sqlx::Error },
    #[error("cannot bring {path} to schema version {version}")]
    Migration { path: PathBuf, version: usize, source: sqlx::Error },
    #[error("{path} has schema version {found}, this program knows {known}; use a newer program")]
    TooNew { path: PathBuf, found: i64, known: usize },
    #[error("{path} has schema version {found}, this program needs {known}; open it for writing once")]
    TooOld { path: PathBuf, found: i64, known: usize },
    #[error("{key} must be in {allowed}")]
    Config { key: &'static str, allowed: &'static str },
}

// Result codes, https://www.sqlite.org/rescode.html; the low byte is the primary one.
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const TOO_BIG: i32 = 18;
const CONSTRAINT: i32 = 19;
const NOT_A_DATABASE: i32 = 26;
/// The shared-memory file could not grow: the disk is full.
const IO_SHM_SIZE: i32 = 4874;

/// SQLite's extended result code, if it was SQLite that failed.
fn code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

pub(crate) fn kind(error: &sqlx::Error) -> ErrorKind {
    if matches!(error, sqlx::Error::PoolTimedOut) {
        return ErrorKind::Busy;
    }
    if matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) {
        return ErrorKind::Corrupt;
    }
    match code(error).map(|code| (code, code & 0xff)) {
        Some((IO_SHM_SIZE, _) | (_, FULL)) => ErrorKind::Full,
        Some((_, BUSY | LOCKED)) => ErrorKind::Busy,
        Some((_, CORRUPT | NOT_A_DATABASE)) => ErrorKind::Corrupt,
        Some((_, TOO_BIG | CONSTRAINT)) => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    }
}

/// The contract's error for a failed read, or a write that was surely rolled back.
pub(crate) fn failed(verb: &'static str, error: sqlx::Error) -> Error {
    Error::new(kind(&error), verb, error.to_string()).with_source(error)
}

pub(crate) fn corrupt(verb: &'static str, what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Corrupt, verb, what.to_string())
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

    /// A commit that failed. These codes leave the transaction open or say that nothing of it stays; after any
    /// other the WAL may hold the commit.
    pub(crate) fn of_commit(error: &sqlx::Error) -> Self {
        let surely_not = matches!(kind(error), ErrorKind::Full | ErrorKind::Busy | ErrorKind::Invalid);
        Self { maybe_done: !surely_not, ..Self::from(error) }
    }

    /// Whether a step of the group, and not the database, may be what failed.
    pub(crate) fn may_be_one_step(&self) -> bool {
        !self.maybe_done && matches!(self.kind, ErrorKind::Invalid | ErrorKind::Fenced)
    }

    /// Whether the connection should not be trusted any more.
    pub(crate) fn breaks_connection(&self) -> bool {
        self.maybe_done || matches!(self.kind, ErrorKind::Unavailable | ErrorKind::Corrupt)
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

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::from(&error)
    }
}
