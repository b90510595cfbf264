//! Cases over [`Bus`]. Adopt them with [`bus_suite!`](crate::bus_suite).

mod hearing;
mod limits;

pub use hearing::*;
pub use limits::*;

use bytes::Bytes;
use meridian_ports::{Bus, Heard, Subscription};
use std::{any::Any, fmt, sync::Arc, time::Duration};

/// A bus that nobody else uses, for one case.
pub struct BusFixture {
    pub bus: Arc<dyn Bus>,
    /// The same bus as another core of the region sees it.
    pub peer: Arc<dyn Bus>,
    /// What must outlive the case: a server.
    _guard: Option<Box<dyn Any + Send + Sync>>,
}

impl BusFixture {
    pub fn new(bus: impl Bus) -> Self {
        let bus: Arc<dyn Bus> = Arc::new(bus);
        Self { peer: bus.clone(), bus, _guard: None }
    }

    /// A second handle on the same bus. Without it the cases use the one handle twice, which is right for a backend that
    /// lives in one process.
    #[must_use]
    pub fn with_peer(self, peer: impl Bus) -> Self {
        Self { peer: Arc::new(peer), ..self }
    }

    /// Keeps something alive until the case ends.
    #[must_use]
    pub fn with_guard(self, guard: impl Any + Send + Sync) -> Self {
        Self { _guard: Some(Box::new(guard)), ..self }
    }
}

impl fmt::Debug for BusFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusFixture").field("bus", &self.bus).finish_non_exhaustive()
    }
}

/// One test per case. `$factory` is a future of a fresh [`BusFixture`], evaluated once per case; skips are declared by
/// the names of their cases.
#[macro_export]
macro_rules! bus_suite {
    ($factory:expr $(, skip: [$($skip:ident),* $(,)?])?) => {
        $crate::__suite!(
            bus_suite, $factory, [$($($skip),*)?],
            $crate::bus::a_bus_describes_itself => a_bus_describes_itself,
            $crate::bus::every_subscription_of_a_topic_hears => every_subscription_of_a_topic_hears,
            $crate::bus::topics_do_not_meet => topics_do_not_meet,
            $crate::bus::payloads_of_one_task_come_in_order => payloads_of_one_task_come_in_order,
            $crate::bus::what_was_published_before_does_not_come => what_was_published_before_does_not_come,
            $crate::bus::publishing_to_nobody_is_fine => publishing_to_nobody_is_fine,
            $crate::bus::a_dropped_subscription_leaves_others => a_dropped_subscription_leaves_others,
            $crate::bus::a_topic_may_be_left_and_joined_again => a_topic_may_be_left_and_joined_again,
            $crate::bus::waiting_may_be_cancelled => waiting_may_be_cancelled,
            $crate::bus::a_slow_listener_hears_one_gap_and_holds_up_nobody => a_slow_listener_hears_one_gap_and_holds_up_nobody,
            $crate::bus::payloads_come_back_whole => payloads_come_back_whole,
            $crate::bus::odd_but_good_topics_work => odd_but_good_topics_work,
            $crate::bus::bad_topics_and_payloads_are_invalid => bad_topics_and_payloads_are_invalid,
        );
    };
}

fn number(n: u32) -> Bytes {
    Bytes::copy_from_slice(&n.to_be_bytes())
}

/// The next thing, which must come.
async fn hear(subscription: &mut dyn Subscription) -> Heard {
    let waited = tokio::time::timeout(Duration::from_secs(20), subscription.next()).await;
    waited.unwrap_or_else(|_| panic!("nothing heard within 20 s"))
}

/// The next payload, where nothing may be lost.
async fn payload(subscription: &mut dyn Subscription) -> Bytes {
    match hear(subscription).await {
        Heard::Payload(payload) => payload,
        Heard::Gap => panic!("a gap although nothing was lost"),
    }
}
