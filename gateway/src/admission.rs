//! Storm control: so many WebSockets per second and no more, whatever the number of clients that come back at once.
//!
//! A token bucket behind a fair lock. Who holds the lock waits for the next token; who leaves early takes none.

use crate::{config::GatewayConfig, gauge::Counted};
use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};
use tokio::{
    sync::{Mutex, Semaphore},
    time::{Instant, sleep, timeout_at},
};

/// Seconds after which a refused client may come again: spread, so that the storm does not come again as one.
const RETRY_AFTER: std::ops::RangeInclusive<u64> = 1..=10;

/// No turn came in time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused;

#[derive(Debug)]
pub(crate) struct Admission {
    /// Of those who wait and the one who is being served.
    places: Semaphore,
    wait: Duration,
    /// `None`: no limit. The lock is fair, which makes the wait first come, first served.
    bucket: Option<Mutex<Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    fn fill(&mut self) {
        let now = Instant::now();
        let since = now.duration_since(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + since * self.per_second).min(self.burst);
        self.filled_at = now;
    }

    fn try_take(&mut self) -> bool {
        self.fill();
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }

    /// Cancel-safe: takes at the end or not at all.
    async fn take(&mut self) {
        while !self.try_take() {
            // Rounded up, so that a remainder too small for the clock makes no loop.
            let missing = Duration::from_secs_f64((1.0 - self.tokens) / self.per_second);
            sleep(missing + Duration::from_micros(1)).await;
        }
    }
}

impl Admission {
    pub(crate) fn new(config: &GatewayConfig) -> Self {
        let per_second = f64::from(config.logins_per_second);
        let burst = f64::from(config.login_burst.max(1));
        // Whoever could not get a turn in time would only wait to be refused.
        let in_time = per_second * config.login_wait.as_secs_f64();
        let places = config.max_waiting_logins.min(in_time as usize).min(Semaphore::MAX_PERMITS);
        let bucket = Bucket { per_second, burst, tokens: burst, filled_at: Instant::now() };
        Self {
            places: Semaphore::new(places),
            wait: config.login_wait,
            bucket: (config.logins_per_second > 0).then(|| Mutex::new(bucket)),
        }
    }

    /// Waits for its turn. Cancel-safe.
    pub(crate) async fn admit(&self) -> Result<(), Refused> {
        let Some(bucket) = &self.bucket else { return Ok(()) };
        let arrived = Instant::now();
        if let Ok(mut bucket) = bucket.try_lock()
            && bucket.try_take()
        {
            count("immediate");
            return Ok(());
        }
        let Ok(_place) = self.places.try_acquire() else {
            count("refused");
            return Err(Refused);
        };
        let _waiting = Counted::one(metrics::gauge!("gateway_admission_waiting"));
        let turn = async { bucket.lock().await.take().await };
        match timeout_at(arrived + self.wait, turn).await {
            Ok(()) => {
                count("waited");
                metrics::histogram!("gateway_admission_wait_seconds").record(arrived.elapsed().as_secs_f64());
                Ok(())
            }
            Err(_) => {
                count("refused");
                Err(Refused)
            }
        }
    }
}

fn count(result: &'static str) {
    metrics::counter!("gateway_admissions_total", "result" => result).increment(1);
}

/// When to come again, in seconds.
pub(crate) fn retry_after() -> u64 {
    // Random enough for this, and every call is another: each state has keys of its own.
    let spread = RETRY_AFTER.end() - RETRY_AFTER.start() + 1;
    RETRY_AFTER.start() + RandomState::new().hash_one(0) % spread
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::{
        collections::BTreeSet,
        sync::{Arc, Mutex as StdMutex},
    };
    use tokio::task::JoinSet;

    fn admission(per_second: u32, burst: u32, waiting: usize, wait: u64) -> Arc<Admission> {
        Arc::new(Admission::new(&GatewayConfig {
            logins_per_second: per_second,
            login_burst: burst,
            max_waiting_logins: waiting,
            login_wait: Duration::from_secs(wait),
            ..GatewayConfig::default()
        }))
    }

    /// So many at once: when each was admitted, in milliseconds, in the order of their coming; `None`: refused.
    async fn storm(admission: &Arc<Admission>, clients: usize) -> Vec<Option<u128>> {
        let begun = Instant::now();
        let times = Arc::new(StdMutex::new(vec![None; clients]));
        let mut storm = JoinSet::new();
        for client in 0..clients {
            let (admission, times) = (admission.clone(), times.clone());
            storm.spawn(async move {
                if admission.admit().await.is_ok() {
                    times.lock().unwrap()[client] = Some(begun.elapsed().as_millis());
                }
            });
        }
        storm.join_all().await;
        Arc::try_unwrap(times).unwrap().into_inner().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_in_then_first_come_first_served_then_none() {
        let admission = admission(10, 5, 4096, 2);
        let times = storm(&admission, 40).await;
        assert!(times[..5].iter().all(|time| *time == Some(0)), "{times:?}");
        for (place, time) in times[5..25].iter().enumerate() {
            let due = (place as u128 + 1) * 100;
            // The last is due with the end of its wait.
            assert!(time.is_none_or(|time| time.abs_diff(due) <= 5), "{place}: {time:?}");
            assert!(time.is_some() || place == 19, "{times:?}");
        }
        assert!(times[25..].iter().all(Option::is_none), "{times:?}");
        assert_eq!(admission.places.available_permits(), 20, "all have left");
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_holds_over_time_and_the_burst_comes_back() {
        let admission = admission(500, 1000, 4096, 5);
        let times = storm(&admission, 6000).await;
        let admitted: Vec<_> = times.iter().flatten().collect();
        assert!((3490..=3500).contains(&admitted.len()), "{}", admitted.len());
        let first_second = admitted.iter().filter(|time| ***time > 0 && ***time <= 1000).count();
        assert!((495..=501).contains(&first_second), "{first_second}");
        tokio::time::sleep(Duration::from_secs(60)).await;
        let again = storm(&admission, 1000).await;
        assert!(again.iter().all(|time| *time == Some(0)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_is_bounded_in_number() {
        let admission = admission(10, 1, 3, 5);
        let times = storm(&admission, 10).await;
        assert_eq!(times.iter().flatten().count(), 4, "{times:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_takes_no_token_and_no_place() {
        let admission = admission(10, 1, 3, 5);
        assert!(admission.admit().now_or_never().is_some());
        for _ in 0..3 {
            let mut leaver = Box::pin(admission.admit());
            assert!(leaver.as_mut().now_or_never().is_none());
        }
        let begun = Instant::now();
        admission.admit().await.unwrap();
        assert!(begun.elapsed() <= Duration::from_millis(105));
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_is_none() {
        let times = storm(&admission(0, 0, 0, 0), 10_000).await;
        assert!(times.iter().all(|time| *time == Some(0)));
    }

    #[test]
    fn refused_clients_come_back_at_different_times() {
        let times: BTreeSet<u64> = (0..1000).map(|_| retry_after()).collect();
        assert_eq!(times, RETRY_AFTER.collect());
    }
}
