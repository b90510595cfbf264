//! Numbers that name things. Each is a newtype, made here and nowhere else.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// Milliseconds since the Unix epoch.
    Millis(u64)
);
number!(
    /// A tenant (one app). 0 is the system tenant, which holds the apps themselves.
    TenantId(u32)
);
number!(
    /// A region, 0..=63.
    RegionId(u8)
);
number!(
    /// Position of an operation in its log: 1, 2, 3… without a hole; 0 before the first.
    Lsn(u64)
);
number!(
    /// Raised at every change of a log's owner region, never reused.
    Epoch(u64)
);
number!(
    /// Which writer of a log inside its region: raised by every claim, so that an older writer is fenced.
    Incarnation(u64)
);
number!(
    /// Position of an entry in its conversation: 1, 2, 3… without a hole; 0 before the first.
    Seq(u64)
);
number!(
    /// Hybrid logical time of an operation: 48 bits of milliseconds, 16 bits of counter. Never goes back in a log.
    Hlc(u64)
);
number!(
    /// Server id of a message: a positive 63-bit number, shown as decimal.
    ///
    /// 41 bits of milliseconds since 2020, 6 of region, 6 of worker, 10 of counter. In one conversation the order
    /// of ids is the order of positions, even when a clock steps back.
    MessageId(u64)
);

impl Lsn {
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Seq {
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Hlc {
    /// The next time stamp of a log whose last one is `self`, at wall time `now`.
    #[must_use]
    pub fn tick(self, now: Millis) -> Self {
        Self((now.0 << 16).max(self.0 + 1))
    }

    #[must_use]
    pub const fn millis(self) -> Millis {
        Millis(self.0 >> 16)
    }
}

impl MessageId {
    /// 2020-01-01T00:00:00Z.
    pub const EPOCH: Millis = Millis(1_577_836_800_000);

    /// The id for a message accepted at `now`; `counter` is taken modulo 1024.
    #[must_use]
    pub fn new(now: Millis, region: RegionId, worker: u8, counter: u16) -> Self {
        let ms = now.0.saturating_sub(Self::EPOCH.0) & ((1 << 41) - 1);
        Self(
            (ms << 22)
                | (u64::from(region.0 & 63) << 16)
                | (u64::from(worker & 63) << 10)
                | u64::from(counter & 1023),
        )
    }

    /// When the id was made, as far as its clock knew.
    #[must_use]
    pub const fn millis(self) -> Millis {
        Millis((self.0 >> 22) + Self::EPOCH.0)
    }
}

/// How a log is owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogClass {
    /// One owner region, total order.
    Owned,
    /// One per tenant and region, written locally, merged commutatively (max registers, last writer wins).
    Regional,
}

/// A log: the unit of order, ownership, group commit, replication and failover.
///
/// Packed into 48 bits: tenant (32), class (1), region of birth (6), index (9).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogId(u64);

impl LogId {
    #[must_use]
    pub const fn new(tenant: TenantId, class: LogClass, region: RegionId, index: u16) -> Self {
        let class = match class {
            LogClass::Owned => 0,
            LogClass::Regional => 1,
        };
        Self(
            ((tenant.0 as u64) << 16)
                | (class << 15)
                | (((region.0 & 63) as u64) << 9)
                | ((index & 511) as u64),
        )
    }

    #[must_use]
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw & ((1 << 48) - 1))
    }

    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }

    #[must_use]
    pub const fn tenant(self) -> TenantId {
        TenantId((self.0 >> 16) as u32)
    }

    #[must_use]
    pub const fn class(self) -> LogClass {
        if self.0 >> 15 & 1 == 0 { LogClass::Owned } else { LogClass::Regional }
    }

    #[must_use]
    pub const fn region(self) -> RegionId {
        RegionId((self.0 >> 9 & 63) as u8)
    }

    #[must_use]
    pub const fn index(self) -> u16 {
        (self.0 & 511) as u16
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = match self.class() {
            LogClass::Owned => 'O',
            LogClass::Regional => 'R',
        };
        write!(f, "{}.{class}{}.{}", self.tenant(), self.region(), self.index())
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogId({self})")
    }
}

/// How far a device has read a conversation: an offset *and* the epoch followed by the region that answered,
/// so that lost history is never taken for short history. Ordered by epoch first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    pub epoch: Epoch,
    pub seq: Seq,
}

impl Position {
    const SEQ_BITS: u32 = 40;

    #[must_use]
    pub const fn new(epoch: Epoch, seq: Seq) -> Self {
        Self { epoch, seq }
    }

    /// One number that orders as positions do; fits a signed 64-bit column (epochs below 2^23).
    #[must_use]
    pub const fn rank(self) -> i64 {
        ((self.epoch.0 << Self::SEQ_BITS) | self.seq.0) as i64
    }

    #[must_use]
    pub const fn from_rank(rank: i64) -> Self {
        let rank = rank as u64;
        Self { epoch: Epoch(rank >> Self::SEQ_BITS), seq: Seq(rank & ((1 << Self::SEQ_BITS) - 1)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_id_packs_and_unpacks() {
        let id = LogId::new(TenantId(7), LogClass::Regional, RegionId(63), 511);
        assert_eq!(
            (id.tenant(), id.class(), id.region(), id.index()),
            (TenantId(7), LogClass::Regional, RegionId(63), 511)
        );
        assert_eq!(LogId::from_raw(id.raw()), id);
        assert_eq!(id.to_string(), "7.R63.511");
    }

    #[test]
    fn message_id_is_positive_and_keeps_its_time() {
        let now = Millis(1_795_000_000_123);
        let id = MessageId::new(now, RegionId(63), 63, 1023);
        assert_eq!(id.millis(), now);
        assert!(id.0 < 1 << 63);
    }

    #[test]
    fn hlc_never_goes_back() {
        let first = Hlc::default().tick(Millis(1000));
        let second = first.tick(Millis(900));
        assert!(second > first);
        assert_eq!(second.millis(), Millis(1000));
    }

    #[test]
    fn a_position_survives_its_rank() {
        let position = Position::new(Epoch(3), Seq(99));
        assert_eq!(Position::from_rank(position.rank()), position);
        assert!(Position::new(Epoch(2), Seq(1 << 39)).rank() < position.rank());
    }
}
