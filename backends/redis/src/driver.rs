//! The task that makes what the server knows equal to what the subscriptions want.

use crate::{
    config::Place,
    link::{Connection, DEADLINE, Pushes},
    registry::Registry,
};
use futures_util::{StreamExt, stream};
use redis::RedisResult;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};

/// Subscribing under way at once.
const AT_ONCE: usize = 64;
/// A connection that says nothing is asked after this long.
const QUIET: Duration = Duration::from_secs(2);
/// Below half of a caller's deadline, so that each caller is met by an attempt.
const LONGEST_BACK_OFF: Duration = Duration::from_millis(400);
const SHORTEST_BACK_OFF: Duration = Duration::from_millis(25);
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
        tokio::select! {
            () = registry.wanted.notified() => {}
            () = sleep(QUIET) => {
                if let Some((_, open)) = &mut connection
                    && within(open.query(&redis::cmd("PING"))).await.is_err()
                {
                    tracing::warn!("redis bus does not answer");
                    connection = None;
                    registry.next_connection();
                }
            }
        }
    }
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
            within(connection.subscribe(&channel)).await?;
            registry.subscribed(number, &channel);
            Ok(())
        }
    });
    // All are tried: one shard that is away does not keep the others.
    let joined: Vec<RedisResult<()>> = joins.buffer_unordered(AT_ONCE).collect().await;
    joined.into_iter().collect()
}

async fn within<T>(work: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    timeout(DEADLINE, work)
        .await
        .unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
}
