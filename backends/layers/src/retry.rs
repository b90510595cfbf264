//! Tries again, where that cannot do harm.
//!
//! A read may always be repeated. A write only when the backend says that it surely did not happen: repeating an append
//! or a sum whose outcome is open would do it twice. An upload never, because its stream is consumed.

use crate::{Attempt, Call, Effect, Layer};
use async_trait::async_trait;
use meridian_ports::{Error, Result};
use rand::Rng;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often and how long to try.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RetryConfig {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// The longest wait before the second attempt; doubled for each one after.
    pub first_delay: Duration,
    /// No wait is longer.
    pub longest_delay: Duration,
    /// No attempt starts later than this after the first.
    pub total: Duration,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            attempts: 4,
            first_delay: Duration::from_millis(50),
            longest_delay: Duration::from_secs(1),
            total: Duration::from_secs(5),
        }
    }
}

/// Repeats calls that failed for now. See the module's docs.
#[derive(Debug, Default)]
pub struct Retry {
    config: RetryConfig,
}

impl Retry {
    #[must_use]
    pub fn new(config: RetryConfig) -> Self {
        Self { config }
    }

    /// The wait after attempt number `attempt` (from 1): anything up to a doubling bound, so that callers who failed
    /// together do not come back together.
    fn delay(&self, attempt: u32) -> Duration {
        let doubled =
            2_u32.checked_pow(attempt - 1).map(|factor| self.config.first_delay.saturating_mul(factor));
        let bound = doubled.unwrap_or(Duration::MAX).min(self.config.longest_delay);
        bound.mul_f64(rand::rng().random_range(0.0..=1.0))
    }
}

fn may_repeat(call: Call, error: &Error) -> bool {
    error.is_retryable()
        && match call.effect {
            Effect::Read => true,
            Effect::Write => error.surely_not_done(),
            Effect::Upload => false,
        }
}

#[async_trait]
impl Layer for Retry {
    const REPEATS: bool = true;

    async fn around<'a, T: Send + 'a>(&'a self, call: Call, attempt: Attempt<'a, T>) -> Result<T> {
        let started = Instant::now();
        let mut number = 0;
        loop {
            number += 1;
            let error = match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let delay = self.delay(number);
            let late = started.elapsed() + delay > self.config.total;
            if number >= self.config.attempts || late || !may_repeat(call, &error) {
                return Err(error);
            }
            metrics::counter!("backend_retries_total", "contract" => call.contract, "verb" => call.verb)
                .increment(1);
            sleep(delay).await;
        }
    }
}
