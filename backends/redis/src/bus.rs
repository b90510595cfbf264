//! The bus: publishing over one connection, listening over another.

use crate::{
    config::RedisConfig,
    driver::drive,
    error::{away, invalid},
    link::{DEADLINE, Link},
    queue::Queue,
    registry::Registry,
};
use async_trait::async_trait;
use bytes::Bytes;
use meridian_ports::{Bus, Error, ErrorKind, Heard, Result, Subscription};
use std::sync::Arc;
use tokio::{sync::Semaphore, task::JoinHandle, time::timeout};

const TOPIC_LIMIT: usize = 512;
const PAYLOAD_LIMIT: usize = 1 << 20;
/// Payloads under way to Redis at once.
const UNDER_WAY: usize = 256;

/// A bus over Redis's pub/sub, sharded in a cluster.
#[derive(Debug)]
pub struct RedisBus {
    link: Link,
    prefix: String,
    under_way: Semaphore,
    registry: Arc<Registry>,
    driver: Arc<Driver>,
}

/// Ends the task with the bus and its last subscription.
#[derive(Debug)]
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl RedisBus {
    /// Fails with `Invalid` when the configuration is wrong, never because Redis is away.
    pub async fn open(config: RedisConfig) -> Result<Self> {
        let place = config.place()?;
        let registry = Arc::new(Registry::new());
        let driver = Arc::new(Driver(tokio::spawn(drive(place.clone(), registry.clone()))));
        let link = Link::open(place).await;
        Ok(Self { link, prefix: config.prefix, under_way: Semaphore::new(UNDER_WAY), registry, driver })
    }

    fn channel(&self, verb: &'static str, topic: &str) -> Result<String> {
        if topic.is_empty() || topic.len() > TOPIC_LIMIT {
            return Err(invalid(verb, "a topic is 1 to 512 bytes long"));
        }
        Ok(format!("{}t:{topic}", self.prefix))
    }
}

#[async_trait]
impl Bus for RedisBus {
    fn describe(&self) -> String {
        self.link.describe()
    }

    async fn publish(&self, topic: &str, payload: Bytes) -> Result<()> {
        let channel = self.channel("publish", topic)?;
        if payload.len() > PAYLOAD_LIMIT {
            return Err(invalid("publish", "a payload is at most 1 MiB long"));
        }
        let busy = |_| Error::new(ErrorKind::Busy, "publish", "too many payloads are under way");
        let _under_way = self.under_way.try_acquire().map_err(busy)?;
        let mut command = redis::cmd(if self.link.is_cluster() { "SPUBLISH" } else { "PUBLISH" });
        command.arg(channel).arg(&payload[..]);
        self.link.run("publish", &command).await.map(drop)
    }

    async fn subscribe(&self, topic: &str) -> Result<Box<dyn Subscription>> {
        let channel = self.channel("subscribe", topic)?;
        let mut done = self.registry.done.subscribe();
        let (id, queue) = self.registry.add(&channel);
        // Dropped on every way out of here: removes the listener again.
        let (registry, driver) = (self.registry.clone(), self.driver.clone());
        let listener = Listener { id, channel, queue, registry, _driver: driver };
        let subscribed = async {
            while !self.registry.is_subscribed(&listener.channel) {
                if done.changed().await.is_err() {
                    return std::future::pending().await;
                }
            }
        };
        timeout(DEADLINE, subscribed).await.map_err(|_| away("subscribe"))?;
        Ok(Box::new(listener))
    }
}

#[derive(Debug)]
struct Listener {
    id: u64,
    channel: String,
    queue: Arc<Queue>,
    registry: Arc<Registry>,
    _driver: Arc<Driver>,
}

#[async_trait]
impl Subscription for Listener {
    async fn next(&mut self) -> Heard {
        self.queue.next().await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.registry.remove(&self.channel, self.id);
    }
}
