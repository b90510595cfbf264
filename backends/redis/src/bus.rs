//! A bus on Redis: one connection for all subscriptions, kept by a task, and one for publishing.

use crate::{
    config::{DEADLINE, RedisConfig},
    error::{OpenError, failed, too_slow},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use meridian_ports::{Bus, Error, ErrorKind, Heard, Result, Subscription};
use redis::{
    Client, Msg, RedisResult,
    aio::{ConnectionManager, ConnectionManagerConfig, PubSubSink, PubSubStream},
};
use std::{collections::HashMap, fmt, sync::Arc, time::Duration};
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    task::AbortHandle,
    time::timeout,
};

const TOPIC_LIMIT: usize = 512;
const PAYLOAD_LIMIT: usize = 1 << 20;
/// Payloads that wait for a slow listener; it hears of a gap when there are more.
const WAITING: usize = 1024;
/// Subscriptions that may wait to be made.
const ORDERS: usize = 1024;
/// A connection that is silent is asked whether it is still there.
const PING_PAUSE: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

type Listening = broadcast::Receiver<Heard>;

struct Order {
    topic: String,
    reply: oneshot::Sender<Result<Listening>>,
}

/// A bus on one Redis server.
pub struct RedisBus {
    publisher: ConnectionManager,
    prefix: Arc<str>,
    orders: mpsc::Sender<Order>,
    /// The task ends with the bus.
    keeper: AbortHandle,
}

impl fmt::Debug for RedisBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBus").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Drop for RedisBus {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl RedisBus {
    /// Connects in the background; a server that is away is no error.
    pub async fn open(config: RedisConfig) -> std::result::Result<Self, OpenError> {
        let settings = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(DEADLINE))
            .set_response_timeout(Some(DEADLINE))
            .set_min_delay(FIRST_PAUSE)
            .set_max_delay(LONGEST_PAUSE);
        let publisher = ConnectionManager::new_lazy_with_config(config.client.clone(), settings)?;
        let prefix: Arc<str> = format!("{}t/", config.prefix).into();
        let (orders, ordered) = mpsc::channel(ORDERS);
        let keeper =
            Keeper { client: config.client, prefix: prefix.clone(), ordered, topics: HashMap::new() };
        let keeper = tokio::spawn(keeper.run()).abort_handle();
        Ok(Self { publisher, prefix, orders, keeper })
    }
}

fn check(verb: &'static str, topic: &str) -> Result<()> {
    if topic.is_empty() || topic.len() > TOPIC_LIMIT {
        return Err(Error::new(ErrorKind::Invalid, verb, "a topic is 1 to 512 bytes long"));
    }
    Ok(())
}

fn away(verb: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, verb, "the bus is away")
}

#[async_trait]
impl Bus for RedisBus {
    fn describe(&self) -> String {
        "redis".into()
    }

    async fn publish(&self, topic: &str, payload: Bytes) -> Result<()> {
        check("publish", topic)?;
        if payload.len() > PAYLOAD_LIMIT {
            return Err(Error::new(ErrorKind::Invalid, "publish", "a payload is at most 1 MiB long"));
        }
        let mut command = redis::cmd("PUBLISH");
        command.arg(format!("{}{topic}", self.prefix)).arg(&payload[..]);
        let mut connection = self.publisher.clone();
        match timeout(DEADLINE, command.query_async::<()>(&mut connection)).await {
            Ok(published) => published.map_err(|error| failed("publish", error)),
            Err(_) => Err(too_slow("publish")),
        }
    }

    async fn subscribe(&self, topic: &str) -> Result<Box<dyn Subscription>> {
        check("subscribe", topic)?;
        let (reply, made) = oneshot::channel();
        let order = Order { topic: topic.to_owned(), reply };
        self.orders.try_send(order).map_err(|_| away("subscribe"))?;
        match timeout(2 * DEADLINE, made).await {
            Ok(Ok(made)) => Ok(Box::new(Listener(made?))),
            Ok(Err(_)) | Err(_) => Err(away("subscribe")),
        }
    }
}

#[derive(Debug)]
struct Listener(Listening);

#[async_trait]
impl Subscription for Listener {
    async fn next(&mut self) -> Heard {
        match self.0.recv().await {
            Ok(heard) => heard,
            Err(broadcast::error::RecvError::Lagged(_)) => Heard::Gap,
            // The bus was dropped; nothing will ever come.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Keeps the listening connection.
struct Keeper {
    client: Client,
    prefix: Arc<str>,
    ordered: mpsc::Receiver<Order>,
    topics: HashMap<String, broadcast::Sender<Heard>>,
}

impl Keeper {
    async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            if let Ok((sink, stream)) = self.connect().await {
                pause = FIRST_PAUSE;
                self.listen(sink, stream).await;
                tracing::warn!("the bus is away");
            }
            if self.ordered.is_closed() {
                return;
            }
            // Who asks meanwhile is told at once.
            let waited = tokio::time::sleep(pause);
            tokio::pin!(waited);
            loop {
                tokio::select! {
                    () = &mut waited => break,
                    Some(order) = self.ordered.recv() => drop(order.reply.send(Err(away("subscribe")))),
                }
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Connects and subscribes again to what is listened to. Every listener hears of the gap.
    async fn connect(&mut self) -> RedisResult<(PubSubSink, PubSubStream)> {
        let connecting = timeout(DEADLINE, self.client.get_async_pubsub()).await;
        let (mut sink, stream) = connecting.map_err(|_| closed())??.split();
        self.topics.retain(|_, listeners| listeners.receiver_count() > 0);
        for topic in self.topics.keys() {
            let name = format!("{}{topic}", self.prefix);
            timeout(DEADLINE, sink.subscribe(name)).await.map_err(|_| closed())??;
        }
        for listeners in self.topics.values() {
            let _ = listeners.send(Heard::Gap);
        }
        Ok((sink, stream))
    }

    /// Until the connection breaks.
    async fn listen(&mut self, mut sink: PubSubSink, mut stream: PubSubStream) {
        let mut ping = tokio::time::interval(PING_PAUSE);
        loop {
            tokio::select! {
                message = stream.next() => match message {
                    Some(message) => self.tell(&message),
                    None => return,
                },
                Some(order) = self.ordered.recv() => {
                    if !self.serve(&mut sink, order).await {
                        return;
                    }
                }
                _ = ping.tick() => {
                    if !matches!(timeout(DEADLINE, sink.ping::<redis::Value>()).await, Ok(Ok(_))) {
                        return;
                    }
                    self.forget_unheard(&mut sink).await;
                }
            }
        }
    }

    fn tell(&self, message: &Msg) {
        let topic = message.get_channel_name().strip_prefix(&*self.prefix);
        if let Some(listeners) = topic.and_then(|topic| self.topics.get(topic)) {
            // Nobody may be listening any more.
            let _ = listeners.send(Heard::Payload(Bytes::copy_from_slice(message.get_payload_bytes())));
        }
    }

    /// False when the connection is broken.
    async fn serve(&mut self, sink: &mut PubSubSink, order: Order) -> bool {
        let known = self.topics.contains_key(&order.topic);
        if !known {
            let name = format!("{}{}", self.prefix, order.topic);
            if !matches!(timeout(DEADLINE, sink.subscribe(name)).await, Ok(Ok(()))) {
                let _ = order.reply.send(Err(away("subscribe")));
                return false;
            }
        }
        let listeners = self.topics.entry(order.topic).or_insert_with(|| broadcast::channel(WAITING).0);
        let _ = order.reply.send(Ok(listeners.subscribe()));
        true
    }

    async fn forget_unheard(&mut self, sink: &mut PubSubSink) {
        let unheard = self.topics.iter().filter(|(_, listeners)| listeners.receiver_count() == 0);
        let unheard: Vec<String> = unheard.map(|(topic, _)| topic.clone()).collect();
        for topic in unheard {
            let name = format!("{}{topic}", self.prefix);
            if matches!(timeout(DEADLINE, sink.unsubscribe(name)).await, Ok(Ok(()))) {
                self.topics.remove(&topic);
            }
        }
    }
}

fn closed() -> redis::RedisError {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time").into()
}
