//! What each layer does when the backend fails, hangs or is slow, on a clock that is paused.
#![allow(clippy::unwrap_used, clippy::panic)] // tests

mod limit;
mod metrics;
mod retry;
mod script;
mod soft;
mod timeout;
