use crate::script::{Next, Script, content, first_step, log};
use meridian_layers::{Layered, Retry, RetryConfig};
use meridian_ports::{Blobs, ErrorKind, Store};
use meridian_types::Lsn;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

fn retried(script: &Script, config: RetryConfig) -> Layered<dyn Store, Retry> {
    Layered::new(script.store(), Retry::new(config))
}

#[tokio::test(start_paused = true)]
async fn a_read_is_repeated_whatever_its_outcome() {
    let script = Script::new([Next::Fail(ErrorKind::Busy), Next::MaybeDone(ErrorKind::Timeout)]);
    let store = retried(&script, RetryConfig::default());
    assert_eq!(store.logs(None, 1).await.unwrap(), []);
    assert_eq!(script.calls(), ["logs"; 3]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_succeed_later_is_not_repeated() {
    for kind in [ErrorKind::Invalid, ErrorKind::Corrupt, ErrorKind::Fenced, ErrorKind::Unsupported] {
        let script = Script::new([Next::Fail(kind)]);
        let store = retried(&script, RetryConfig::default());
        assert_eq!(store.logs(None, 1).await.unwrap_err().kind(), kind);
        assert_eq!(script.calls(), ["logs"]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_append_is_repeated_only_when_it_surely_did_not_happen() {
    let script = Script::default();
    let step = first_step(&*script.store()).await;

    let script = Script::new([Next::MaybeDone(ErrorKind::Timeout)]);
    let store = retried(&script, RetryConfig::default());
    let error = store.append(step).await.unwrap_err();
    assert!(!error.surely_not_done());
    assert_eq!(script.calls(), ["append"]);

    let step = first_step(&store).await;
    let again = Script::new([Next::Fail(ErrorKind::Unavailable), Next::Fail(ErrorKind::Busy)]);
    let twice = Layered::new(Arc::new(store) as Arc<dyn Store>, again.clone());
    let store = Layered::new(Arc::new(twice) as Arc<dyn Store>, Retry::default());
    store.append(step).await.unwrap();
    assert_eq!(again.calls(), ["append"; 3]);
    assert_eq!(store.operations(log(), Lsn(0), 10).await.unwrap().len(), 1, "done once");
}

#[tokio::test(start_paused = true)]
async fn an_upload_is_never_repeated() {
    let script = Script::new([Next::Fail(ErrorKind::Unavailable)]);
    let blobs = Layered::new(script.blobs(), Retry::default());
    assert_eq!(blobs.put("key", content(), 100).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(script.calls(), ["put"]);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_counted_and_waits_are_bounded() {
    let script = Script::new([Next::Fail(ErrorKind::Busy); 100]);
    let store = retried(&script, RetryConfig::default());
    let started = Instant::now();
    assert_eq!(store.logs(None, 1).await.unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(script.calls().len(), 4);
    // 50 + 100 + 200 ms at most, and timers are kept to the millisecond.
    assert!(started.elapsed() <= Duration::from_millis(353), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_total_time_is_bounded() {
    let script = Script::new([Next::Fail(ErrorKind::Busy); 100_000]);
    let mut config = RetryConfig::default();
    config.attempts = u32::MAX;
    config.longest_delay = Duration::from_millis(20);
    config.total = Duration::from_secs(1);
    let store = retried(&script, config);
    let started = Instant::now();
    store.logs(None, 1).await.unwrap_err();
    assert!(started.elapsed() <= Duration::from_secs(1), "{:?}", started.elapsed());
    assert!(script.calls().len() > 10, "{} attempts", script.calls().len());
}
