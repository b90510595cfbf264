//! Soft state: what may be lost at any time without harm.

use crate::Result;
use async_trait::async_trait;
use bytes::Bytes;
use std::{fmt::Debug, time::Duration};

/// Values, counters and sets that expire, shared by the cores of a region. Any of it may vanish at any time (a restart,
/// an eviction, a failover), and what was written last may not be there: never keep here what must not be lost.
///
/// Keys and members are 1..=512 bytes of UTF-8, values at most 64 KiB; anything else is `Invalid`. Times to live are
/// 1 ms..=24 h, kept to the millisecond where the backend can and never shorter; what has expired is as if it had never
/// been. The three shapes have name spaces of their own.
#[async_trait]
pub trait SoftState: Debug + Send + Sync + 'static {
    /// The backend's name and version, for the boot table.
    fn describe(&self) -> String;

    /// Writes a value with a new time to live.
    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<()>;

    /// Writes a value only if there is none: `true` when this call wrote it. Atomic.
    async fn set_if_absent(&self, key: &str, value: Bytes, ttl: Duration) -> Result<bool>;

    async fn get(&self, key: &str) -> Result<Option<Bytes>>;

    /// Removes a value; a missing one is no error.
    async fn remove(&self, key: &str) -> Result<()>;

    /// Adds to a counter (0 when missing) and gives the sum. Atomic. The time to live begins when the counter is made
    /// and is not moved by later calls, so that it counts a window. A sum that does not fit 64 bits is `Invalid` and
    /// changes nothing.
    async fn add(&self, counter: &str, by: i64, ttl: Duration) -> Result<i64>;

    /// Puts a member with a value into a set, or renews it. Each member has its own time to live.
    async fn join(&self, set: &str, member: &str, value: Bytes, ttl: Duration) -> Result<()>;

    /// Takes a member out; a missing one is no error.
    async fn leave(&self, set: &str, member: &str) -> Result<()>;

    /// The living members in order of their names, with their values; sets are meant to be small (at most 10,000
    /// members). An unknown set is empty.
    async fn members(&self, set: &str) -> Result<Vec<(String, Bytes)>>;
}
