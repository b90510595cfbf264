//! Sets.

use super::{LONG, SHORT, SoftFixture, bytes, names, outlive, until};
use crate::Outcome;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use std::time::Instant;

pub async fn members_come_in_order_with_values(fixture: SoftFixture) -> Outcome {
    let soft = &*fixture.soft;
    for name in ["b", "é", "a", "B", "ab", "a b"] {
        soft.join("s", name, bytes(&format!("value of {name}")), LONG).await.unwrap();
    }
    fixture.peer.join("s", "c", Bytes::new(), LONG).await.unwrap();
    let expected = ["B", "a", "a b", "ab", "b", "c", "é"];
    let found = soft.members("s").await.unwrap();
    assert_eq!(found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), expected);
    for (name, value) in &found {
        let expected = if name == "c" { Bytes::new() } else { bytes(&format!("value of {name}")) };
        assert_eq!(*value, expected, "{name}");
    }
    assert_eq!(fixture.peer.members("s").await.unwrap(), found, "as another core sees it");
    Outcome::Ran
}

pub async fn an_unknown_set_is_empty(fixture: SoftFixture) -> Outcome {
    let soft = &*fixture.soft;
    assert_eq!(soft.members("s").await.unwrap(), []);
    soft.join("s", "m", Bytes::new(), LONG).await.unwrap();
    soft.leave("s", "m").await.unwrap();
    assert_eq!(soft.members("s").await.unwrap(), []);
    Outcome::Ran
}

pub async fn each_member_has_its_own_end(fixture: SoftFixture) -> Outcome {
    let soft = &*fixture.soft;
    let asked = Instant::now();
    soft.join("s", "short", bytes("1"), SHORT).await.unwrap();
    soft.join("s", "long", bytes("2"), LONG).await.unwrap();
    assert_eq!(names(soft, "s").await, ["long", "short"]);
    until("a member expires", || async { names(soft, "s").await == ["long"] }).await;
    assert!(asked.elapsed() >= SHORT, "gone after {:?} of {SHORT:?}", asked.elapsed());
    soft.join("brief", "m", bytes("1"), SHORT).await.unwrap();
    outlive(soft, SHORT * 2).await;
    assert_eq!(soft.members("brief").await.unwrap(), [], "a set whose members are all gone");
    assert_eq!(soft.members("s").await.unwrap(), [("long".to_owned(), bytes("2"))]);
    Outcome::Ran
}

pub async fn joining_again_renews(fixture: SoftFixture) -> Outcome {
    let soft = &*fixture.soft;
    soft.join("s", "m", bytes("old"), SHORT).await.unwrap();
    soft.join("s", "m", bytes("new"), LONG).await.unwrap();
    outlive(soft, SHORT * 2).await;
    assert_eq!(soft.members("s").await.unwrap(), [("m".to_owned(), bytes("new"))]);
    Outcome::Ran
}

pub async fn joining_again_may_shorten(fixture: SoftFixture) -> Outcome {
    let soft = &*fixture.soft;
    soft.join("s", "m", bytes("old"), LONG).await.unwrap();
    soft.join("s", "stays", bytes("v"), LONG).await.unwrap();
    soft.join("s", "m", bytes("new"), SHORT).await.unwrap();
    outlive(soft, SHORT * 2).await;
    assert_eq!(names(soft, "s").await, ["stays"]);
    Outcome::Ran
}

pub async fn leaving_may_be_repeated(fixture: SoftFixture) -> Outcome {
    let soft = &*fixture.soft;
    soft.join("s", "m", Bytes::new(), LONG).await.unwrap();
    soft.join("s", "stays", Bytes::new(), LONG).await.unwrap();
    soft.join("other", "m", Bytes::new(), LONG).await.unwrap();
    for _ in 0..2 {
        soft.leave("s", "m").await.unwrap();
        assert_eq!(names(soft, "s").await, ["stays"]);
    }
    soft.leave("never was", "m").await.unwrap();
    assert_eq!(names(soft, "other").await, ["m"]);
    soft.join("s", "m", Bytes::new(), LONG).await.unwrap();
    assert_eq!(names(soft, "s").await, ["m", "stays"]);
    Outcome::Ran
}

pub async fn a_full_set_comes_back_whole(fixture: SoftFixture) -> Outcome {
    let soft = &*fixture.soft;
    let expected: Vec<_> = (0..10_000).map(|n| (format!("{n:05}"), bytes(&n.to_string()))).collect();
    let joins = stream::iter(&expected).map(|(name, value)| soft.join("s", name, value.clone(), LONG));
    joins.buffer_unordered(100).for_each(|joined| async { joined.unwrap() }).await;
    assert!(soft.members("s").await.unwrap() == expected, "10,000 members and values");
    Outcome::Ran
}
