//! Bad days: a plugin that is away, comes back, hangs, or is another one than was hoped for.
#![allow(clippy::unwrap_used)] // tests

use meridian_memory::{MemoryBus, MemoryDirectory, MemorySoftState};
use meridian_remote::{PluginServer, RemoteConfig, RemotePlugin, open_blobs, open_soft_state};
use meridian_sdk::{
    Bytes, Error, ErrorKind, Result, async_trait,
    futures_util::{StreamExt, stream},
    ports::{
        BackendUrl, BlobMeta, BlobStream, Blobs, Bus, Directory, Heard, NodeId, NodeInfo, OpenRequest, Reach,
        SoftState, Subscription,
    },
};
use std::{net::SocketAddr, ops::Range, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle, time::Instant};

const HOUR: Duration = Duration::from_secs(3600);

/// A server that ends when told to.
struct Running {
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Running {
    fn start(server: PluginServer, listener: TcpListener) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            server.serve(listener, stopped).await.unwrap();
        });
        Self { stop, served }
    }

    async fn end(self) {
        drop(self.stop);
        self.served.await.unwrap();
    }
}

async fn listen(address: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn short() -> RemoteConfig {
    let mut config = RemoteConfig::default();
    config.call = Duration::from_millis(300);
    config
}

fn memory() -> PluginServer {
    PluginServer::new("memory", "1").soft_state(Arc::new(MemorySoftState::new()))
}

#[tokio::test]
async fn a_plugin_that_comes_back_is_used_again() {
    let (listener, address) = listen("127.0.0.1:0").await;
    let running = Running::start(memory(), listener);
    let plugin = RemotePlugin::connect(&format!("http://{address}"), RemoteConfig::default()).await.unwrap();
    let soft = plugin.soft_state().unwrap();
    assert_eq!(soft.describe(), "remote memory 1");
    soft.set("key", Bytes::from_static(b"value"), HOUR).await.unwrap();
    assert_eq!(soft.get("key").await.unwrap().unwrap(), "value");

    running.end().await;
    // A call may meet the end of the connection; from the second on there is none.
    let _ = soft.set("key", Bytes::new(), HOUR).await;
    let error = soft.set("key", Bytes::new(), HOUR).await.unwrap_err();
    assert_eq!((error.kind(), error.surely_not_done()), (ErrorKind::Unavailable, true), "{error:?}");
    assert_eq!(soft.get("key").await.unwrap_err().kind(), ErrorKind::Unavailable);

    let (listener, _) = listen(&address.to_string()).await;
    let running = Running::start(memory(), listener);
    let began = Instant::now();
    while let Err(error) = soft.get("key").await {
        assert!(error.is_retryable(), "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(20), "{error:?}");
    }
    assert_eq!(soft.get("key").await.unwrap(), None, "it is another run of the plugin");
    drop((soft, plugin));
    running.end().await;
}

/// The next thing that a subscription hears, which must come.
async fn hear(subscription: &mut dyn Subscription) -> Heard {
    tokio::time::timeout(Duration::from_secs(20), subscription.next()).await.unwrap()
}

#[tokio::test]
async fn a_subscription_outlives_its_plugin_and_tells_of_the_gap() {
    let (listener, address) = listen("127.0.0.1:0").await;
    let bus = Arc::new(MemoryBus::new());
    let server = || PluginServer::new("memory", "1").bus(bus.clone());
    let running = Running::start(server(), listener);
    let plugin = RemotePlugin::connect(&format!("http://{address}"), short()).await.unwrap();
    let remote = plugin.bus().unwrap();
    let mut subscription = remote.subscribe("topic").await.unwrap();
    bus.publish("topic", Bytes::from_static(b"before")).await.unwrap();
    assert_eq!(hear(&mut *subscription).await, Heard::Payload("before".into()));

    // An open subscription does not hold up the stop.
    tokio::time::timeout(Duration::from_secs(20), running.end()).await.unwrap();
    bus.publish("topic", Bytes::from_static(b"lost")).await.unwrap();
    let error = remote.subscribe("topic").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");

    let (listener, _) = listen(&address.to_string()).await;
    let running = Running::start(server(), listener);
    assert_eq!(hear(&mut *subscription).await, Heard::Gap);
    bus.publish("topic", Bytes::from_static(b"after")).await.unwrap();
    assert_eq!(hear(&mut *subscription).await, Heard::Payload("after".into()));
    drop((subscription, remote, plugin));
    running.end().await;
}

#[tokio::test]
async fn a_lease_without_an_end_is_refused() {
    let (listener, address) = listen("127.0.0.1:0").await;
    let server = PluginServer::new("memory", "1").directory(Arc::new(MemoryDirectory::new()));
    let _running = Running::start(server, listener);
    let plugin = RemotePlugin::connect(&format!("http://{address}"), RemoteConfig::default()).await.unwrap();
    let directory = plugin.directory().unwrap();
    let node = NodeInfo { id: NodeId(1), address: "here:1".into(), writes: true };
    for ttl in [Duration::MAX, 25 * HOUR, Duration::ZERO] {
        let error = directory.announce(&node, ttl).await.unwrap_err();
        assert_eq!((error.kind(), error.surely_not_done()), (ErrorKind::Invalid, true), "{ttl:?}");
    }
    assert_eq!(directory.announce(&node, 24 * HOUR).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_plugin_that_is_away_is_a_clear_error() {
    let (listener, address) = listen("127.0.0.1:0").await;
    drop(listener);
    let error = RemotePlugin::connect(&format!("http://{address}"), short()).await.unwrap_err();
    assert_eq!((error.kind(), error.verb()), (ErrorKind::Unavailable, "connect"));
    let expected = format!(
        "connect: Unavailable: no plugin answers at http://{address}: Connection refused (os error 111)"
    );
    assert_eq!(error.to_string(), expected);
    let error = RemotePlugin::connect("not an address", short()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_node_opens_a_plugin_by_its_url() {
    let (listener, address) = listen("127.0.0.1:0").await;
    let _running = Running::start(memory(), listener);
    let request = |url: String| OpenRequest::new(BackendUrl::parse(&url).unwrap(), "");
    let opened = open_soft_state(request(format!("grpc://{address}"))).await.unwrap();
    assert_eq!((opened.backend.describe().as_str(), opened.reach), ("remote memory 1", Reach::Machine));
    let refused = open_blobs(request(format!("grpc://{address}"))).await.err().unwrap();
    assert!(refused.to_string().contains("not \"blobs\""), "{refused}");
    let (host, port) = (address.ip(), address.port());
    for odd in [
        format!("grpc://{address}?x=1"),
        format!("grpc://me:hunter2@{address}"),
        format!("grpc://{address}/folder"),
        format!("grpc://{host}"),
        format!("grpc:{host}:{port}"),
        format!("grpc://:{port}"),
    ] {
        let refused = open_soft_state(request(odd.clone())).await.err().unwrap().to_string();
        assert!(refused.starts_with("a plugin's URL is grpc://host:port"), "{odd}: {refused}");
    }
}

#[tokio::test]
async fn something_that_never_answers_is_a_timeout() {
    // Takes connections, and says nothing on them.
    let (_listener, address) = listen("127.0.0.1:0").await;
    let error = RemotePlugin::connect(&format!("http://{address}"), short()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains(&format!("no plugin answers at http://{address}: ")), "{error}");
}

#[tokio::test]
async fn a_contract_that_is_not_served_is_refused_at_once() {
    let (listener, address) = listen("127.0.0.1:0").await;
    let _running = Running::start(memory(), listener);
    let plugin = RemotePlugin::connect(&format!("http://{address}"), RemoteConfig::default()).await.unwrap();
    let error = plugin.blobs().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("remote memory 1 serves [\"soft\"], not \"blobs\""), "{error}");
}

#[tokio::test]
async fn a_hanging_plugin_ends_in_time_and_leaves_writes_open() {
    let (listener, address) = listen("127.0.0.1:0").await;
    let _running = Running::start(PluginServer::new("odd", "1").blobs(Arc::new(OddBlobs)), listener);
    let plugin = RemotePlugin::connect(&format!("http://{address}"), short()).await.unwrap();
    let blobs = plugin.blobs().unwrap();

    let began = Instant::now();
    let error = blobs.head("hang").await.unwrap_err();
    assert_eq!((error.kind(), error.surely_not_done()), (ErrorKind::Timeout, true));
    let error = blobs.delete("hang").await.unwrap_err();
    assert_eq!((error.kind(), error.surely_not_done()), (ErrorKind::Timeout, false));
    // It takes the content and never says that it is stored.
    let content = stream::iter([Ok(Bytes::from_static(b"content"))]).boxed();
    let error = blobs.put("hang", content, 100).await.unwrap_err();
    assert_eq!((error.kind(), error.surely_not_done()), (ErrorKind::Timeout, false));
    // It does not take the content: what it has not seen whole it cannot have stored.
    let endless = stream::repeat_with(|| Ok(Bytes::from(vec![0; 1 << 20]))).boxed();
    let error = blobs.put("ignore", endless, u64::MAX).await.unwrap_err();
    assert_eq!((error.kind(), error.surely_not_done()), (ErrorKind::Timeout, true));
    // It gives one piece and no more.
    let mut content = blobs.get("stall", None).await.unwrap().unwrap();
    assert_eq!(content.next().await.unwrap().unwrap(), "first");
    assert_eq!(content.next().await.unwrap().unwrap_err().kind(), ErrorKind::Timeout);
    assert!(content.next().await.is_none());
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test]
async fn errors_come_through_as_they_were() {
    let (listener, address) = listen("127.0.0.1:0").await;
    let _running = Running::start(PluginServer::new("odd", "1").blobs(Arc::new(OddBlobs)), listener);
    let plugin = RemotePlugin::connect(&format!("http://{address}"), RemoteConfig::default()).await.unwrap();
    let blobs = plugin.blobs().unwrap();
    let error = blobs.delete("fail").await.unwrap_err();
    assert_eq!((error.kind(), error.verb(), error.surely_not_done()), (ErrorKind::Full, "delete", false));
    let mut content = blobs.get("fail", None).await.unwrap().unwrap();
    assert_eq!(content.next().await.unwrap().unwrap(), "first");
    assert_eq!(content.next().await.unwrap().unwrap_err().kind(), ErrorKind::Corrupt);
    let error = blobs.signed_url("key", HOUR).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

/// Blobs that misbehave by the key.
#[derive(Debug)]
struct OddBlobs;

#[async_trait]
impl Blobs for OddBlobs {
    fn describe(&self) -> String {
        "odd".to_owned()
    }

    async fn put(&self, key: &str, mut content: BlobStream, _: u64) -> Result<BlobMeta> {
        while key != "ignore" && content.next().await.is_some() {}
        std::future::pending().await
    }

    async fn head(&self, _: &str) -> Result<Option<BlobMeta>> {
        std::future::pending().await
    }

    async fn get(&self, key: &str, _: Option<Range<u64>>) -> Result<Option<BlobStream>> {
        let first = stream::iter([Ok(Bytes::from_static(b"first"))]);
        Ok(Some(match key {
            "fail" => {
                let error = Error::new(ErrorKind::Corrupt, "get", "a checksum is wrong");
                first.chain(stream::iter([Err(error)])).boxed()
            }
            _ => first.chain(stream::pending()).boxed(),
        }))
    }

    async fn delete(&self, key: &str) -> Result<()> {
        match key {
            "fail" => Err(Error::new(ErrorKind::Full, "delete", "no space for a tombstone").maybe_done()),
            _ => std::future::pending().await,
        }
    }
}
