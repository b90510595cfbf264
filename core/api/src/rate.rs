//! Rate limits: a token bucket for each app and group of routes, in bounded memory.
//!
//! A route that is in no group has its own bucket at the default rate. Forgetting the least used bucket only ever
//! forgives; it never refuses.

use lru::LruCache;
use meridian_types::TenantId;
use std::{
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
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

const DEFAULT: Rate = per_second(100);

/// The documented groups. A message to several targets counts once for each.
const GROUPS: &[(&str, Rate)] = &[
    ("batch-status", per_second(50)),
    ("blocks", per_second(50)),
    ("broadcast", per_minute(10)),
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

    pub(crate) fn named(name: &str) -> Option<Self> {
        let number = GROUPS.iter().position(|(known, _)| *known == name)?;
        Some(Self { number, rate: GROUPS[number].1 })
    }
}

#[derive(Debug)]
struct Bucket {
    calls: f64,
    at: Instant,
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

    /// Takes `cost` calls of an app's bucket, or nothing and `false`. `factor` multiplies the rates, 0 lifts them.
    pub(crate) fn take(&self, tenant: TenantId, group: Group, factor: u32, cost: u32, now: Instant) -> bool {
        if factor == 0 {
            return true;
        }
        let full = f64::from(group.rate.calls) * f64::from(factor);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.get_or_insert_mut((tenant, group.number), || Bucket { calls: full, at: now });
        let gone = now.saturating_duration_since(bucket.at);
        bucket.calls = (bucket.calls + full * gone.as_secs_f64() / group.rate.window.as_secs_f64()).min(full);
        bucket.at = bucket.at.max(now);
        let cost = f64::from(cost);
        let enough = bucket.calls >= cost;
        if enough {
            bucket.calls -= cost;
        }
        enough
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
    fn the_factor_scales_and_switches_off() {
        let limits = RateLimits::new(10);
        let group = Group::named("push-sync").unwrap();
        let now = Instant::now();
        let took = (0..5).filter(|_| limits.take(TenantId(1), group, 3, 1, now)).count();
        assert_eq!(took, 3);
        assert!((0..1000).all(|_| limits.take(TenantId(1), group, 0, 1, now)));
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
