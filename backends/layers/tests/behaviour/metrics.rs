use crate::script::{Next, Script};
use futures_util::FutureExt;
use meridian_layers::{Layered, Metrics};
use meridian_ports::{ErrorKind, Store};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use std::collections::BTreeMap;

#[test]
fn calls_are_counted_by_their_result_and_timed() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let script = Script::new([Next::Fail(ErrorKind::Busy), Next::Hang]);
            let store = Layered::new(script.store(), Metrics::new("memory"));
            store.logs(None, 1).await.unwrap_err();
            assert!(store.logs(None, 1).now_or_never().is_none());
            store.logs(None, 1).await.unwrap();
            store.logs(None, 1).await.unwrap();
        });
    });
    let mut counts = BTreeMap::new();
    let mut timed = 0;
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let labels: BTreeMap<_, _> = key.key().labels().map(|label| (label.key(), label.value())).collect();
        assert_eq!((labels["backend"], labels["contract"], labels["verb"]), ("memory", "store", "logs"));
        match value {
            DebugValue::Counter(count) => {
                assert_eq!(key.key().name(), "backend_calls_total");
                counts.insert(labels["result"].to_owned(), count);
            }
            DebugValue::Histogram(samples) => {
                assert_eq!(key.key().name(), "backend_call_seconds");
                timed = samples.len();
            }
            DebugValue::Gauge(_) => panic!("no gauge is kept"),
        }
    }
    let expected = [("busy", 1), ("dropped", 1), ("ok", 2)].map(|(result, count)| (result.to_owned(), count));
    assert_eq!(counts, BTreeMap::from(expected));
    assert_eq!(timed, 4);
}
