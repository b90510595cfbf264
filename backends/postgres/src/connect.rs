//! Finds the server that takes writes, and follows it.

use crate::config::PgConfig;
use sqlx::{
    ConnectOptions, Connection, PgConnection,
    postgres::{PgConnectOptions, PgPool, PgPoolOptions},
};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use tokio::time::timeout;

const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// A wait for a reading connection that began before a failover keeps trying the dead server until it ends.
const ACQUIRE_DEADLINE: Duration = Duration::from_secs(3);

/// The servers, and the pool of reading connections to the one in use.
#[derive(Debug)]
pub(crate) struct Servers {
    options: Vec<PgConnectOptions>,
    current: AtomicUsize,
    pub(crate) pool: PgPool,
}

impl Servers {
    pub(crate) fn new(config: &PgConfig) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(config.connections)
            .acquire_timeout(ACQUIRE_DEADLINE)
            // A server that was demoted would give old answers.
            .after_connect(|connection, _| Box::pin(async move { check_writes(connection).await }))
            .connect_lazy_with(config.servers[0].clone());
        Self { options: config.servers.clone(), current: AtomicUsize::new(0), pool }
    }

    /// A connection to the server that takes writes; the pool follows to it.
    pub(crate) async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let first = self.current.load(Ordering::Relaxed);
        let mut failure = None;
        for offset in 0..self.options.len() {
            let index = (first + offset) % self.options.len();
            match connect(&self.options[index]).await {
                Ok(connection) => {
                    if self.current.swap(index, Ordering::Relaxed) != index {
                        let server = &self.options[index];
                        tracing::warn!(
                            host = server.get_host(),
                            port = server.get_port(),
                            "writes go elsewhere"
                        );
                        self.pool.set_connect_options(server.clone());
                    }
                    return Ok(connection);
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or(sqlx::Error::PoolClosed))
    }

    /// Looks for the server that takes writes, after a read has failed.
    pub(crate) async fn look_around(&self) {
        if self.options.len() > 1
            && let Ok(connection) = self.connect().await
        {
            // It was only to see.
            let _ = connection.close().await;
        }
    }
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let connecting = async {
        let mut connection = options.connect().await?;
        check_writes(&mut connection).await?;
        Ok(connection)
    };
    timeout(CONNECT_DEADLINE, connecting).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

async fn check_writes(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let read_only: String =
        sqlx::query_scalar("SELECT current_setting('transaction_read_only')").fetch_one(connection).await?;
    if read_only == "on" {
        let refused =
            std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "the server takes no writes");
        return Err(sqlx::Error::Io(refused));
    }
    Ok(())
}
