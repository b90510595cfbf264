//! Leases of cores, by the database's clock.

use crate::{
    config::{DEADLINE, PgConfig},
    connect::Servers,
    error::{self, OpenError},
    numbers::{bits, from_bits},
    schema,
};
use async_trait::async_trait;
use meridian_ports::{Directory, Error, ErrorKind, Lease, NodeId, NodeInfo, Result};
use sqlx::{PgConnection, Row, postgres::PgRow};
use std::time::Duration;
use tokio::{sync::Mutex, time::timeout};

const ADDRESS_LIMIT: usize = 255;

/// A directory on PostgreSQL, in the same schema as a store, or alone.
#[derive(Debug)]
pub struct PgDirectory {
    servers: Servers,
    /// `None` after a failure.
    connection: Mutex<Option<PgConnection>>,
}

impl PgDirectory {
    /// Connects, and makes and migrates the schema as needed.
    pub async fn open(config: PgConfig) -> std::result::Result<Self, OpenError> {
        let servers = Servers::new(&config);
        let mut connection = servers.connect().await?;
        schema::migrate(&mut connection, &config).await?;
        Ok(Self { servers, connection: Mutex::new(Some(connection)) })
    }

    /// Uses the one connection, and makes it anew after a failure. Both verbs that change something may be repeated, so
    /// a lost answer is no harm.
    async fn with<T>(
        &self,
        verb: &'static str,
        work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> Result<T> {
        let mut slot = self.connection.lock().await;
        let working = async {
            let mut connection = match slot.take() {
                Some(connection) => connection,
                None => self.servers.connect().await?,
            };
            let done = work(&mut connection).await?;
            *slot = Some(connection);
            Ok(done)
        };
        match timeout(DEADLINE, working).await {
            Ok(done) => done.map_err(|error| error::failed(verb, error)),
            Err(_) => Err(Error::new(ErrorKind::Timeout, verb, "no answer in time")),
        }
    }
}

#[async_trait]
impl Directory for PgDirectory {
    fn describe(&self) -> String {
        "postgres".into()
    }

    async fn announce(&self, node: &NodeInfo, ttl: Duration) -> Result<Vec<Lease>> {
        if node.address.is_empty() || node.address.len() > ADDRESS_LIMIT {
            return Err(Error::new(ErrorKind::Invalid, "announce", "an address is 1 to 255 bytes long"));
        }
        let announce = self.with("announce", async |connection: &mut PgConnection| {
            let rows = sqlx::query("SELECT id, slot, address, writes FROM announce($1, $2, $3, $4)")
                .bind(bits(node.id.0))
                .bind(&node.address)
                .bind(node.writes)
                .bind(i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX))
                .fetch_all(connection)
                .await?;
            leases(&rows)
        });
        let leases = announce.await?;
        match leases.iter().any(|lease| lease.node.id == node.id) {
            true => Ok(leases),
            false => Err(Error::new(ErrorKind::Full, "announce", "every slot is taken")),
        }
    }

    async fn withdraw(&self, node: NodeId) -> Result<()> {
        self.with("withdraw", async |connection: &mut PgConnection| {
            sqlx::query("DELETE FROM node WHERE id = $1")
                .bind(bits(node.0))
                .execute(connection)
                .await
                .map(drop)
        })
        .await
    }

    async fn nodes(&self) -> Result<Vec<Lease>> {
        self.with("nodes", async |connection: &mut PgConnection| living(connection).await).await
    }
}

async fn living(connection: &mut PgConnection) -> sqlx::Result<Vec<Lease>> {
    let rows = sqlx::query("SELECT id, slot, address, writes FROM node WHERE ends_at > clock_timestamp()")
        .fetch_all(connection)
        .await?;
    leases(&rows)
}

fn leases(rows: &[PgRow]) -> sqlx::Result<Vec<Lease>> {
    let lease = |row: &PgRow| -> sqlx::Result<Lease> {
        let node = NodeInfo {
            id: NodeId(from_bits(row.try_get("id")?)),
            address: row.try_get("address")?,
            writes: row.try_get("writes")?,
        };
        let slot = u8::try_from(row.try_get::<i16, _>("slot")?).unwrap_or_default();
        Ok(Lease { node, slot })
    };
    let mut leases = rows.iter().map(lease).collect::<sqlx::Result<Vec<_>>>()?;
    // Ids are unsigned here.
    leases.sort_by_key(|lease| lease.node.id);
    Ok(leases)
}
