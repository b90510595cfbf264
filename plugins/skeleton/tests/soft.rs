//! Soft state, verb by verb. Your own engine shows the same, with expiry by its own clock.

use meridian_sdk::{Bytes, ErrorKind, ports::SoftState};
use meridian_skeleton::{SkeletonConfig, SkeletonSoftState};
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);

/// A runtime of the kit's: the skeleton itself needs none.
fn run(case: impl Future<Output = ()>) {
    meridian_sdk::conformance::block_on(case);
}

fn value(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[test]
fn values_counters_and_sets_have_spaces_of_their_own() {
    run(async {
        let soft = SkeletonSoftState::default();
        soft.set("x", value("1"), HOUR).await.unwrap();
        assert_eq!(soft.add("x", 5, HOUR).await.unwrap(), 5);
        soft.join("x", "b", value("2"), HOUR).await.unwrap();
        soft.join("x", "a", value("3"), HOUR).await.unwrap();
        assert_eq!(soft.get("x").await.unwrap(), Some(value("1")));
        let members = soft.members("x").await.unwrap();
        assert_eq!(members, [("a".to_owned(), value("3")), ("b".to_owned(), value("2"))]);
        soft.remove("x").await.unwrap();
        soft.leave("x", "a").await.unwrap();
        assert_eq!(soft.get("x").await.unwrap(), None);
        assert_eq!(soft.members("x").await.unwrap().len(), 1);
        assert_eq!(soft.add("x", -7, HOUR).await.unwrap(), -2);
    });
}

#[test]
fn the_first_of_many_writes_and_sums_are_kept_in_bounds() {
    run(async {
        let soft = SkeletonSoftState::default();
        assert!(soft.set_if_absent("x", value("1"), HOUR).await.unwrap());
        assert!(!soft.set_if_absent("x", value("2"), HOUR).await.unwrap());
        assert_eq!(soft.get("x").await.unwrap(), Some(value("1")));
        assert_eq!(soft.add("n", i64::MAX, HOUR).await.unwrap(), i64::MAX);
        assert_eq!(soft.add("n", 1, HOUR).await.unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(soft.add("n", -1, HOUR).await.unwrap(), i64::MAX - 1);
    });
}

#[test]
fn what_has_expired_is_as_if_it_had_never_been() {
    run(async {
        let soft = SkeletonSoftState::default();
        let ttl = Duration::from_millis(20);
        soft.set("x", value("1"), ttl).await.unwrap();
        soft.join("x", "a", value("1"), ttl).await.unwrap();
        soft.add("x", 1, ttl).await.unwrap();
        let begun = Instant::now();
        while soft.get("x").await.unwrap().is_some() || !soft.members("x").await.unwrap().is_empty() {
            assert!(begun.elapsed() < HOUR / 60, "nothing expires");
        }
        while soft.add("x", 1, HOUR).await.unwrap() != 1 {
            assert!(begun.elapsed() < HOUR / 60, "a counter never begins again");
        }
        assert!(soft.set_if_absent("x", value("2"), HOUR).await.unwrap());
    });
}

#[test]
fn limits_are_kept() {
    run(async {
        let mut config = SkeletonConfig::default();
        config.capacity = 10;
        let soft = SkeletonSoftState::new(config);
        soft.set("x", value("12345678"), HOUR).await.unwrap();
        assert_eq!(soft.set("y", value("123"), HOUR).await.unwrap_err().kind(), ErrorKind::Full);
        let long = "k".repeat(513);
        for key in ["", long.as_str()] {
            assert_eq!(soft.get(key).await.unwrap_err().kind(), ErrorKind::Invalid);
            assert_eq!(soft.join("s", key, value(""), HOUR).await.unwrap_err().kind(), ErrorKind::Invalid);
        }
        let large = Bytes::from(vec![0; 64 * 1024 + 1]);
        assert_eq!(soft.set("x", large, HOUR).await.unwrap_err().kind(), ErrorKind::Invalid);
        for ttl in [Duration::ZERO, 25 * HOUR] {
            assert_eq!(soft.set("x", value(""), ttl).await.unwrap_err().kind(), ErrorKind::Invalid);
        }
    });
}
