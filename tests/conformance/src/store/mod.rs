//! Cases over [`Store`]. Adopt them with [`store_suite!`](crate::store_suite).

mod append;
mod claim;
mod entries;
mod feed;
pub mod history;
mod lists;
pub mod log;
mod random;
mod reopen;

pub use append::*;
pub use claim::*;
pub use entries::*;
pub use feed::*;
pub use lists::*;
pub use random::*;
pub use reopen::*;

use futures_util::future::BoxFuture;
use meridian_ports::Store;
use std::{any::Any, fmt, sync::Arc};

/// A fresh, empty store, for one case.
pub struct StoreFixture {
    pub store: Arc<dyn Store>,
    reopen: Option<Reopen>,
    /// What must outlive the case: a temporary folder, a server.
    _guard: Option<Box<dyn Any + Send + Sync>>,
}

/// Closes the store and opens another on the same data.
type Reopen = Box<dyn FnMut() -> BoxFuture<'static, Arc<dyn Store>> + Send + Sync>;

impl StoreFixture {
    pub fn new(store: impl Store) -> Self {
        Self::shared(Arc::new(store))
    }

    #[must_use]
    pub fn shared(store: Arc<dyn Store>) -> Self {
        Self { store, reopen: None, _guard: None }
    }

    /// Keeps something alive until the case ends.
    #[must_use]
    pub fn with_guard(self, guard: impl Any + Send + Sync) -> Self {
        Self { _guard: Some(Box::new(guard)), ..self }
    }

    /// How to close the store and open another on the same data. Without it the cases about reopening are skipped.
    #[must_use]
    pub fn with_reopen(
        self,
        reopen: impl FnMut() -> BoxFuture<'static, Arc<dyn Store>> + Send + Sync + 'static,
    ) -> Self {
        Self { reopen: Some(Box::new(reopen)), ..self }
    }
}

impl fmt::Debug for StoreFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreFixture").field("store", &self.store).finish_non_exhaustive()
    }
}

/// One test per case. `$factory` is a future of a fresh [`StoreFixture`], evaluated once per case; skips are
/// declared by the names of their cases.
#[macro_export]
macro_rules! store_suite {
    ($factory:expr $(, skip: [$($skip:ident),* $(,)?])?) => {
        $crate::__suite!(
            store_suite, $factory, [$($($skip),*)?],
            $crate::store::a_claim_makes_a_log_and_raises_its_writer => a_claim_makes_a_log_and_raises_its_writer,
            $crate::store::a_claim_compares_the_incarnation => a_claim_compares_the_incarnation,
            $crate::store::an_epoch_never_goes_down => an_epoch_never_goes_down,
            $crate::store::of_racing_claims_one_wins => of_racing_claims_one_wins,
            $crate::store::logs_are_listed_in_order_and_in_pages => logs_are_listed_in_order_and_in_pages,
            $crate::store::a_step_is_read_back => a_step_is_read_back,
            $crate::store::a_fenced_writer_cannot_append => a_fenced_writer_cannot_append,
            $crate::store::a_log_that_was_never_claimed_is_fenced => a_log_that_was_never_claimed_is_fenced,
            $crate::store::operations_must_be_dense => operations_must_be_dense,
            $crate::store::entries_must_be_dense => entries_must_be_dense,
            $crate::store::a_refused_step_leaves_nothing => a_refused_step_leaves_nothing,
            $crate::store::effects_happen_in_order => effects_happen_in_order,
            $crate::store::a_bad_step_fails_alone => a_bad_step_fails_alone,
            $crate::store::logs_do_not_see_each_other => logs_do_not_see_each_other,
            $crate::store::large_steps_and_bodies_are_taken => large_steps_and_bodies_are_taken,
            $crate::store::a_replica_keeps_the_epochs_of_operations => a_replica_keeps_the_epochs_of_operations,
            $crate::store::entries_are_read_both_ways => entries_are_read_both_ways,
            $crate::store::odd_entries_come_back_exactly => odd_entries_come_back_exactly,
            $crate::store::an_erased_body_is_nowhere => an_erased_body_is_nowhere,
            $crate::store::conversation_heads_are_the_last_entries => conversation_heads_are_the_last_entries,
            $crate::store::idempotency_finds_the_greatest_not_above => idempotency_finds_the_greatest_not_above,
            $crate::store::idempotency_orders_all_numbers => idempotency_orders_all_numbers,
            $crate::store::a_message_is_found_by_id => a_message_is_found_by_id,
            $crate::store::objects_are_put_read_and_deleted => objects_are_put_read_and_deleted,
            $crate::store::objects_are_listed_by_rank_over_logs => objects_are_listed_by_rank_over_logs,
            $crate::store::relations_are_put_raised_and_deleted => relations_are_put_raised_and_deleted,
            $crate::store::relations_are_listed_over_logs => relations_are_listed_over_logs,
            $crate::store::scans_walk_each_shape_in_order => scans_walk_each_shape_in_order,
            $crate::store::a_scan_refuses_a_foreign_cursor => a_scan_refuses_a_foreign_cursor,
            $crate::store::a_feed_pages_and_keeps_its_chain => a_feed_pages_and_keeps_its_chain,
            $crate::store::a_feed_of_one_log_has_no_gaps => a_feed_of_one_log_has_no_gaps,
            $crate::store::feeds_of_many_logs_have_no_gaps => feeds_of_many_logs_have_no_gaps,
            $crate::store::reads_see_what_was_acknowledged => reads_see_what_was_acknowledged,
            $crate::store::a_read_beside_an_append_sees_whole_steps => a_read_beside_an_append_sees_whole_steps,
            $crate::store::reopening_keeps_everything => reopening_keeps_everything,
            $crate::store::random_histories_match_the_model => random_histories_match_the_model,
        );
    };
}
