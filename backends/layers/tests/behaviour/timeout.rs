use crate::script::{Next, Script, content, first_step};
use futures_util::{StreamExt, stream};
use meridian_layers::{Layered, Timeout, TimeoutConfig};
use meridian_ports::{Blobs, ErrorKind, Store};
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_read_ends_in_time() {
    let script = Script::new([Next::Hang]);
    let store = Layered::new(script.store(), Timeout::default());
    let started = Instant::now();
    let error = store.logs(None, 1).await.unwrap_err();
    assert_eq!((error.kind(), error.verb(), error.surely_not_done()), (ErrorKind::Timeout, "logs", true));
    assert!(started.elapsed() < Duration::from_secs(6));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_cut_off_has_an_open_outcome() {
    let step = first_step(&*Script::default().store()).await;
    let store = Layered::new(Script::new([Next::Hang]).store(), Timeout::default());
    let error = store.append(step).await.unwrap_err();
    assert_eq!((error.kind(), error.surely_not_done()), (ErrorKind::Timeout, false));
}

#[tokio::test(start_paused = true)]
async fn an_upload_has_its_own_time_and_surely_did_not_happen() {
    let mut config = TimeoutConfig::default();
    config.upload = Duration::from_secs(60);
    let blobs = Layered::new(Script::default().blobs(), Timeout::new(config));
    let started = Instant::now();
    let stalled = content().chain(stream::pending()).boxed();
    let error = blobs.put("key", stalled, 100).await.unwrap_err();
    assert_eq!((error.kind(), error.surely_not_done()), (ErrorKind::Timeout, true));
    assert!((60..61).contains(&started.elapsed().as_secs()));
}

#[tokio::test(start_paused = true)]
async fn a_stalled_download_ends_with_an_error() {
    let blobs = Layered::new(Script::default().blobs(), Timeout::default());
    let mut content = blobs.get("key", None).await.unwrap().unwrap();
    assert_eq!(content.next().await.unwrap().unwrap(), "first");
    // The reader's own time does not count.
    tokio::time::advance(Duration::from_secs(100)).await;
    let error = content.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(content.next().await.is_none(), "an error ends the stream");
}
