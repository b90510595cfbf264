//! Who hears what, in which order.

use super::{BusFixture, hear, number, payload};
use crate::Outcome;
use bytes::Bytes;
use futures_util::FutureExt;
use meridian_ports::Heard;
use std::time::{Duration, Instant};

pub async fn a_bus_describes_itself(fixture: BusFixture) -> Outcome {
    assert!(!fixture.bus.describe().is_empty());
    Outcome::Ran
}

pub async fn every_subscription_of_a_topic_hears(fixture: BusFixture) -> Outcome {
    let mut subscriptions = Vec::new();
    for handle in [&fixture.bus, &fixture.bus, &fixture.peer] {
        subscriptions.push(handle.subscribe("t").await.unwrap());
    }
    for (n, handle) in [&fixture.bus, &fixture.peer].into_iter().enumerate() {
        handle.publish("t", number(n as u32)).await.unwrap();
        for subscription in &mut subscriptions {
            assert_eq!(payload(&mut **subscription).await, number(n as u32));
        }
    }
    Outcome::Ran
}

pub async fn topics_do_not_meet(fixture: BusFixture) -> Outcome {
    let mut one = fixture.bus.subscribe("t").await.unwrap();
    let mut other = fixture.bus.subscribe("t/x").await.unwrap();
    fixture.peer.publish("t/x", number(1)).await.unwrap();
    fixture.peer.publish("T", number(2)).await.unwrap();
    fixture.peer.publish("t", number(3)).await.unwrap();
    assert_eq!(payload(&mut *one).await, number(3));
    assert_eq!(payload(&mut *other).await, number(1));
    Outcome::Ran
}

pub async fn payloads_of_one_task_come_in_order(fixture: BusFixture) -> Outcome {
    let mut subscription = fixture.bus.subscribe("t").await.unwrap();
    for n in 0..500 {
        fixture.peer.publish("t", number(n)).await.unwrap();
    }
    for n in 0..500 {
        assert_eq!(payload(&mut *subscription).await, number(n));
    }
    Outcome::Ran
}

pub async fn what_was_published_before_does_not_come(fixture: BusFixture) -> Outcome {
    let mut early = fixture.bus.subscribe("t").await.unwrap();
    fixture.bus.publish("t", number(1)).await.unwrap();
    assert_eq!(payload(&mut *early).await, number(1));
    let mut late = fixture.bus.subscribe("t").await.unwrap();
    fixture.bus.publish("t", number(2)).await.unwrap();
    assert_eq!(payload(&mut *late).await, number(2));
    Outcome::Ran
}

pub async fn publishing_to_nobody_is_fine(fixture: BusFixture) -> Outcome {
    fixture.bus.publish("t", number(1)).await.unwrap();
    drop(fixture.bus.subscribe("t").await.unwrap());
    for _ in 0..3 {
        fixture.bus.publish("t", number(2)).await.unwrap();
    }
    Outcome::Ran
}

pub async fn a_dropped_subscription_leaves_others(fixture: BusFixture) -> Outcome {
    let mut stays = fixture.bus.subscribe("t").await.unwrap();
    let goes = fixture.bus.subscribe("t").await.unwrap();
    drop(goes);
    for n in 0..20 {
        fixture.peer.publish("t", number(n)).await.unwrap();
        assert_eq!(payload(&mut *stays).await, number(n));
    }
    Outcome::Ran
}

/// The last listener's leaving and the next one's coming do not race.
pub async fn a_topic_may_be_left_and_joined_again(fixture: BusFixture) -> Outcome {
    for n in 0..30 {
        let mut subscription = fixture.bus.subscribe("t").await.unwrap();
        fixture.peer.publish("t", number(n)).await.unwrap();
        assert_eq!(payload(&mut *subscription).await, number(n));
    }
    Outcome::Ran
}

pub async fn waiting_may_be_cancelled(fixture: BusFixture) -> Outcome {
    let mut subscription = fixture.bus.subscribe("t").await.unwrap();
    for n in 0..20 {
        assert!(subscription.next().now_or_never().is_none(), "nothing was published");
        fixture.peer.publish("t", number(n)).await.unwrap();
        // Some of these are dropped while the payload arrives.
        let mut heard = None;
        let start = Instant::now();
        while heard.is_none() {
            assert!(start.elapsed() < Duration::from_secs(20), "payload {n} was lost by a cancelled wait");
            heard = tokio::time::timeout(Duration::from_micros(50), subscription.next()).await.ok();
        }
        assert_eq!(heard, Some(Heard::Payload(number(n))));
    }
    Outcome::Ran
}

pub async fn a_slow_listener_hears_one_gap_and_holds_up_nobody(fixture: BusFixture) -> Outcome {
    const FLOOD: u32 = 5_000;
    let mut slow = fixture.bus.subscribe("t").await.unwrap();
    let mut quick = fixture.bus.subscribe("t").await.unwrap();
    for n in 0..FLOOD {
        fixture.peer.publish("t", number(n)).await.unwrap();
        assert_eq!(payload(&mut *quick).await, number(n), "the quick one loses nothing");
    }
    let mut gaps = 0;
    let mut last: Option<Bytes> = None;
    let mut next = 0;
    // A last payload shows the end; it can come only when some were taken out.
    let mut ended = false;
    let mut heard = 0;
    while !ended {
        match hear(&mut *slow).await {
            Heard::Gap => {
                gaps += 1;
                next = u32::MAX;
            }
            Heard::Payload(payload) => {
                let n = u32::from_be_bytes(payload[..].try_into().unwrap());
                assert!(
                    next == u32::MAX || n == next,
                    "{n} came where {next} was next, without a gap between"
                );
                assert!(last.is_none_or(|last| last < payload), "in order");
                next = n + 1;
                last = Some(payload);
                ended = n == FLOOD;
            }
        }
        heard += 1;
        if heard == 10 {
            fixture.peer.publish("t", number(FLOOD)).await.unwrap();
        }
    }
    assert_eq!(gaps, 1, "one loss, one gap");
    assert!(heard < FLOOD, "the queue has a bound");
    Outcome::Ran
}
