//! The two shapes of the store beside entries: objects and relations.

use bytes::Bytes;
use std::{borrow::Cow, fmt};

/// What sort of object or relation a record is: `user`, `app`, `joined`… An open set of short lower-case words.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(Cow<'static, str>);

impl Kind {
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    #[must_use]
    pub fn from_stored(name: &str) -> Self {
        Self(Cow::Owned(name.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A thing with an id and a version: user, app, file…
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    pub kind: Kind,
    pub id: String,
    /// Lists of objects are ordered by (rank, id); usually the time of creation.
    pub rank: i64,
    /// Raised by one at every write, from 1.
    pub version: u64,
    /// JSON, in the shape that the logic gives to this kind.
    pub body: Bytes,
}

/// A directed tie between two ids: member of, contact of, blocks, position of…
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    pub kind: Kind,
    pub from: String,
    pub to: String,
    /// A number with the tie: join position, acknowledged position, time.
    pub rank: i64,
    /// Attributes; empty when there are none.
    pub body: Bytes,
}
