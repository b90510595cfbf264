//! Delivery cursors. A client stops acknowledging when it sees the same `nextKey` twice for a queue, even across its
//! own reconnections, so a key is never used again.

use meridian_types::Millis;
use std::sync::atomic::{AtomicU64, Ordering};

static CONNECTIONS: AtomicU64 = AtomicU64::new(0);

/// The keys of one connection: strictly increasing, above those of the device's earlier connections.
///
/// The attach time in milliseconds takes the upper bits (below 2^62 in all); the lower 20 count from a start that
/// differs between connections of the same millisecond.
#[derive(Debug)]
pub(super) struct Keys(u64);

impl Keys {
    const COUNTER_BITS: u32 = 20;

    pub(super) fn new(attached_at: Millis) -> Self {
        let start = CONNECTIONS.fetch_add(1, Ordering::Relaxed) & 0x3ff;
        let millis = attached_at.0 & ((1 << 42) - 1);
        Self((millis << Self::COUNTER_BITS) | (start << 9))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_never_repeat_on_or_across_connections() {
        let mut seen = std::collections::HashSet::new();
        for millis in [1_795_389_661_861, 1_795_389_661_861, 1_795_389_661_862] {
            let mut keys = Keys::new(Millis(millis));
            let mut last = 0;
            for _ in 0..100 {
                let key = keys.next();
                assert!(key > last && key < 1 << 63);
                assert!(seen.insert(key));
                last = key;
            }
        }
    }

    #[test]
    fn a_later_connection_is_above_an_earlier_one() {
        let mut first = Keys::new(Millis(1000));
        let highest = (0..1000).map(|_| first.next()).last().unwrap();
        assert!(Keys::new(Millis(1001)).next() > highest);
    }
}
