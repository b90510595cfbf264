//! HTTP bodies that cross the link: a stream of bytes that may fail.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};

pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A streaming body, boxed so that the edge and the core need not agree on its source.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// A body that is already whole.
pub fn bytes_body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

#[must_use]
pub fn empty_body() -> Body {
    bytes_body(Bytes::new())
}
