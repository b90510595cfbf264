//! One core of the region: its connection, when there is one, and how it has been doing.

use super::connection::Connection;
use rand::Rng;
use std::{sync::Arc, time::Duration};
use tokio::{task::AbortHandle, time::Instant};

/// Logins in a row that a core may fail before it is passed over for a while.
const FAILURES: u32 = 5;
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Member {
    pub(super) address: String,
    pub(super) connection: Option<Arc<Connection>>,
    pub(super) keeper: AbortHandle,
    failures: u32,
    /// Times in a row that it was passed over.
    ejections: u32,
    ejected_until: Option<Instant>,
}

impl Member {
    pub(super) fn new(address: String, keeper: AbortHandle) -> Self {
        Self { address, connection: None, keeper, failures: 0, ejections: 0, ejected_until: None }
    }

    pub(super) fn well(&mut self) {
        self.failures = 0;
        self.ejections = 0;
        self.ejected_until = None;
    }

    pub(super) fn unwell(&mut self, now: Instant) {
        self.failures += 1;
        if self.failures >= FAILURES {
            self.failures = 0;
            let pause = (SHORTEST * 2_u32.saturating_pow(self.ejections.min(8))).min(LONGEST);
            self.ejections += 1;
            self.ejected_until = Some(now + pause.mul_f64(rand::rng().random_range(0.8..1.2)));
            metrics::counter!("link_core_ejected_total").increment(1);
            tracing::warn!(address = self.address, "a core fails logins and is passed over");
        }
    }

    /// The connection, when the core takes sessions.
    pub(super) fn ready(&self) -> Option<&Arc<Connection>> {
        self.connection.as_ref().filter(|connection| connection.is_ready())
    }

    pub(super) fn is_ejected(&self, now: Instant) -> bool {
        self.ejected_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_core_that_fails_is_passed_over_for_longer_and_longer() {
        let keeper = tokio::spawn(async {}).abort_handle();
        let mut member = Member::new("core".into(), keeper);
        let mut pauses = Vec::new();
        for _ in 0..3 {
            for _ in 0..FAILURES {
                assert!(!member.is_ejected(Instant::now()));
                member.unwell(Instant::now());
            }
            let begun = Instant::now();
            while member.is_ejected(Instant::now()) {
                tokio::time::advance(Duration::from_millis(50)).await;
            }
            pauses.push(begun.elapsed());
        }
        assert!(pauses[0] < pauses[1] && pauses[1] < pauses[2], "{pauses:?}");
        (0..FAILURES).for_each(|_| member.unwell(Instant::now()));
        member.well();
        assert!(!member.is_ejected(Instant::now()));
    }
}
