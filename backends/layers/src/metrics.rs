//! What calls there were, how they ended, and how long they took.
//!
//! | metric | kind | labels |
//! | --- | --- | --- |
//! | `backend_calls_total` | counter | `backend`, `contract`, `verb`, `result` |
//! | `backend_call_seconds` | histogram | `backend`, `contract`, `verb` |
//!
//! `result` is `ok`, a kind of error (`not_found`, `conflict`…), or `dropped` when the caller went away. All labels
//! come from the code, so their number is bounded. The time of a `get` is that of its opening.

use crate::{Attempt, Call, Layer};
use async_trait::async_trait;
use meridian_ports::{ErrorKind, Result};
use std::time::Instant;

/// Counts and times calls. See the module's docs.
#[derive(Debug)]
pub struct Metrics {
    backend: &'static str,
}

impl Metrics {
    /// `backend`: the name in the label, `sqlite` for instance.
    #[must_use]
    pub fn new(backend: &'static str) -> Self {
        Self { backend }
    }
}

#[async_trait]
impl Layer for Metrics {
    async fn around<'a, T: Send + 'a>(&'a self, call: Call, attempt: Attempt<'a, T>) -> Result<T> {
        let mut running = Running { backend: self.backend, call, started: Instant::now(), result: "dropped" };
        let result = attempt().await;
        running.result = result.as_ref().map_or_else(|error| word(error.kind()), |_| "ok");
        result
    }
}

/// A call that is counted when it ends, also when it is dropped.
struct Running {
    backend: &'static str,
    call: Call,
    started: Instant,
    result: &'static str,
}

impl Drop for Running {
    fn drop(&mut self) {
        let (backend, contract, verb) = (self.backend, self.call.contract, self.call.verb);
        metrics::counter!(
            "backend_calls_total",
            "backend" => backend, "contract" => contract, "verb" => verb, "result" => self.result
        )
        .increment(1);
        metrics::histogram!(
            "backend_call_seconds",
            "backend" => backend, "contract" => contract, "verb" => verb
        )
        .record(self.started.elapsed().as_secs_f64());
    }
}

fn word(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "not_found",
        ErrorKind::Conflict => "conflict",
        ErrorKind::Fenced => "fenced",
        ErrorKind::Full => "full",
        ErrorKind::Busy => "busy",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::Timeout => "timeout",
        ErrorKind::Corrupt => "corrupt",
        ErrorKind::Invalid => "invalid",
        ErrorKind::Unsupported => "unsupported",
        _ => "other",
    }
}
