//! Counters.

use super::{LONG, SHORT, SoftFixture, until};
use crate::Outcome;
use futures_util::future;
use meridian_ports::ErrorKind;
use std::time::Instant;

pub async fn a_counter_sums(fixture: SoftFixture) -> Outcome {
    let (soft, peer) = (&fixture.soft, &fixture.peer);
    assert_eq!(soft.add("c", 0, LONG).await.unwrap(), 0);
    assert_eq!(soft.add("c", 5, LONG).await.unwrap(), 5);
    assert_eq!(peer.add("c", -7, LONG).await.unwrap(), -2);
    assert_eq!(soft.add("other", 1, LONG).await.unwrap(), 1);
    Outcome::Ran
}

pub async fn adds_at_once_are_all_counted(fixture: SoftFixture) -> Outcome {
    let adds = (0..50).map(|n| {
        let handle = if n % 2 == 0 { &fixture.soft } else { &fixture.peer };
        async move { handle.add("c", 1, LONG).await.unwrap() }
    });
    let mut sums = future::join_all(adds).await;
    sums.sort_unstable();
    assert_eq!(sums, (1..=50).collect::<Vec<_>>(), "each add sees a sum of its own");
    Outcome::Ran
}

/// Sums do not pass through floating point.
pub async fn a_counter_keeps_all_its_bits(fixture: SoftFixture) -> Outcome {
    let soft = &*fixture.soft;
    for start in [(1_i64 << 53) + 1, i64::MAX - 1, i64::MIN + 1] {
        let name = format!("c{start}");
        assert_eq!(soft.add(&name, start, LONG).await.unwrap(), start);
        assert_eq!(soft.add(&name, 1, LONG).await.unwrap(), start + 1);
        assert_eq!(soft.add(&name, -2, LONG).await.unwrap(), start - 1);
    }
    Outcome::Ran
}

pub async fn a_sum_that_does_not_fit_changes_nothing(fixture: SoftFixture) -> Outcome {
    let soft = &*fixture.soft;
    for (name, full, more) in [("up", i64::MAX, 1), ("down", i64::MIN, -1)] {
        assert_eq!(soft.add(name, full, LONG).await.unwrap(), full);
        let error = soft.add(name, more, LONG).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.surely_not_done());
        assert_eq!(soft.add(name, 0, LONG).await.unwrap(), full);
    }
    Outcome::Ran
}

pub async fn a_window_is_not_moved_by_later_adds(fixture: SoftFixture) -> Outcome {
    let soft = &*fixture.soft;
    let asked = Instant::now();
    assert_eq!(soft.add("c", 10, SHORT).await.unwrap(), 10);
    // Every add asks for more time; the window ends all the same.
    until("the window ends", || async { soft.add("c", 1, LONG).await.unwrap() < 10 }).await;
    assert!(asked.elapsed() >= SHORT, "ended after {:?} of {SHORT:?}", asked.elapsed());
    Outcome::Ran
}
