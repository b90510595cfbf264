//! One error for every contract. It answers: what kind, may I try again, did it surely not happen, in which verb.

use std::{error::Error as StdError, fmt};

pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, as far as a caller may act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The thing named does not exist. Reads that can say "nothing" do so instead of this.
    NotFound,
    /// A compare-and-set did not match.
    Conflict,
    /// Another writer, epoch or head: this writer must stop and claim again.
    Fenced,
    /// No space left; nothing was written.
    Full,
    /// Too much waiting already; nothing was done.
    Busy,
    /// The backend is away or broken for now.
    Unavailable,
    /// No answer in time.
    Timeout,
    /// What was read is not what was written.
    Corrupt,
    /// The request itself breaks the contract.
    Invalid,
    /// An optional ability that this backend does not have.
    Unsupported,
}

/// A failure of a backend.
pub struct Error {
    kind: ErrorKind,
    verb: &'static str,
    message: String,
    maybe_done: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    #[must_use]
    pub fn new(kind: ErrorKind, verb: &'static str, message: impl Into<String>) -> Self {
        Self { kind, verb, message: message.into(), maybe_done: false, source: None }
    }

    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Marks a write whose outcome is not known, for instance when the answer to a commit was lost.
    #[must_use]
    pub fn maybe_done(mut self) -> Self {
        self.maybe_done = true;
        self
    }

    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The verb of the contract that failed.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        self.verb
    }

    /// Whether a write surely changed nothing.
    #[must_use]
    pub fn surely_not_done(&self) -> bool {
        !self.maybe_done
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Full | ErrorKind::Busy | ErrorKind::Unavailable | ErrorKind::Timeout)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}: {}", self.verb, self.kind, self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        if let Some(source) = &self.source {
            write!(f, " ({source:?})")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
