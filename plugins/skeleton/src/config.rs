//! The settings of this backend, all in one place. The node reads a URL and hands the parts over.

/// How much a backend may hold.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SkeletonConfig {
    /// Bytes of values and blobs together; a write beyond that is `Full`.
    pub capacity: u64,
}

impl Default for SkeletonConfig {
    fn default() -> Self {
        Self { capacity: 1 << 30 }
    }
}
