//! The task that makes what the server knows equal to what the subscriptions want.

use crate::{
    config::Place,
    link::{Connection, DEADLINE, Pushes},
    registry::{Registry, anchor_of},
};
use futures_util::{StreamExt, stream};
use redis::RedisResult;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};

/// Subscribing under way at once.
const AT_ONCE: usize = 64;
/// A connection on which nothing changes is asked after this long.
const QUIET: Duration = Duration::from_secs(2);
/// Below half of a caller's deadline, so that each caller is met by an attempt.
const LONGEST_BACK_OFF: Duration = Duration::from_millis(400);
const SHORTEST_BACK_OFF: Duration = Duration::from_millis(25);
/// How often a probe is looked for.
const PROBE_STEP: Duration = Duration::from_millis(5);
/// Failures in a row of a cluster's connection, which finds a new master by itself, before a new one is made.
const PATIENCE: u32 = 3;

/// Runs until it is aborted.
pub(crate) async fn drive(place: Place, registry: Arc<Registry>) {
    let mut connection: Option<(u64, Connection)> = None;
    let mut failures = 0;
    loop {
        connection = connection.filter(|(number, _)| registry.is_current(*number));
        if registry.is_empty() {
            // Nobody is there to miss a connection that breaks now.
            tokio::select! {
                () = registry.wanted.notified() => {}
                () = sleep(QUIET) => {}
            }
            if registry.is_empty() {
                continue;
            }
        }
        let worked = match &mut connection {
            Some((number, connection)) => settle(*number, connection, &registry).await,
            None => match connect(&place, &registry).await {
                Ok(made) => {
                    connection = Some(made);
                    continue;
                }
                Err(error) => {
                    tracing::debug!(%error, "redis connect failed");
                    Err(error)
                }
            },
        };
        if let Err(error) = worked {
            failures += 1;
            let patient = matches!(connection, Some((_, Connection::Cluster(_)))) && failures % PATIENCE != 0;
            if !patient && connection.take().is_some() {
                tracing::warn!(%error, "redis bus lost");
                registry.next_connection();
            }
            sleep((SHORTEST_BACK_OFF * 2_u32.pow(failures.min(5))).min(LONGEST_BACK_OFF)).await;
            continue;
        }
        failures = 0;
        if let Some((_, open)) = &mut connection
            && probe(open, &registry).await.is_err()
        {
            tracing::warn!("redis bus does not answer");
            connection = None;
            registry.next_connection();
            sleep(SHORTEST_BACK_OFF).await;
            continue;
        }
        tokio::select! {
            () = registry.wanted.notified() => {}
            () = sleep(QUIET) => {}
        }
    }
}

/// Whether what is published comes back. A cluster's connection may subscribe on a connection to a node that it then drops
/// without a word, so the way is tried, not only the connection.
async fn probe(connection: &mut Connection, registry: &Registry) -> RedisResult<()> {
    if !matches!(connection, Connection::Cluster(_)) {
        return within(connection.query(&redis::cmd("PING"))).await.map(drop);
    }
    let (probe, anchors) = registry.new_probe();
    let said = stream::iter(anchors).map(|anchor| {
        let mut connection = connection.clone();
        async move {
            let mut command = redis::cmd("SPUBLISH");
            command.arg(anchor).arg(probe);
            within(connection.query(&command)).await.map(drop)
        }
    });
    let said: Vec<RedisResult<()>> = said.buffer_unordered(AT_ONCE).collect().await;
    said.into_iter().collect::<RedisResult<()>>()?;
    let heard = async {
        while !registry.is_heard(probe) {
            sleep(PROBE_STEP).await;
        }
        Ok(())
    };
    within(heard).await
}

async fn connect(place: &Place, registry: &Arc<Registry>) -> RedisResult<(u64, Connection)> {
    let number = registry.next_connection();
    let listening = registry.clone();
    let pushes = Pushes(Box::new(move |push| listening.take(number, push)));
    Ok((number, Connection::open(place, Some(pushes)).await?))
}

/// Leaves and joins channels until the server knows all that is wanted.
async fn settle(number: u64, connection: &Connection, registry: &Registry) -> RedisResult<()> {
    for channel in registry.take_deserted() {
        within(connection.clone().unsubscribe(&channel)).await?;
    }
    let joins = stream::iter(registry.missing()).map(|channel| {
        let mut connection = connection.clone();
        async move {
            let anchor = anchor_of(&channel).filter(|_| matches!(connection, Connection::Cluster(_)));
            if let Some(anchor) = anchor.filter(|anchor| !registry.has_anchor(anchor)) {
                within(connection.subscribe(&anchor)).await?;
                registry.anchored(number, anchor);
            }
            within(connection.subscribe(&channel)).await?;
            Ok(channel)
        }
    });
    // All are tried: one shard that is away does not keep the others.
    let joined: Vec<RedisResult<String>> = joins.buffer_unordered(AT_ONCE).collect().await;
    let is_cluster = matches!(connection, Connection::Cluster(_));
    if is_cluster && joined.iter().any(Result::is_ok) {
        probe(&mut connection.clone(), registry).await?;
    }
    let mut failed = Ok(());
    for channel in joined {
        match channel {
            Ok(channel) => registry.subscribed(number, &channel),
            Err(error) => failed = Err(error),
        }
    }
    failed
}

async fn within<T>(work: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    timeout(DEADLINE, work)
        .await
        .unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
}
