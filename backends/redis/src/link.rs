//! A connection that is made when needed and again after it broke, with a deadline over each command.

use crate::{
    config::Place,
    error::{away, failed, late},
};
use meridian_ports::Result;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, PushInfo, RedisError, RedisResult, ServerErrorKind, Value,
    aio::{AsyncPushSender, MultiplexedConnection},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
};
use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, timeout, timeout_at};

/// For a whole call.
pub(crate) const DEADLINE: Duration = Duration::from_secs(1);
/// For connecting: shorter, so that a failure is noted before the caller gives up.
const CONNECT: Duration = Duration::from_millis(800);
/// Calls within this time after a failed connect fail at once.
const COOL_DOWN: Duration = Duration::from_millis(200);

#[derive(Clone)]
pub(crate) enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    /// Connects within [`CONNECT`]. `pushes` gets what the server sends by itself, and the end of the connection.
    pub(crate) async fn open(place: &Place, pushes: Option<Pushes>) -> RedisResult<Self> {
        let connecting = async {
            match place {
                Place::Single(info) => {
                    let mut config = AsyncConnectionConfig::new()
                        .set_connection_timeout(Some(CONNECT))
                        .set_response_timeout(Some(DEADLINE));
                    if let Some(pushes) = pushes {
                        config = config.set_push_sender(pushes);
                    }
                    let client = Client::open((**info).clone())?;
                    Ok(Self::Single(client.get_multiplexed_async_connection_with_config(&config).await?))
                }
                Place::Cluster(nodes) => {
                    let mut builder = ClusterClient::builder(nodes.iter().cloned())
                        .use_protocol(redis::ProtocolVersion::RESP3)
                        .connection_timeout(CONNECT / 2)
                        .response_timeout(DEADLINE)
                        .retries(3);
                    if let Some(pushes) = pushes {
                        builder = builder.push_sender(pushes);
                    }
                    Ok(Self::Cluster(builder.build()?.get_async_connection().await?))
                }
            }
        };
        let late = |_| RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        timeout(CONNECT, Box::pin(connecting)).await.map_err(late)?
    }

    pub(crate) async fn query(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::Single(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        }
    }

    pub(crate) async fn subscribe(&mut self, channel: &str) -> RedisResult<()> {
        match self {
            Self::Single(connection) => connection.subscribe(channel).await,
            Self::Cluster(connection) => connection.ssubscribe(channel).await,
        }
    }

    pub(crate) async fn unsubscribe(&mut self, channel: &str) -> RedisResult<()> {
        match self {
            Self::Single(connection) => connection.unsubscribe(channel).await,
            Self::Cluster(connection) => connection.sunsubscribe(channel).await,
        }
    }
}

/// Takes what the server sends by itself. Must not block.
pub(crate) struct Pushes(pub(crate) Box<dyn Fn(PushInfo) + Send + Sync>);

impl AsyncPushSender for Pushes {
    fn send(&self, info: PushInfo) -> std::result::Result<(), redis::aio::SendError> {
        (self.0)(info);
        Ok(())
    }
}

/// A shared connection for commands.
pub(crate) struct Link {
    place: Place,
    state: Mutex<State>,
    /// Held while connecting: one at a time.
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    connection: Option<Connection>,
    /// Counts connections, so that a late failure of an old one does not end the new one.
    number: u64,
    failed_at: Option<Instant>,
    version: Option<String>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Link").field(&self.describe()).finish()
    }
}

impl Link {
    /// Tries to connect once; Redis may be away.
    pub(crate) async fn open(place: Place) -> Self {
        let link = Self { place, state: Mutex::default(), connecting: tokio::sync::Mutex::default() };
        // A failure shows in `describe`, and in the calls that meet it.
        let _ = link.connection("open").await;
        link
    }

    pub(crate) fn describe(&self) -> String {
        let state = self.state();
        let kind = if self.is_cluster() { "redis cluster" } else { "redis" };
        match (&state.connection, &state.version) {
            (None, _) => format!("{kind} (away)"),
            (Some(_), Some(version)) => format!("{kind} {version}"),
            (Some(_), None) => kind.to_owned(),
        }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.place, Place::Cluster(_))
    }

    /// Runs a command within [`DEADLINE`].
    pub(crate) async fn run(&self, verb: &'static str, command: &Cmd) -> Result<Value> {
        let deadline = Instant::now() + DEADLINE;
        let connecting = timeout_at(deadline, self.connection(verb)).await;
        let (number, mut connection) = connecting.map_err(|_| away(verb))??;
        match timeout_at(deadline, connection.query(command)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                if self.is_broken_by(&error) {
                    self.discard(number);
                }
                Err(failed(verb, &error))
            }
            Err(_) => {
                self.discard(number);
                Err(late(verb))
            }
        }
    }

    async fn connection(&self, verb: &'static str) -> Result<(u64, Connection)> {
        if let Some(found) = self.state().current() {
            return Ok(found);
        }
        let _one_at_a_time = self.connecting.lock().await;
        {
            let state = self.state();
            if let Some(found) = state.current() {
                return Ok(found);
            }
            if state.failed_at.is_some_and(|at| at.elapsed() < COOL_DOWN) {
                return Err(away(verb));
            }
        }
        match Connection::open(&self.place, None).await {
            Ok(mut connection) => {
                let version = timeout(CONNECT / 4, version_of(&mut connection)).await.ok().flatten();
                let mut state = self.state();
                state.number += 1;
                state.version = version.or(state.version.take());
                state.failed_at = None;
                state.connection = Some(connection.clone());
                Ok((state.number, connection))
            }
            Err(error) => {
                tracing::debug!(%error, "redis connect failed");
                self.state().failed_at = Some(Instant::now());
                Err(away(verb))
            }
        }
    }

    fn is_broken_by(&self, error: &RedisError) -> bool {
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::ResponseError) | ErrorKind::Extension => false,
            // A cluster may have moved on without this connection's having noticed.
            ErrorKind::Server(_) => self.is_cluster(),
            _ => true,
        }
    }

    fn discard(&self, number: u64) {
        let mut state = self.state();
        if state.number == number {
            state.connection = None;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn current(&self) -> Option<(u64, Connection)> {
        self.connection.clone().map(|connection| (self.number, connection))
    }
}

async fn version_of(connection: &mut Connection) -> Option<String> {
    fn find(value: &Value) -> Option<String> {
        match value {
            Value::BulkString(text) => line(&String::from_utf8_lossy(text)),
            Value::VerbatimString { text, .. } | Value::SimpleString(text) => line(text),
            Value::Array(values) => values.iter().find_map(find),
            Value::Map(pairs) => pairs.iter().find_map(|(_, value)| find(value)),
            _ => None,
        }
    }
    fn line(text: &str) -> Option<String> {
        Some(text.lines().find_map(|line| line.strip_prefix("redis_version:"))?.trim().to_owned())
    }
    find(&connection.query(redis::cmd("INFO").arg("server")).await.ok()?)
}
