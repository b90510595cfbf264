//! Cases over [`SoftState`]. Adopt them with [`soft_suite!`](crate::soft_suite).

use crate::Outcome;
use bytes::Bytes;
use futures_util::future::join_all;
use meridian_ports::{ErrorKind, SoftState};
use std::{
    any::Any,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(200);
/// Far above any time to live in here.
const PATIENCE: Duration = Duration::from_secs(20);

/// A fresh, empty soft state, for one case.
pub struct SoftFixture {
    pub soft: Arc<dyn SoftState>,
    _guard: Option<Box<dyn Any + Send + Sync>>,
}

impl SoftFixture {
    pub fn new(soft: impl SoftState) -> Self {
        Self { soft: Arc::new(soft), _guard: None }
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

/// One test per case. `$factory` is a future of a fresh [`SoftFixture`], evaluated once per case.
#[macro_export]
macro_rules! soft_suite {
    ($factory:expr $(, skip: [$($skip:ident),* $(,)?])?) => {
        $crate::__suite!(
            soft_suite, $factory, [$($($skip),*)?],
            $crate::soft::a_value_is_read_replaced_and_removed => a_value_is_read_replaced_and_removed,
            $crate::soft::a_value_ends_and_not_too_soon => a_value_ends_and_not_too_soon,
            $crate::soft::writing_again_renews_the_time => writing_again_renews_the_time,
            $crate::soft::of_racing_writers_one_finds_nothing => of_racing_writers_one_finds_nothing,
            $crate::soft::an_ended_value_may_be_taken_again => an_ended_value_may_be_taken_again,
            $crate::soft::a_counter_adds_up_from_every_side => a_counter_adds_up_from_every_side,
            $crate::soft::a_counter_counts_one_window => a_counter_counts_one_window,
            $crate::soft::a_counter_never_wraps => a_counter_never_wraps,
            $crate::soft::members_join_renew_and_leave => members_join_renew_and_leave,
            $crate::soft::each_member_ends_by_itself => each_member_ends_by_itself,
            $crate::soft::a_set_of_thousands_is_whole => a_set_of_thousands_is_whole,
            $crate::soft::the_shapes_have_names_of_their_own => the_shapes_have_names_of_their_own,
            $crate::soft::odd_names_and_values_come_back => odd_names_and_values_come_back,
            $crate::soft::what_breaks_the_limits_is_invalid => what_breaks_the_limits_is_invalid,
        );
    };
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Waits until something holds; it must not have held before `at_least` was over.
async fn ends<F: Future<Output = bool>>(begun: Instant, at_least: Duration, gone: impl Fn() -> F) {
    while !gone().await {
        assert!(begun.elapsed() < PATIENCE, "not gone within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(begun.elapsed() >= at_least, "gone after {:?}, before its time", begun.elapsed());
}

pub async fn a_value_is_read_replaced_and_removed(fixture: SoftFixture) -> Outcome {
    let soft = &*fixture.soft;
    assert_eq!(soft.get("k").await.unwrap(), None);
    soft.set("k", bytes("one"), LONG).await.unwrap();
    soft.set("other", bytes("x"), LONG).await.unwrap();
    assert_eq!(soft.get("k").await.unwrap(), Some(bytes("one")));
    soft.set("k", bytes("two"), LONG).await.unwrap();
    assert_eq!(soft.get("k").await.unwrap(), Some(bytes("two")));
    soft.remove("k").await.unwrap();
    soft.remove("k").await.unwrap();
    assert_eq!(soft.get("k").await.unwrap(), None);
    assert_eq!(soft.get("other").await.unwrap(), Some(bytes("x")));
    Outcome::Ran
}

pub async fn a_value_ends_and_not_too_soon(fixture: SoftFixture) -> Outcome {
    let soft = &fixture.soft;
    soft.set("long", bytes("x"), LONG).await.unwrap();
    let begun = Instant::now();
    soft.set("short", bytes("x"), SHORT).await.unwrap();
    ends(begun, SHORT, || async { soft.get("short").await.unwrap().is_none() }).await;
    assert!(soft.get("long").await.unwrap().is_some());
    Outcome::Ran
}

pub async fn writing_again_renews_the_time(fixture: SoftFixture) -> Outcome {
    let soft = &fixture.soft;
    soft.set("k", bytes("x"), SHORT).await.unwrap();
    soft.set("k", bytes("x"), LONG).await.unwrap();
    let begun = Instant::now();
    soft.set("witness", bytes("x"), SHORT * 2).await.unwrap();
    ends(begun, SHORT * 2, || async { soft.get("witness").await.unwrap().is_none() }).await;
    assert!(soft.get("k").await.unwrap().is_some(), "the first time to live still counts");
    Outcome::Ran
}

pub async fn of_racing_writers_one_finds_nothing(fixture: SoftFixture) -> Outcome {
    let soft = &fixture.soft;
    for round in 0..20 {
        let key = format!("k{round}");
        let racing = (0..8).map(|n| {
            let (soft, key) = (soft.clone(), key.clone());
            tokio::spawn(async move { soft.set_if_absent(&key, bytes(&n.to_string()), LONG).await.unwrap() })
        });
        let won: Vec<bool> = join_all(racing).await.into_iter().map(Result::unwrap).collect();
        let winners: Vec<usize> = (0..8).filter(|n| won[*n]).collect();
        assert_eq!(winners.len(), 1, "{won:?}");
        assert_eq!(soft.get(&key).await.unwrap(), Some(bytes(&winners[0].to_string())));
    }
    Outcome::Ran
}

pub async fn an_ended_value_may_be_taken_again(fixture: SoftFixture) -> Outcome {
    let soft = &fixture.soft;
    let begun = Instant::now();
    assert!(soft.set_if_absent("lock", bytes("a"), SHORT).await.unwrap());
    ends(begun, SHORT, || async { soft.set_if_absent("lock", bytes("b"), LONG).await.unwrap() }).await;
    assert_eq!(soft.get("lock").await.unwrap(), Some(bytes("b")));
    soft.remove("lock").await.unwrap();
    assert!(soft.set_if_absent("lock", bytes("c"), LONG).await.unwrap());
    Outcome::Ran
}

pub async fn a_counter_adds_up_from_every_side(fixture: SoftFixture) -> Outcome {
    let soft = &fixture.soft;
    let adding = (0..8).map(|_| {
        let soft = soft.clone();
        tokio::spawn(async move {
            for _ in 0..50 {
                soft.add("n", 3, LONG).await.unwrap();
            }
        })
    });
    join_all(adding).await.into_iter().for_each(Result::unwrap);
    assert_eq!(soft.add("n", 0, LONG).await.unwrap(), 1200);
    assert_eq!(soft.add("n", -1201, LONG).await.unwrap(), -1);
    assert_eq!(soft.add("other", 5, LONG).await.unwrap(), 5);
    Outcome::Ran
}

pub async fn a_counter_counts_one_window(fixture: SoftFixture) -> Outcome {
    let soft = &fixture.soft;
    let begun = Instant::now();
    assert_eq!(soft.add("n", 1, SHORT).await.unwrap(), 1);
    // A later call must not make the window longer: it ends while calls go on.
    ends(begun, SHORT, || async { soft.add("n", 1, LONG).await.unwrap() == 1 }).await;
    Outcome::Ran
}

pub async fn a_counter_never_wraps(fixture: SoftFixture) -> Outcome {
    let soft = &*fixture.soft;
    assert_eq!(soft.add("n", i64::MAX, LONG).await.unwrap(), i64::MAX);
    assert_eq!(soft.add("n", 1, LONG).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(soft.add("n", 0, LONG).await.unwrap(), i64::MAX);
    assert_eq!(soft.add("m", i64::MIN, LONG).await.unwrap(), i64::MIN);
    assert_eq!(soft.add("m", -1, LONG).await.unwrap_err().kind(), ErrorKind::Invalid);
    Outcome::Ran
}

pub async fn members_join_renew_and_leave(fixture: SoftFixture) -> Outcome {
    let soft = &*fixture.soft;
    assert_eq!(soft.members("s").await.unwrap(), []);
    for member in ["c", "a", "b"] {
        soft.join("s", member, bytes(member), LONG).await.unwrap();
    }
    soft.join("s", "b", bytes("new"), LONG).await.unwrap();
    soft.join("t", "z", bytes("z"), LONG).await.unwrap();
    let expected =
        [("a", "a"), ("b", "new"), ("c", "c")].map(|(name, value)| (name.to_owned(), bytes(value)));
    assert_eq!(soft.members("s").await.unwrap(), expected);
    soft.leave("s", "a").await.unwrap();
    soft.leave("s", "a").await.unwrap();
    soft.leave("nowhere", "a").await.unwrap();
    assert_eq!(soft.members("s").await.unwrap(), expected[1..]);
    for member in ["b", "c"] {
        soft.leave("s", member).await.unwrap();
    }
    assert_eq!(soft.members("s").await.unwrap(), []);
    assert_eq!(soft.members("t").await.unwrap().len(), 1);
    Outcome::Ran
}

pub async fn each_member_ends_by_itself(fixture: SoftFixture) -> Outcome {
    let soft = &fixture.soft;
    soft.join("s", "long", bytes("x"), LONG).await.unwrap();
    soft.join("s", "renewed", bytes("x"), SHORT).await.unwrap();
    soft.join("s", "renewed", bytes("x"), LONG).await.unwrap();
    let begun = Instant::now();
    soft.join("s", "short", bytes("x"), SHORT).await.unwrap();
    ends(begun, SHORT, || async { soft.members("s").await.unwrap().len() == 2 }).await;
    let left: Vec<_> = soft.members("s").await.unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(left, ["long", "renewed"]);
    Outcome::Ran
}

pub async fn a_set_of_thousands_is_whole(fixture: SoftFixture) -> Outcome {
    let soft = &fixture.soft;
    for hundred in 0..30 {
        let joining = (0..100).map(|n| async move {
            soft.join("s", &format!("{:05}", hundred * 100 + n), bytes("x"), LONG).await.unwrap();
        });
        join_all(joining).await;
    }
    let members = soft.members("s").await.unwrap();
    assert_eq!(members.len(), 3000);
    assert!(members.iter().zip(0..).all(|((name, _), n)| name == &format!("{n:05}")));
    Outcome::Ran
}

pub async fn the_shapes_have_names_of_their_own(fixture: SoftFixture) -> Outcome {
    let soft = &*fixture.soft;
    soft.set("x", bytes("value"), LONG).await.unwrap();
    soft.add("x", 7, LONG).await.unwrap();
    soft.join("x", "m", bytes("member"), LONG).await.unwrap();
    assert_eq!(soft.get("x").await.unwrap(), Some(bytes("value")));
    assert_eq!(soft.add("x", 0, LONG).await.unwrap(), 7);
    assert_eq!(soft.members("x").await.unwrap().len(), 1);
    soft.remove("x").await.unwrap();
    assert_eq!(soft.add("x", 0, LONG).await.unwrap(), 7);
    Outcome::Ran
}

pub async fn odd_names_and_values_come_back(fixture: SoftFixture) -> Outcome {
    let soft = &*fixture.soft;
    let long = "k".repeat(512);
    let whole = Bytes::from((0..=255).cycle().take(64 * 1024).collect::<Vec<u8>>());
    for name in [" ", "a b", "é/ü", "{tag}", "*", "a\nb", "a:b", &long] {
        soft.set(name, whole.clone(), LONG).await.unwrap();
        assert_eq!(soft.get(name).await.unwrap(), Some(whole.clone()), "{name:?}");
        soft.join(name, name, Bytes::new(), LONG).await.unwrap();
        assert_eq!(soft.members(name).await.unwrap(), [(name.to_owned(), Bytes::new())], "{name:?}");
        assert_eq!(soft.add(name, 1, LONG).await.unwrap(), 1, "{name:?}");
    }
    Outcome::Ran
}

pub async fn what_breaks_the_limits_is_invalid(fixture: SoftFixture) -> Outcome {
    let soft = &*fixture.soft;
    let (long, large) = ("k".repeat(513), Bytes::from(vec![0; 64 * 1024 + 1]));
    for name in ["", &long] {
        assert_eq!(soft.set(name, bytes("x"), LONG).await.unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(soft.get(name).await.unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(soft.add(name, 1, LONG).await.unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(soft.join("s", name, bytes("x"), LONG).await.unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(soft.members(name).await.unwrap_err().kind(), ErrorKind::Invalid);
    }
    assert_eq!(soft.set("k", large.clone(), LONG).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(soft.join("s", "m", large, LONG).await.unwrap_err().kind(), ErrorKind::Invalid);
    for ttl in [Duration::ZERO, Duration::from_micros(999), Duration::from_secs(24 * 3600 + 1)] {
        assert_eq!(soft.set("k", bytes("x"), ttl).await.unwrap_err().kind(), ErrorKind::Invalid, "{ttl:?}");
        assert_eq!(soft.add("k", 1, ttl).await.unwrap_err().kind(), ErrorKind::Invalid, "{ttl:?}");
    }
    assert_eq!(soft.get("k").await.unwrap(), None);
    Outcome::Ran
}
