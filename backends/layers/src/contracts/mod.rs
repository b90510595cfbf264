//! Every verb of every contract, handed over to a layer. A verb with a default body must be here too, or it would
//! go round the backend: the lint sees to that.
#![deny(clippy::missing_trait_methods)]

mod blobs;
mod soft;
mod store;

use futures_util::future::BoxFuture;
use meridian_ports::{Error, ErrorKind, Result};

/// The second start of an attempt whose input is gone: a bug of a layer that repeats without saying so.
fn consumed<'a, T: Send + 'a>(verb: &'static str) -> BoxFuture<'a, Result<T>> {
    Box::pin(async move { Err(Error::new(ErrorKind::Invalid, verb, "a layer started a call twice")) })
}
