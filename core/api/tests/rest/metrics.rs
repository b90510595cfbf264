use crate::server::{Server, whole};
use http::Request;
use metrics::{
    Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use std::sync::{Arc, Mutex};

/// Notes every metric that is touched, as `name{label=value,…}`.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

struct Noted(Notes, String);

impl Noted {
    fn note(&self) {
        self.0.0.lock().unwrap().push(self.1.clone());
    }
}

impl CounterFn for Noted {
    fn increment(&self, _value: u64) {
        self.note();
    }

    fn absolute(&self, _value: u64) {
        self.note();
    }
}

impl HistogramFn for Noted {
    fn record(&self, _value: f64) {
        self.note();
    }
}

impl Notes {
    fn named(&self, key: &Key) -> Arc<Noted> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        Arc::new(Noted(self.clone(), format!("{}{{{}}}", key.name(), labels.join(","))))
    }
}

impl Recorder for Notes {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.named(key))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.named(key))
    }
}

/// Labels are templates, never paths: a path would let callers make metrics without bound.
#[test]
fn every_request_is_counted_by_its_template() {
    let notes = Notes::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&notes, || {
        runtime.block_on(async {
            let server = Server::start().await;
            server.get("/users/nobody").await;
            server.raw(Request::get("/some/where/else").body(whole("")).unwrap()).await;
        });
    });
    let notes = notes.0.lock().unwrap();
    for expected in [
        "api_requests_total{route=/{org}/{app}/users/{username},status=404}",
        "api_request_seconds{route=/{org}/{app}/users/{username}}",
        "api_requests_total{route=(none),status=404}",
    ] {
        assert!(notes.iter().any(|note| note == expected), "{expected} is not in {notes:?}");
    }
}
