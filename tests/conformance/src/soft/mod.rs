//! Cases over [`SoftState`]. Adopt them with [`soft_suite!`](crate::soft_suite).

mod counters;
mod limits;
mod sets;
mod values;

pub use counters::*;
pub use limits::*;
pub use sets::*;
pub use values::*;

use bytes::Bytes;
use meridian_ports::SoftState;
use std::{
    any::Any,
    fmt,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

/// Fresh, empty soft state, for one case.
pub struct SoftFixture {
    pub soft: Arc<dyn SoftState>,
    /// The same state as another core of the region sees it.
    pub peer: Arc<dyn SoftState>,
    /// What must outlive the case: a server.
    _guard: Option<Box<dyn Any + Send + Sync>>,
}

impl SoftFixture {
    pub fn new(soft: impl SoftState) -> Self {
        Self::shared(Arc::new(soft))
    }

    /// For soft state whose type is not known.
    #[must_use]
    pub fn shared(soft: Arc<dyn SoftState>) -> Self {
        Self { peer: soft.clone(), soft, _guard: None }
    }

    /// A second handle on the same state. Without it the cases use the one handle twice, which is right for a backend
    /// that lives in one process.
    #[must_use]
    pub fn with_peer(self, peer: impl SoftState) -> Self {
        Self { peer: Arc::new(peer), ..self }
    }

    /// Keeps something alive until the case ends.
    #[must_use]
    pub fn with_guard(self, guard: impl Any + Send + Sync) -> Self {
        Self { _guard: Some(Box::new(guard)), ..self }
    }
}

impl fmt::Debug for SoftFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftFixture").field("soft", &self.soft).finish_non_exhaustive()
    }
}

/// One test per case. `$factory` is a future of a fresh [`SoftFixture`], evaluated once per case; skips are declared by
/// the names of their cases.
#[macro_export]
macro_rules! soft_suite {
    ($factory:expr $(, skip: [$($skip:ident),* $(,)?])?) => {
        $crate::__suite!(
            soft_suite, $factory, [$($($skip),*)?],
            $crate::soft::it_describes_itself => it_describes_itself,
            $crate::soft::a_value_comes_back_whole_everywhere => a_value_comes_back_whole_everywhere,
            $crate::soft::setting_again_replaces_value_and_end => setting_again_replaces_value_and_end,
            $crate::soft::a_value_lives_its_time_and_no_longer => a_value_lives_its_time_and_no_longer,
            $crate::soft::set_if_absent_leaves_what_is_there => set_if_absent_leaves_what_is_there,
            $crate::soft::of_many_that_set_if_absent_one_wins => of_many_that_set_if_absent_one_wins,
            $crate::soft::what_expired_is_absent => what_expired_is_absent,
            $crate::soft::removing_may_be_repeated => removing_may_be_repeated,
            $crate::soft::a_counter_sums => a_counter_sums,
            $crate::soft::adds_at_once_are_all_counted => adds_at_once_are_all_counted,
            $crate::soft::a_counter_keeps_all_its_bits => a_counter_keeps_all_its_bits,
            $crate::soft::a_sum_that_does_not_fit_changes_nothing => a_sum_that_does_not_fit_changes_nothing,
            $crate::soft::a_window_is_not_moved_by_later_adds => a_window_is_not_moved_by_later_adds,
            $crate::soft::members_come_in_order_with_values => members_come_in_order_with_values,
            $crate::soft::an_unknown_set_is_empty => an_unknown_set_is_empty,
            $crate::soft::each_member_has_its_own_end => each_member_has_its_own_end,
            $crate::soft::joining_again_renews => joining_again_renews,
            $crate::soft::joining_again_may_shorten => joining_again_may_shorten,
            $crate::soft::leaving_may_be_repeated => leaving_may_be_repeated,
            $crate::soft::a_full_set_comes_back_whole => a_full_set_comes_back_whole,
            $crate::soft::the_shapes_do_not_meet => the_shapes_do_not_meet,
            $crate::soft::odd_but_good_names_work => odd_but_good_names_work,
            $crate::soft::bad_names_are_invalid_in_every_verb => bad_names_are_invalid_in_every_verb,
            $crate::soft::values_are_at_most_64_kib => values_are_at_most_64_kib,
            $crate::soft::times_to_live_are_1_ms_to_24_h => times_to_live_are_1_ms_to_24_h,
        );
    };
}

/// Longer than any case runs.
const LONG: Duration = Duration::from_secs(600);
/// Long enough to be seen alive on a busy machine, short enough to be waited for.
const SHORT: Duration = Duration::from_millis(700);

fn bytes(content: &str) -> Bytes {
    Bytes::copy_from_slice(content.as_bytes())
}

/// Waits until something holds.
async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}: not within 30 s");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until a value that was made now with that time to live has expired: everything with an earlier end is gone too.
async fn outlive(soft: &dyn SoftState, ttl: Duration) {
    soft.set("the clock of the case", Bytes::new(), ttl).await.unwrap();
    until("a value expires", || async { soft.get("the clock of the case").await.unwrap().is_none() }).await;
}

async fn names(soft: &dyn SoftState, set: &str) -> Vec<String> {
    soft.members(set).await.unwrap().into_iter().map(|(name, _)| name).collect()
}
