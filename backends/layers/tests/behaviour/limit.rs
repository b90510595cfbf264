use crate::script::{Next, Script};
use futures_util::{FutureExt, future};
use meridian_layers::{Layered, Limit, LimitConfig};
use meridian_ports::{Blobs, ErrorKind, Store};
use std::time::Duration;
use tokio::time::Instant;

fn config(calls: usize, waiting: usize) -> LimitConfig {
    let mut config = LimitConfig::default();
    (config.calls, config.waiting, config.wait) = (calls, waiting, Duration::from_secs(1));
    config
}

#[tokio::test(start_paused = true)]
async fn more_than_may_wait_are_busy_at_once() {
    let script = Script::new([Next::Hang; 2]);
    let store = Layered::new(script.store(), Limit::new(config(2, 1)));
    let calls = future::join(store.logs(None, 1), store.logs(None, 1));
    let mut calls = Box::pin(calls);
    assert!(calls.as_mut().now_or_never().is_none());
    let mut waits = store.logs(None, 1);
    assert!(waits.as_mut().now_or_never().is_none(), "one may wait");

    let started = Instant::now();
    let error = store.logs(None, 1).await.unwrap_err();
    assert_eq!((error.kind(), error.surely_not_done()), (ErrorKind::Busy, true));
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(script.calls().len(), 2, "only two reached the backend");

    // Places are given back by calls that are dropped too.
    drop(calls);
    waits.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_place_ends_in_time() {
    let script = Script::new([Next::Hang]);
    let store = Layered::new(script.store(), Limit::new(config(1, 10)));
    let mut hangs = store.logs(None, 1);
    assert!(hangs.as_mut().now_or_never().is_none());
    let started = Instant::now();
    assert_eq!(store.logs(None, 1).await.unwrap_err().kind(), ErrorKind::Busy);
    assert!((1000..1010).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_blob_that_is_read_keeps_its_place() {
    let script = Script::default();
    let blobs = Layered::new(script.blobs(), Limit::new(config(1, 0)));
    let content = blobs.get("key", None).await.unwrap().unwrap();
    assert_eq!(blobs.head("key").await.unwrap_err().kind(), ErrorKind::Busy);
    drop(content);
    blobs.head("key").await.unwrap();
}
