//! The wall clock, and the message ids that are made from it.

use meridian_types::{MessageId, Millis, RegionId};
use std::{
    sync::atomic::{AtomicU8, AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// Wall time, read in one place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock;

impl Clock {
    pub(crate) fn now(self) -> Millis {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}

const COUNTER_BITS: u64 = 1023;
const NODE_BITS: u64 = 0xfff << 10;

/// Makes message ids: rising, and unique among the workers of all regions.
#[derive(Debug)]
pub(crate) struct MessageIds {
    clock: Clock,
    region: RegionId,
    worker: AtomicU8,
    last: AtomicU64,
}

impl MessageIds {
    pub(crate) fn new(clock: Clock, region: RegionId, worker: u8) -> Self {
        Self { clock, region, worker: AtomicU8::new(worker), last: AtomicU64::new(0) }
    }

    /// From the next id on.
    pub(crate) fn set_worker(&self, worker: u8) {
        self.worker.store(worker, Ordering::Relaxed);
    }

    /// The next id, greater than `floor` and than every id made here before, even when the clock stepped back.
    pub(crate) fn next_after(&self, floor: MessageId) -> MessageId {
        let worker = self.worker.load(Ordering::Relaxed);
        let fresh = MessageId::new(self.clock.now(), self.region, worker, 0).0;
        let step = |last: u64| {
            let low = last.max(floor.0);
            Some(if fresh > low { fresh } else { self.successor(low, worker) })
        };
        match self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step) {
            Ok(last) | Err(last) => MessageId(step(last).unwrap_or(last)),
        }
    }

    /// The smallest id of this worker that is greater than `id`: the counter carries into the time, never into
    /// another worker's ids.
    fn successor(&self, id: u64, worker: u8) -> u64 {
        let node = MessageId::new(MessageId::EPOCH, self.region, worker, 0).0;
        let same_time = (id & !(NODE_BITS | COUNTER_BITS)) | node;
        for candidate in [same_time | ((id & COUNTER_BITS) + 1).min(COUNTER_BITS), same_time + (1 << 22)] {
            if candidate > id {
                return candidate;
            }
        }
        same_time + (2 << 22)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_and_keep_their_worker() {
        let ids = MessageIds::new(Clock, RegionId(3), 5);
        let mut last = MessageId(0);
        for _ in 0..5000 {
            let id = ids.next_after(MessageId(0));
            assert!(id > last);
            assert_eq!(id.0 >> 10 & 0xfff, 3 << 6 | 5);
            last = id;
        }
    }

    #[test]
    fn an_id_passes_a_floor_from_the_future() {
        let ids = MessageIds::new(Clock, RegionId(0), 0);
        let floor = MessageId::new(Millis(ids.clock.now().0 + 10_000_000), RegionId(1), 1, 1023);
        let first = ids.next_after(floor);
        assert!(first > floor);
        assert!(ids.next_after(MessageId(0)) > first);
    }
}
