//! Cases over [`Bus`]. Adopt them with [`bus_suite!`](crate::bus_suite).

use crate::Outcome;
use bytes::Bytes;
use meridian_ports::{Bus, ErrorKind, Heard, Subscription};
use std::{any::Any, fmt, sync::Arc, time::Duration};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// A fresh bus, for one case.
pub struct BusFixture {
    pub bus: Arc<dyn Bus>,
    _guard: Option<Box<dyn Any + Send + Sync>>,
}

impl BusFixture {
    pub fn new(bus: impl Bus) -> Self {
        Self { bus: Arc::new(bus), _guard: None }
    }

    /// Keeps something alive until the case ends.
    #[must_use]
    pub fn with_guard(self, guard: impl Any + Send + Sync) -> Self {
        Self { _guard: Some(Box::new(guard)), ..self }
    }
}

impl fmt::Debug for BusFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusFixture").field("bus", &self.bus).finish_non_exhaustive()
    }
}

/// One test per case. `$factory` is a future of a fresh [`BusFixture`], evaluated once per case.
#[macro_export]
macro_rules! bus_suite {
    ($factory:expr $(, skip: [$($skip:ident),* $(,)?])?) => {
        $crate::__suite!(
            bus_suite, $factory, [$($($skip),*)?],
            $crate::bus::a_subscription_hears_what_comes_after_it => a_subscription_hears_what_comes_after_it,
            $crate::bus::every_subscription_hears_in_order => every_subscription_hears_in_order,
            $crate::bus::topics_do_not_mix => topics_do_not_mix,
            $crate::bus::nobody_needs_to_listen => nobody_needs_to_listen,
            $crate::bus::a_slow_listener_hears_of_the_gap_and_holds_up_nobody
                => a_slow_listener_hears_of_the_gap_and_holds_up_nobody,
            $crate::bus::waiting_may_be_given_up_without_loss => waiting_may_be_given_up_without_loss,
            $crate::bus::a_dropped_subscription_may_be_made_again => a_dropped_subscription_may_be_made_again,
            $crate::bus::odd_topics_and_payloads_come_through => odd_topics_and_payloads_come_through,
            $crate::bus::what_breaks_the_limits_is_invalid => what_breaks_the_limits_is_invalid,
        );
    };
}

async fn hear(subscription: &mut Box<dyn Subscription>) -> Heard {
    timeout(PATIENCE, subscription.next()).await.expect("something is heard")
}

fn payload(n: usize) -> Bytes {
    Bytes::from(n.to_string())
}

pub async fn a_subscription_hears_what_comes_after_it(fixture: BusFixture) -> Outcome {
    let bus = &*fixture.bus;
    bus.publish("t", payload(0)).await.unwrap();
    let mut listener = bus.subscribe("t").await.unwrap();
    bus.publish("t", payload(1)).await.unwrap();
    assert_eq!(hear(&mut listener).await, Heard::Payload(payload(1)));
    Outcome::Ran
}

pub async fn every_subscription_hears_in_order(fixture: BusFixture) -> Outcome {
    let bus = &*fixture.bus;
    let mut listeners = Vec::new();
    for _ in 0..3 {
        listeners.push(bus.subscribe("t").await.unwrap());
    }
    for n in 0..200 {
        bus.publish("t", payload(n)).await.unwrap();
    }
    for listener in &mut listeners {
        for n in 0..200 {
            assert_eq!(hear(listener).await, Heard::Payload(payload(n)));
        }
    }
    Outcome::Ran
}

pub async fn topics_do_not_mix(fixture: BusFixture) -> Outcome {
    let bus = &*fixture.bus;
    let (mut a, mut b) = (bus.subscribe("a").await.unwrap(), bus.subscribe("ab").await.unwrap());
    bus.publish("ab", payload(1)).await.unwrap();
    bus.publish("a", payload(2)).await.unwrap();
    assert_eq!(hear(&mut a).await, Heard::Payload(payload(2)));
    assert_eq!(hear(&mut b).await, Heard::Payload(payload(1)));
    Outcome::Ran
}

pub async fn nobody_needs_to_listen(fixture: BusFixture) -> Outcome {
    for n in 0..100 {
        fixture.bus.publish("nobody", payload(n)).await.unwrap();
    }
    Outcome::Ran
}

pub async fn a_slow_listener_hears_of_the_gap_and_holds_up_nobody(fixture: BusFixture) -> Outcome {
    const MANY: usize = 20_000;
    let bus = &*fixture.bus;
    let mut slow = bus.subscribe("t").await.unwrap();
    for n in 0..MANY {
        // A bus may refuse when too much waits: that is a loss that the publisher knows of.
        if let Err(error) = bus.publish("t", payload(n)).await {
            assert_eq!(error.kind(), ErrorKind::Busy);
        }
    }
    // The last one may be among the lost: something after it shows where the listener stands.
    let end = Bytes::from_static(b"end");
    let mut last = None;
    let mut gaps = 0;
    loop {
        let heard = match timeout(Duration::from_millis(300), slow.next()).await {
            Ok(heard) => heard,
            Err(_) => {
                bus.publish("t", end.clone()).await.unwrap();
                hear(&mut slow).await
            }
        };
        match heard {
            Heard::Gap => gaps += 1,
            Heard::Payload(heard) if heard == end => break,
            Heard::Payload(heard) => {
                let n: usize = std::str::from_utf8(&heard).unwrap().parse().unwrap();
                assert!(
                    last.is_none_or(|last| n == last + 1 || (n > last && gaps > 0)),
                    "{n} after {last:?}"
                );
                last = Some(n);
            }
        }
    }
    assert!(gaps > 0 || last == Some(MANY - 1), "lost after {last:?} without a word");
    Outcome::Ran
}

pub async fn waiting_may_be_given_up_without_loss(fixture: BusFixture) -> Outcome {
    let bus = &*fixture.bus;
    let mut listener = bus.subscribe("t").await.unwrap();
    for n in 0..50 {
        assert!(timeout(Duration::from_micros(200), listener.next()).await.is_err());
        bus.publish("t", payload(n)).await.unwrap();
        assert_eq!(hear(&mut listener).await, Heard::Payload(payload(n)));
    }
    Outcome::Ran
}

pub async fn a_dropped_subscription_may_be_made_again(fixture: BusFixture) -> Outcome {
    let bus = &*fixture.bus;
    for n in 0..20 {
        let mut listener = bus.subscribe("t").await.unwrap();
        bus.publish("t", payload(n)).await.unwrap();
        assert_eq!(hear(&mut listener).await, Heard::Payload(payload(n)));
    }
    Outcome::Ran
}

pub async fn odd_topics_and_payloads_come_through(fixture: BusFixture) -> Outcome {
    let bus = &*fixture.bus;
    let long = "t".repeat(512);
    for topic in [" ", "a b", "é/ü", "{tag}", "*", "a?[b]", "a\nb", &long] {
        let mut listener = bus.subscribe(topic).await.unwrap();
        let large = Bytes::from((0..=255).cycle().take(1 << 20).collect::<Vec<u8>>());
        for payload in [Bytes::new(), large] {
            bus.publish(topic, payload.clone()).await.unwrap();
            assert!(hear(&mut listener).await == Heard::Payload(payload), "{topic:?}");
        }
    }
    Outcome::Ran
}

pub async fn what_breaks_the_limits_is_invalid(fixture: BusFixture) -> Outcome {
    let bus = &*fixture.bus;
    let long = "t".repeat(513);
    for topic in ["", &long] {
        assert_eq!(bus.publish(topic, payload(1)).await.unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(bus.subscribe(topic).await.unwrap_err().kind(), ErrorKind::Invalid);
    }
    let large = Bytes::from(vec![0; (1 << 20) + 1]);
    assert_eq!(bus.publish("t", large).await.unwrap_err().kind(), ErrorKind::Invalid);
    Outcome::Ran
}
