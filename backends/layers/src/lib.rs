#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod contracts;
mod layer;
mod limit;
mod metrics;
mod retry;
mod timeout;

pub use layer::{Attempt, Call, Effect, Layer, Layered};
pub use limit::{Limit, LimitConfig};
pub use metrics::Metrics;
pub use retry::{Retry, RetryConfig};
pub use timeout::{Timeout, TimeoutConfig};
