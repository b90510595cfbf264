//! Names, sizes and times.

use super::{LONG, SoftFixture, bytes, names};
use crate::Outcome;
use bytes::Bytes;
use meridian_ports::{ErrorKind, Result};
use std::{fmt::Debug, time::Duration};

pub async fn the_shapes_do_not_meet(fixture: SoftFixture) -> Outcome {
    let soft = &*fixture.soft;
    soft.set("n", bytes("value"), LONG).await.unwrap();
    assert_eq!(soft.add("n", 1, LONG).await.unwrap(), 1);
    soft.join("n", "m", bytes("member"), LONG).await.unwrap();
    assert_eq!(soft.get("n").await.unwrap(), Some(bytes("value")));
    soft.remove("n").await.unwrap();
    assert_eq!(soft.add("n", 1, LONG).await.unwrap(), 2);
    assert_eq!(names(soft, "n").await, ["m"]);
    Outcome::Ran
}

pub async fn odd_but_good_names_work(fixture: SoftFixture) -> Outcome {
    let soft = &*fixture.soft;
    let long = "k".repeat(512);
    let wide = "é".repeat(256);
    let odd = [
        "a", " ", "a b", "\0", "\r\n", "{", "}", "{}", "{a}", "}{", "a{b}c", "%7B", "*", "é", "日本", ":",
        "s:", &long, &wide,
    ];
    for name in odd {
        soft.set(name, bytes(name), LONG).await.unwrap();
        assert_eq!(soft.add(name, 1, LONG).await.unwrap(), 1, "{name:?}");
        soft.join(name, name, bytes(name), LONG).await.unwrap();
    }
    for name in odd {
        assert_eq!(soft.get(name).await.unwrap(), Some(bytes(name)), "{name:?}");
        assert_eq!(soft.add(name, 1, LONG).await.unwrap(), 2, "{name:?}");
        assert_eq!(soft.members(name).await.unwrap(), [(name.to_owned(), bytes(name))], "{name:?}");
    }
    Outcome::Ran
}

pub async fn bad_names_are_invalid_in_every_verb(fixture: SoftFixture) -> Outcome {
    let soft = &*fixture.soft;
    let long = "k".repeat(513);
    let wide = format!("{}k", "é".repeat(256));
    for bad in ["", long.as_str(), wide.as_str()] {
        assert_invalid("set", soft.set(bad, Bytes::new(), LONG).await);
        assert_invalid("set_if_absent", soft.set_if_absent(bad, Bytes::new(), LONG).await);
        assert_invalid("get", soft.get(bad).await);
        assert_invalid("remove", soft.remove(bad).await);
        assert_invalid("add", soft.add(bad, 1, LONG).await);
        assert_invalid("join", soft.join(bad, "m", Bytes::new(), LONG).await);
        assert_invalid("join", soft.join("s", bad, Bytes::new(), LONG).await);
        assert_invalid("leave", soft.leave(bad, "m").await);
        assert_invalid("leave", soft.leave("s", bad).await);
        assert_invalid("members", soft.members(bad).await);
    }
    Outcome::Ran
}

pub async fn values_are_at_most_64_kib(fixture: SoftFixture) -> Outcome {
    let soft = &*fixture.soft;
    let largest = Bytes::from(vec![b'v'; 64 * 1024]);
    let over = Bytes::from(vec![b'v'; 64 * 1024 + 1]);
    assert_invalid("set", soft.set("k", over.clone(), LONG).await);
    assert_invalid("set_if_absent", soft.set_if_absent("k", over.clone(), LONG).await);
    assert_invalid("join", soft.join("s", "m", over, LONG).await);
    assert_eq!(soft.get("k").await.unwrap(), None);
    assert_eq!(soft.members("s").await.unwrap(), []);
    assert!(soft.set_if_absent("k", largest.clone(), LONG).await.unwrap());
    soft.join("s", "m", largest.clone(), LONG).await.unwrap();
    assert_eq!(soft.get("k").await.unwrap(), Some(largest.clone()));
    assert_eq!(soft.members("s").await.unwrap(), [("m".to_owned(), largest)]);
    Outcome::Ran
}

pub async fn times_to_live_are_1_ms_to_24_h(fixture: SoftFixture) -> Outcome {
    let soft = &*fixture.soft;
    let day = Duration::from_secs(24 * 3600);
    for bad in [Duration::ZERO, Duration::from_micros(999), day + Duration::from_nanos(1), Duration::MAX] {
        assert_invalid("set", soft.set("k", Bytes::new(), bad).await);
        assert_invalid("set_if_absent", soft.set_if_absent("k", Bytes::new(), bad).await);
        assert_invalid("add", soft.add("c", 1, bad).await);
        assert_invalid("join", soft.join("s", "m", Bytes::new(), bad).await);
    }
    assert_eq!(soft.get("k").await.unwrap(), None);
    assert_eq!(soft.members("s").await.unwrap(), []);
    assert_eq!(soft.add("c", 1, day).await.unwrap(), 1);
    for good in [Duration::from_millis(1), Duration::from_nanos(1_000_001), day] {
        soft.set("k", Bytes::new(), good).await.unwrap();
        soft.join("s", "m", Bytes::new(), good).await.unwrap();
        soft.add("d", 1, good).await.unwrap();
    }
    assert_eq!(soft.get("k").await.unwrap(), Some(Bytes::new()));
    assert_eq!(names(soft, "s").await, ["m"]);
    Outcome::Ran
}

fn assert_invalid<T: Debug>(verb: &str, result: Result<T>) {
    let kind = result.as_ref().err().map(meridian_ports::Error::kind);
    assert_eq!(kind, Some(ErrorKind::Invalid), "{verb} gave {result:?}");
    assert!(result.is_err_and(|error| error.surely_not_done()), "{verb}");
}
