//! Topics and sizes.

use super::{BusFixture, payload};
use crate::Outcome;
use bytes::Bytes;
use meridian_ports::{ErrorKind, Result};
use std::fmt::Debug;

pub async fn payloads_come_back_whole(fixture: BusFixture) -> Outcome {
    let mut subscription = fixture.bus.subscribe("t").await.unwrap();
    let binary: Vec<u8> = (0..=255).collect();
    for content in [Bytes::new(), Bytes::from(binary), Bytes::from(vec![7; 1 << 20])] {
        fixture.peer.publish("t", content.clone()).await.unwrap();
        assert!(payload(&mut *subscription).await == content, "{} bytes", content.len());
    }
    Outcome::Ran
}

pub async fn odd_but_good_topics_work(fixture: BusFixture) -> Outcome {
    let long = "k".repeat(512);
    let wide = "é".repeat(256);
    let odd = [
        "a", " ", "a b", "\0", "\r\n", "{", "}", "{}", "{a}", "}{", "*", "a*", "?", "[a]", "é", "日本",
        &long, &wide,
    ];
    let mut subscriptions = Vec::new();
    for topic in odd {
        subscriptions.push((topic, fixture.bus.subscribe(topic).await.unwrap()));
    }
    for topic in odd {
        fixture.peer.publish(topic, Bytes::copy_from_slice(topic.as_bytes())).await.unwrap();
    }
    for (topic, subscription) in &mut subscriptions {
        assert_eq!(payload(&mut **subscription).await, topic.as_bytes(), "{topic:?}");
    }
    Outcome::Ran
}

pub async fn bad_topics_and_payloads_are_invalid(fixture: BusFixture) -> Outcome {
    let long = "k".repeat(513);
    for bad in ["", long.as_str()] {
        assert_invalid("publish", fixture.bus.publish(bad, Bytes::new()).await);
        assert_invalid("subscribe", fixture.bus.subscribe(bad).await);
    }
    assert_invalid("publish", fixture.bus.publish("t", Bytes::from(vec![0; (1 << 20) + 1])).await);
    Outcome::Ran
}

fn assert_invalid<T: Debug>(verb: &str, result: Result<T>) {
    let kind = result.as_ref().err().map(meridian_ports::Error::kind);
    assert_eq!(kind, Some(ErrorKind::Invalid), "{verb} gave {result:?}");
}
