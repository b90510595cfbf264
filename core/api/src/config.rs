//! Settings of the REST surface that are the server's and not an app's.

use std::time::Duration;

#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// How long a whole JSON body may take to arrive.
    pub body_deadline: Duration,
    /// How long an upload may pause between two pieces.
    pub upload_idle: Duration,
    /// Thumbnails made at the same time; each may take up to 300 MiB for the largest picture allowed.
    pub thumbnail_workers: usize,
    /// How long a request may wait for its turn at the thumbnails.
    pub thumbnail_wait: Duration,
    /// Rate counters kept (one per app and route group); the least used is forgotten first.
    pub rate_buckets: usize,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            body_deadline: Duration::from_secs(15),
            upload_idle: Duration::from_secs(30),
            thumbnail_workers: 2,
            thumbnail_wait: Duration::from_secs(10),
            rate_buckets: 65_536,
        }
    }
}
