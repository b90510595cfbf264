//! What can be set.

use std::{path::PathBuf, time::Duration};

/// How to open a [`SqliteStore`](crate::SqliteStore). `SqliteConfig::new(path)` is a good one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SqliteConfig {
    /// The database file; its folder must exist. `-wal`, `-shm` and `.lock` files stand beside it.
    pub path: PathBuf,
    /// Connections for reads, 1..=64.
    pub read_connections: u32,
    /// Steps and claims that may wait for the writer before appends are refused as `Busy`.
    pub queue: usize,
    /// A group takes steps until it has this many…
    pub group_steps: usize,
    /// …or this many operations; a larger step is a group of its own.
    pub group_operations: usize,
    /// How long a read may wait for a connection before it is refused as `Busy`.
    pub read_wait: Duration,
    /// Appends are refused as `Full` rather than let the database grow past this many bytes.
    pub size_limit: Option<u64>,
}

impl SqliteConfig {
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            read_connections: 2,
            queue: 1024,
            group_steps: 256,
            group_operations: 4096,
            read_wait: Duration::from_secs(5),
            size_limit: None,
        }
    }
}
