//! Values.

use super::{LONG, SHORT, SoftFixture, bytes, outlive, until};
use crate::Outcome;
use bytes::Bytes;
use futures_util::future;
use std::time::Instant;

pub async fn it_describes_itself(fixture: SoftFixture) -> Outcome {
    assert!(!fixture.soft.describe().is_empty());
    Outcome::Ran
}

pub async fn a_value_comes_back_whole_everywhere(fixture: SoftFixture) -> Outcome {
    let binary: Vec<u8> = (0..=255).collect();
    for content in [Bytes::new(), Bytes::from(binary), bytes("12"), Bytes::from(vec![b'v'; 64 * 1024])] {
        fixture.soft.set("k", content.clone(), LONG).await.unwrap();
        assert_eq!(fixture.soft.get("k").await.unwrap(), Some(content.clone()));
        assert_eq!(fixture.peer.get("k").await.unwrap(), Some(content), "as another core sees it");
    }
    assert_eq!(fixture.soft.get("never set").await.unwrap(), None);
    Outcome::Ran
}

pub async fn setting_again_replaces_value_and_end(fixture: SoftFixture) -> Outcome {
    let soft = &*fixture.soft;
    soft.set("longer", bytes("old"), SHORT).await.unwrap();
    soft.set("longer", bytes("new"), LONG).await.unwrap();
    soft.set("shorter", bytes("old"), LONG).await.unwrap();
    soft.set("shorter", bytes("new"), SHORT).await.unwrap();
    assert_eq!(soft.get("shorter").await.unwrap(), Some(bytes("new")));
    outlive(soft, SHORT * 2).await;
    assert_eq!(soft.get("longer").await.unwrap(), Some(bytes("new")));
    assert_eq!(soft.get("shorter").await.unwrap(), None);
    Outcome::Ran
}

pub async fn a_value_lives_its_time_and_no_longer(fixture: SoftFixture) -> Outcome {
    let soft = &*fixture.soft;
    let asked = Instant::now();
    soft.set("k", bytes("v"), SHORT).await.unwrap();
    until("a value expires", || async { soft.get("k").await.unwrap().is_none() }).await;
    assert!(asked.elapsed() >= SHORT, "gone after {:?} of {SHORT:?}", asked.elapsed());
    Outcome::Ran
}

pub async fn set_if_absent_leaves_what_is_there(fixture: SoftFixture) -> Outcome {
    let soft = &*fixture.soft;
    assert!(soft.set_if_absent("k", bytes("first"), SHORT).await.unwrap());
    assert!(!fixture.peer.set_if_absent("k", bytes("second"), LONG).await.unwrap());
    assert_eq!(soft.get("k").await.unwrap(), Some(bytes("first")));
    outlive(soft, SHORT * 2).await;
    assert_eq!(soft.get("k").await.unwrap(), None, "the second call moved the end of the first");
    Outcome::Ran
}

pub async fn of_many_that_set_if_absent_one_wins(fixture: SoftFixture) -> Outcome {
    let callers = (0..16).map(|n: u8| {
        let handle = if n.is_multiple_of(2) { &fixture.soft } else { &fixture.peer };
        async move { (n, handle.set_if_absent("k", Bytes::from(vec![n]), LONG).await.unwrap()) }
    });
    let winners: Vec<_> = future::join_all(callers).await.into_iter().filter(|(_, won)| *won).collect();
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert_eq!(fixture.soft.get("k").await.unwrap(), Some(Bytes::from(vec![winners[0].0])));
    Outcome::Ran
}

pub async fn what_expired_is_absent(fixture: SoftFixture) -> Outcome {
    let soft = &*fixture.soft;
    soft.set("k", bytes("old"), SHORT).await.unwrap();
    until("the way is free", || async { soft.set_if_absent("k", bytes("new"), LONG).await.unwrap() }).await;
    assert_eq!(soft.get("k").await.unwrap(), Some(bytes("new")));
    Outcome::Ran
}

pub async fn removing_may_be_repeated(fixture: SoftFixture) -> Outcome {
    let soft = &*fixture.soft;
    soft.set("k", bytes("v"), LONG).await.unwrap();
    soft.set("other", bytes("v"), LONG).await.unwrap();
    for _ in 0..2 {
        soft.remove("k").await.unwrap();
        assert_eq!(soft.get("k").await.unwrap(), None);
    }
    assert!(soft.set_if_absent("k", bytes("again"), LONG).await.unwrap());
    assert_eq!(soft.get("other").await.unwrap(), Some(bytes("v")));
    Outcome::Ran
}
