//! Rate limits: a token bucket for each app and group of routes, in bounded memory. Each core has its own, and takes off
//! what the others have given, by counts that they share; what they give within a tenth of a second may be too much.
//!
//! A route that is in no group has its own bucket at the default rate. Forgetting the least used bucket only ever
//! forgives; it never refuses.

use lru::LruCache;
use meridian_types::TenantId;
use std::{
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// So many calls in a window; the bucket holds one window's worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rate {
    calls: u32,
    window: Duration,
}

const fn per_second(calls: u32) -> Rate {
    Rate { calls, window: Duration::from_secs(1) }
}

const fn per_minute(calls: u32) -> Rate {
    Rate { calls, window: Duration::from_secs(60) }
}

const fn per_day(calls: u32) -> Rate {
    Rate { calls, window: Duration::from_secs(24 * 60 * 60) }
}

const DEFAULT: Rate = per_second(100);

/// The documented groups. A message to several targets counts once for each.
const GROUPS: &[(&str, Rate)] = &[
    ("batch-status", per_second(50)),
    ("blocks", per_second(50)),
    ("broadcast", per_minute(10)),
    ("broadcast-day", per_day(100)),
    ("history", per_minute(10)),
    ("joined-groups", per_second(50)),
    ("joined-rooms", per_second(50)),
    ("messages-groups", per_second(20)),
    ("messages-rooms", per_second(100)),
    ("messages-users", per_minute(6000)),
    ("presence", per_second(50)),
    ("push-sync", per_second(1)),
    ("rooms", per_second(50)),
    ("templates", per_second(10)),
    ("token", per_second(300)),
    ("users", per_second(100)),
    ("users-delete", per_second(30)),
];

/// Routes that share a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    number: usize,
    rate: Rate,
}

impl Group {
    /// The group of a table row: its name, or `-` for the route alone.
    pub(crate) fn parse(text: &str, route: usize) -> Option<Self> {
        if text == "-" {
            return Some(Self { number: GROUPS.len() + route, rate: DEFAULT });
        }
        Self::named(text)
    }

    fn full(self, factor: u32) -> f64 {
        f64::from(self.rate.calls) * f64::from(factor)
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        let number = GROUPS.iter().position(|(known, _)| *known == name)?;
        Some(Self { number, rate: GROUPS[number].1 })
    }
}

/// Cores tell each other what they have given at most so often; in between each gives on its own.
const REPORT_EVERY: Duration = Duration::from_millis(100);
/// What the cores have given is counted in windows of this length, and kept for two.
const WINDOW: Duration = Duration::from_secs(60);
pub(crate) const COUNTED: Duration = Duration::from_secs(120);

#[derive(Debug)]
struct Bucket {
    calls: f64,
    at: Instant,
    reported_at: Option<Instant>,
    /// Given here and not yet told the others.
    untold: i64,
    /// The window that was last counted in, and what of its sum has been taken off here.
    window: u64,
    seen: i64,
}

impl Bucket {
    fn full(group: Group, factor: u32, now: Instant) -> Self {
        Self { calls: group.full(factor), at: now, reported_at: None, untold: 0, window: 0, seen: 0 }
    }
}

/// What a core has given of a bucket since its last report.
#[derive(Debug)]
pub(crate) struct Report {
    tenant: TenantId,
    group: Group,
    window: u64,
    calls: i64,
}

impl Report {
    /// The name of the count that all cores share.
    pub(crate) fn counter(&self) -> String {
        format!("rate/{}/{}/{}", self.tenant, self.group.number, self.window)
    }

    pub(crate) fn calls(&self) -> i64 {
        self.calls
    }
}

#[derive(Debug)]
pub(crate) struct RateLimits {
    buckets: Mutex<LruCache<(TenantId, usize), Bucket>>,
}

impl RateLimits {
    pub(crate) fn new(capacity: usize) -> Self {
        let capacity = NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN);
        Self { buckets: Mutex::new(LruCache::new(capacity)) }
    }

    /// What is to be told to the other cores before the next call of this bucket, if it is time.
    pub(crate) fn report(&self, tenant: TenantId, group: Group, factor: u32, now: Instant) -> Option<Report> {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let window = since_1970.as_secs() / WINDOW.as_secs();
        let mut buckets = self.lock();
        // A bucket that nobody used here may be empty all the same.
        let bucket = buckets.get_or_insert_mut((tenant, group.number), || Bucket::full(group, factor, now));
        if bucket.reported_at.is_some_and(|at| now.saturating_duration_since(at) < REPORT_EVERY) {
            return None;
        }
        bucket.reported_at = Some(now);
        Some(Report { tenant, group, window, calls: std::mem::take(&mut bucket.untold) })
    }

    /// Takes off what others have given. `sum`: what all have, by the shared count; `None` when that is away.
    pub(crate) fn reported(&self, report: &Report, sum: Option<i64>) {
        let mut buckets = self.lock();
        let Some(bucket) = buckets.get_mut(&(report.tenant, report.group.number)) else { return };
        let Some(sum) = sum else {
            bucket.untold += report.calls;
            return;
        };
        if bucket.window != report.window {
            (bucket.window, bucket.seen) = (report.window, 0);
        }
        let others = (sum - bucket.seen - report.calls).max(0);
        bucket.seen = sum;
        bucket.calls = (bucket.calls - others as f64).max(-f64::from(report.group.rate.calls));
    }

    /// Takes `cost` calls of an app's bucket, or nothing and `false`. `factor` multiplies the rates, 0 lifts them.
    pub(crate) fn take(&self, tenant: TenantId, group: Group, factor: u32, cost: u32, now: Instant) -> bool {
        if factor == 0 {
            return true;
        }
        let full = group.full(factor);
        let mut buckets = self.lock();
        let bucket = buckets.get_or_insert_mut((tenant, group.number), || Bucket::full(group, factor, now));
        let gone = now.saturating_duration_since(bucket.at);
        bucket.calls = (bucket.calls + full * gone.as_secs_f64() / group.rate.window.as_secs_f64()).min(full);
        bucket.at = bucket.at.max(now);
        let enough = bucket.calls >= f64::from(cost);
        if enough {
            bucket.calls -= f64::from(cost);
            bucket.untold += i64::from(cost);
        }
        enough
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<(TenantId, usize), Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(limits: &RateLimits, tenant: u32, group: Group, cost: u32, now: Instant) -> bool {
        limits.take(TenantId(tenant), group, 1, cost, now)
    }

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let limits = RateLimits::new(10);
        let group = Group::named("templates").unwrap();
        let start = Instant::now();
        assert!((0..10).all(|_| take(&limits, 1, group, 1, start)));
        assert!(!take(&limits, 1, group, 1, start));
        let soon = start + Duration::from_millis(150);
        assert!(take(&limits, 1, group, 1, soon));
        assert!(!take(&limits, 1, group, 1, soon));
        let later = start + Duration::from_secs(60);
        assert!((0..10).all(|_| take(&limits, 1, group, 1, later)));
        assert!(!take(&limits, 1, group, 1, later), "a bucket holds one window only");
    }

    #[test]
    fn apps_and_groups_do_not_share() {
        let limits = RateLimits::new(10);
        let now = Instant::now();
        let [templates, push] = ["templates", "push-sync"].map(|name| Group::named(name).unwrap());
        assert!(take(&limits, 1, push, 1, now));
        assert!(!take(&limits, 1, push, 1, now));
        assert!(take(&limits, 2, push, 1, now));
        assert!(take(&limits, 1, templates, 1, now));
        let [first, second] = [0, 1].map(|route| Group::parse("-", route).unwrap());
        assert!(take(&limits, 1, first, 100, now));
        assert!(take(&limits, 1, second, 100, now));
        assert!(!take(&limits, 1, first, 1, now));
    }

    #[test]
    fn a_message_to_many_counts_for_each() {
        let limits = RateLimits::new(10);
        let group = Group::named("messages-users").unwrap();
        let now = Instant::now();
        assert!((0..10).all(|_| take(&limits, 1, group, 600, now)));
        assert!(!take(&limits, 1, group, 600, now));
    }

    #[test]
    fn a_day_has_so_many_broadcasts() {
        let limits = RateLimits::new(10);
        let group = Group::named("broadcast-day").unwrap();
        let start = Instant::now();
        assert!((0..100).all(|_| take(&limits, 1, group, 1, start)));
        assert!(!take(&limits, 1, group, 1, start + Duration::from_secs(60)));
        assert!(take(&limits, 1, group, 1, start + Duration::from_secs(24 * 60 * 60)));
    }

    #[test]
    fn the_factor_scales_and_switches_off() {
        let limits = RateLimits::new(10);
        let group = Group::named("push-sync").unwrap();
        let now = Instant::now();
        let took = (0..5).filter(|_| limits.take(TenantId(1), group, 3, 1, now)).count();
        assert_eq!(took, 3);
        assert!((0..1000).all(|_| limits.take(TenantId(1), group, 0, 1, now)));
    }

    /// A call as a core of a region answers it; `shared` is the count of all cores.
    fn call(core: &RateLimits, shared: &mut Option<i64>, group: Group, now: Instant) -> bool {
        if let Some(report) = core.report(TenantId(1), group, 1, now) {
            if let Some(sum) = shared {
                *sum += report.calls();
            }
            core.reported(&report, *shared);
        }
        take(core, 1, group, 1, now)
    }

    #[test]
    fn cores_give_together_what_one_would() {
        let (one, two) = (RateLimits::new(10), RateLimits::new(10));
        let group = Group::named("broadcast").unwrap();
        let start = Instant::now();
        let mut shared = Some(0);
        let at = |n: u64| start + Duration::from_millis(101 * n);
        let given =
            (0..40).filter(|n| call([&one, &two][*n as usize % 2], &mut shared, group, at(*n))).count();
        // Ten a minute, whichever core is asked; one call may not have been told yet.
        assert!((10..=11).contains(&given), "{given}");
        // Within a report's time each gives on its own.
        let later = start + Duration::from_secs(70);
        let given = (0..40).filter(|n| call([&one, &two][n % 2], &mut shared, group, later)).count();
        assert!((10..=20).contains(&given), "{given}");
        assert!(!call(&one, &mut shared, group, later + Duration::from_secs(1)), "paid back");
    }

    #[test]
    fn a_core_that_cannot_tell_gives_on_its_own_and_tells_later() {
        let (one, two) = (RateLimits::new(10), RateLimits::new(10));
        let group = Group::named("broadcast").unwrap();
        let start = Instant::now();
        let given = (0..20).filter(|_| call(&one, &mut None, group, start)).count();
        assert_eq!(given, 10);
        let mut shared = Some(0);
        let now = start + Duration::from_millis(200);
        assert!(!call(&one, &mut shared, group, now));
        assert_eq!(shared, Some(10));
        assert!(!call(&two, &mut shared, group, now));
    }

    #[test]
    fn memory_is_bounded() {
        let limits = RateLimits::new(10);
        let group = Group::named("token").unwrap();
        for tenant in 0..1000 {
            assert!(take(&limits, tenant, group, 1, Instant::now()));
        }
        assert_eq!(limits.buckets.lock().unwrap().len(), 10);
    }
}
