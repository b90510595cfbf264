//! A bus behind a plugin.

use super::{RemotePlugin, queue::Queue, unary, within};
use crate::proto::{
    PublishRequest, SubscribeRequest, SubscribeResponse, bus_client::BusClient,
    subscribe_response::Heard as Said,
};
use meridian_sdk::{
    Bytes, Error, ErrorKind, Result, async_trait,
    ports::{Bus, Heard, Subscription},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, task::JoinHandle};
use tonic::{Streaming, transport::Channel};

const PAYLOAD_LIMIT: usize = 1 << 20;
/// Payloads under way to the plugin at once.
const UNDER_WAY: usize = 256;
/// Waits before a lost subscription is asked for again: the first, and the longest.
const AGAIN: Duration = Duration::from_millis(100);
const AGAIN_AT_MOST: Duration = Duration::from_secs(2);

/// A bus that a plugin keeps.
#[derive(Clone, Debug)]
pub struct RemoteBus {
    plugin: RemotePlugin,
    client: BusClient<Channel>,
    under_way: Arc<Semaphore>,
}

impl RemoteBus {
    pub(super) fn new(plugin: RemotePlugin) -> Self {
        let client = BusClient::new(plugin.channel.clone());
        Self { plugin, client, under_way: Arc::new(Semaphore::new(UNDER_WAY)) }
    }

    fn patience(&self) -> Duration {
        self.plugin.config.call
    }

    /// Waits for the word `subscribed`, no longer than for any call.
    async fn listen(&self, topic: &str) -> Result<Streaming<SubscribeResponse>> {
        const VERB: &str = "subscribe";
        let mut client = self.client.clone();
        let opened = async {
            let mut heard =
                client.subscribe(SubscribeRequest { topic: topic.to_owned() }).await?.into_inner();
            let first = heard.message().await?;
            Ok((first, heard))
        };
        match within(VERB, false, self.patience(), opened).await? {
            (Some(SubscribeResponse { heard: Some(Said::Subscribed(_)) }), heard) => Ok(heard),
            _ => Err(Error::new(ErrorKind::Corrupt, VERB, "the plugin's first message is not `subscribed`")),
        }
    }

    /// Takes what is heard out of the connection, whether the listener is slow or not: on one connection a stream that
    /// nobody reads holds up every call. Never ends.
    async fn pump(self, topic: String, mut heard: Streaming<SubscribeResponse>, queue: Arc<Queue>) {
        loop {
            loop {
                match heard.message().await {
                    Ok(Some(SubscribeResponse { heard: Some(Said::Payload(payload)) })) => {
                        queue.payload(payload);
                    }
                    Ok(Some(SubscribeResponse { heard: Some(Said::Gap(_)) })) => queue.gap(),
                    // A word of a later version says nothing here.
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => break,
                }
            }
            let mut wait = AGAIN;
            heard = loop {
                tokio::time::sleep(wait).await;
                match self.listen(&topic).await {
                    Ok(heard) => break heard,
                    Err(_) => wait = (wait * 2).min(AGAIN_AT_MOST),
                }
            };
            // Told once it is whole again: before that there would be more to lose.
            queue.gap();
        }
    }
}

#[async_trait]
impl Bus for RemoteBus {
    fn describe(&self) -> String {
        self.plugin.described.clone()
    }

    async fn publish(&self, topic: &str, payload: Bytes) -> Result<()> {
        const VERB: &str = "publish";
        if payload.len() > PAYLOAD_LIMIT {
            return Err(Error::new(ErrorKind::Invalid, VERB, "a payload is at most 1 MiB long"));
        }
        let busy = |_| Error::new(ErrorKind::Busy, VERB, "too many payloads are under way");
        let _under_way = self.under_way.try_acquire().map_err(busy)?;
        let message = PublishRequest { topic: topic.to_owned(), payload };
        let mut client = self.client.clone();
        let answer =
            unary(
                VERB,
                true,
                self.patience(),
                message,
                |request| async move { client.publish(request).await },
            );
        answer.await?;
        Ok(())
    }

    async fn subscribe(&self, topic: &str) -> Result<Box<dyn Subscription>> {
        let heard = self.listen(topic).await.map_err(|error| match error.kind() {
            ErrorKind::Timeout => Error::new(ErrorKind::Unavailable, "subscribe", error.to_string()),
            _ => error,
        })?;
        let queue = Arc::new(Queue::default());
        let pump = tokio::spawn(self.clone().pump(topic.to_owned(), heard, queue.clone()));
        Ok(Box::new(Listener { queue, pump }))
    }
}

/// Ends its pump with itself.
#[derive(Debug)]
struct Listener {
    queue: Arc<Queue>,
    pump: JoinHandle<()>,
}

#[async_trait]
impl Subscription for Listener {
    async fn next(&mut self) -> Heard {
        self.queue.next().await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.pump.abort();
    }
}
