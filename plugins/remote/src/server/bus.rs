//! A bus, served. What waits for a slow node waits in the backend's subscription, which has a bound and tells of gaps.

use crate::{
    proto::{
        PublishRequest, PublishResponse, SubscribeRequest, SubscribeResponse, bus_server::Bus as Service,
        subscribe_response as said,
    },
    wire::to_status,
};
use meridian_sdk::{
    Error, ErrorKind, async_trait,
    futures_util::{StreamExt, stream, stream::BoxStream},
    ports::{Bus, Heard, Subscription},
};
use std::sync::Arc;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

#[derive(Debug)]
pub(super) struct Served {
    pub(super) bus: Arc<dyn Bus>,
    /// Closed when the server stops: subscriptions would keep it.
    pub(super) stopping: watch::Receiver<()>,
}

type Answer<T> = Result<Response<T>, Status>;

#[async_trait]
impl Service for Served {
    type SubscribeStream = BoxStream<'static, Result<SubscribeResponse, Status>>;

    async fn publish(&self, request: Request<PublishRequest>) -> Answer<PublishResponse> {
        let PublishRequest { topic, payload } = request.into_inner();
        self.bus.publish(&topic, payload).await.map_err(|error| to_status(&error))?;
        Ok(Response::new(PublishResponse {}))
    }

    async fn subscribe(&self, request: Request<SubscribeRequest>) -> Answer<Self::SubscribeStream> {
        let subscription = self.bus.subscribe(&request.get_ref().topic).await;
        let subscription = subscription.map_err(|error| to_status(&error))?;
        let first = message(said::Heard::Subscribed(said::Subscribed {}));
        let heard = stream::unfold(Some((subscription, self.stopping.clone())), next);
        Ok(Response::new(stream::iter([Ok(first)]).chain(heard).boxed()))
    }
}

type Listening = Option<(Box<dyn Subscription>, watch::Receiver<()>)>;

async fn next(listening: Listening) -> Option<(Result<SubscribeResponse, Status>, Listening)> {
    let (mut subscription, mut stopping) = listening?;
    tokio::select! {
        heard = subscription.next() => {
            let heard = match heard {
                Heard::Payload(payload) => said::Heard::Payload(payload),
                Heard::Gap => said::Heard::Gap(said::Gap {}),
            };
            Some((Ok(message(heard)), Some((subscription, stopping))))
        }
        // Nothing is ever sent: this ends with the sender.
        _ = stopping.changed() => {
            let error = Error::new(ErrorKind::Unavailable, "subscribe", "the plugin stops");
            Some((Err(to_status(&error)), None))
        }
    }
}

fn message(heard: said::Heard) -> SubscribeResponse {
    SubscribeResponse { heard: Some(heard) }
}
