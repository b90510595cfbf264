//! Where a log begins, and the record of where it went.

use meridian_types::{Hash, Kind, LogClass, LogId, Object, RegionId, TenantId};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// In a log that has moved: the object that says where to, in every copy of the log that reaches so far.
pub(crate) const PLACEMENT: Kind = Kind::new("placement");
pub(crate) const PLACEMENT_ID: &str = "log";

/// In [`MARKS`] of a shard: logs that are being copied to it and are not there yet.
pub(crate) const INCOMING: Kind = Kind::new("incoming");
/// Each shard's own log for that. No tenant gets the last number.
pub(crate) const MARKS: LogId = LogId::new(TenantId(u32::MAX), LogClass::Regional, RegionId(62), 509);

/// The body of a placement object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Placement {
    pub(crate) to: String,
    pub(crate) at_ms: u64,
}

impl Placement {
    pub(crate) fn to(shard: &str) -> Self {
        Self { to: shard.to_owned(), at_ms: u64::try_from(now().as_millis()).unwrap_or_default() }
    }

    pub(crate) fn read(object: &Object) -> Option<Self> {
        serde_json::from_slice(&object.body).ok()
    }

    /// How long ago the move was committed; zero when that is in the future of this clock.
    pub(crate) fn age(&self) -> Duration {
        now().saturating_sub(Duration::from_millis(self.at_ms))
    }
}

pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Rendezvous hashing: adding a shard takes logs from all others alike, and moves none between them.
pub(crate) fn score(shard: &str, log: LogId) -> Hash {
    Hash::of_parts(&[shard.as_bytes(), &[0], &log.raw().to_be_bytes()])
}

/// A log as it is written: `7.O0.3`.
#[must_use]
pub fn parse_log(text: &str) -> Option<LogId> {
    let (tenant, rest) = text.split_once('.')?;
    let (class, index) = rest.split_once('.')?;
    let (region, class) = match class.strip_prefix('O') {
        Some(region) => (region, LogClass::Owned),
        None => (class.strip_prefix('R')?, LogClass::Regional),
    };
    let log = LogId::new(
        TenantId(tenant.parse().ok()?),
        class,
        RegionId(region.parse().ok()?),
        index.parse().ok()?,
    );
    // Numbers that are too large for their place would come out as others.
    (log.to_string() == text).then_some(log)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_read_as_they_are_written() {
        for text in ["7.O0.3", "4294967295.R63.511", "0.O0.0"] {
            assert_eq!(parse_log(text).unwrap().to_string(), text);
        }
        for bad in ["", "7", "7.O0", "7.X0.3", "7.O64.3", "7.O0.512", "4294967296.O0.1", "07.O0.1", "7.O0.3."]
        {
            assert_eq!(parse_log(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_new_shard_takes_a_share_and_moves_nothing_between_the_others() {
        let best = |shards: &[&'static str], log| *shards.iter().max_by_key(|name| score(name, log)).unwrap();
        let mut moved = 0;
        for index in 0..400 {
            let log = LogId::new(TenantId(7), LogClass::Owned, RegionId(0), index);
            let (before, after) = (best(&["a", "b", "c"], log), best(&["a", "b", "c", "d"], log));
            assert!(after == before || after == "d");
            moved += usize::from(after == "d");
        }
        assert!((60..140).contains(&moved), "{moved} of 400 to the fourth shard");
    }
}
