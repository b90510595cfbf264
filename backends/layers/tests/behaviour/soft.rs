//! Each verb of soft state goes to the backend once, and its answer comes back, through all layers.

use crate::script::Script;
use bytes::Bytes;
use meridian_layers::{Layered, Limit, Metrics, Retry, Timeout};
use meridian_memory::MemorySoftState;
use meridian_ports::{ErrorKind, SoftState};
use std::{sync::Arc, time::Duration};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn verbs_reach_the_backend() {
    let script = Script::default();
    let soft: Arc<dyn SoftState> = Arc::new(MemorySoftState::new());
    let soft: Arc<dyn SoftState> = Arc::new(Layered::new(soft, script.clone()));
    let soft: Arc<dyn SoftState> = Arc::new(Layered::new(soft, Limit::default()));
    let soft: Arc<dyn SoftState> = Arc::new(Layered::new(soft, Timeout::default()));
    let soft: Arc<dyn SoftState> = Arc::new(Layered::new(soft, Retry::default()));
    let soft = Layered::new(soft, Metrics::new("memory"));
    let value = Bytes::from_static(b"value");
    soft.set("key", value.clone(), HOUR).await.unwrap();
    assert!(!soft.set_if_absent("key", Bytes::new(), HOUR).await.unwrap());
    assert_eq!(soft.get("key").await.unwrap(), Some(value.clone()));
    soft.remove("key").await.unwrap();
    assert_eq!(soft.get("key").await.unwrap(), None);
    assert_eq!(soft.add("counter", 2, HOUR).await.unwrap(), 2);
    assert_eq!(soft.add("counter", i64::MAX, HOUR).await.unwrap_err().kind(), ErrorKind::Invalid);
    soft.join("set", "a", value.clone(), HOUR).await.unwrap();
    soft.join("set", "b", value.clone(), HOUR).await.unwrap();
    soft.leave("set", "a").await.unwrap();
    assert_eq!(soft.members("set").await.unwrap(), [("b".to_owned(), value)]);
    let expected = "set set_if_absent get remove get add add join join leave members";
    assert_eq!(script.calls().join(" "), expected);
    assert_eq!(soft.describe(), MemorySoftState::new().describe());
}
