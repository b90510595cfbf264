//! Each verb of soft state goes to the backend once, under its own name. That its answer comes back is the kit's.

use crate::script::Script;
use bytes::Bytes;
use meridian_layers::{Layered, Limit, Metrics, Retry, Timeout};
use meridian_memory::MemorySoftState;
use meridian_ports::SoftState;
use std::{sync::Arc, time::Duration};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn verbs_reach_the_backend_once() {
    let script = Script::default();
    let soft: Arc<dyn SoftState> = Arc::new(MemorySoftState::new());
    let soft: Arc<dyn SoftState> = Arc::new(Layered::new(soft, script.clone()));
    let soft: Arc<dyn SoftState> = Arc::new(Layered::new(soft, Limit::default()));
    let soft: Arc<dyn SoftState> = Arc::new(Layered::new(soft, Timeout::default()));
    let soft: Arc<dyn SoftState> = Arc::new(Layered::new(soft, Retry::default()));
    let soft = Layered::new(soft, Metrics::new("memory"));
    soft.set("key", Bytes::new(), HOUR).await.unwrap();
    soft.set_if_absent("key", Bytes::new(), HOUR).await.unwrap();
    soft.get("key").await.unwrap();
    soft.remove("key").await.unwrap();
    soft.add("counter", 2, HOUR).await.unwrap();
    // What can never succeed is not tried again.
    soft.add("counter", i64::MAX, HOUR).await.unwrap_err();
    soft.join("set", "a", Bytes::new(), HOUR).await.unwrap();
    soft.leave("set", "a").await.unwrap();
    soft.members("set").await.unwrap();
    assert_eq!(script.calls().join(" "), "set set_if_absent get remove add add join leave members");
    assert_eq!(soft.describe(), MemorySoftState::new().describe());
}
