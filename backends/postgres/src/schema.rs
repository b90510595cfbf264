//! Brings a schema to the newest version. A migration is never changed once released; it may only add what the programs
//! before it do not mind (expand), and removes what no program uses any more in a later release (contract).

use crate::{config::PgConfig, error::OpenError};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

const MIGRATIONS: &[&str] =
    &[include_str!("../migrations/0001_logs.sql"), include_str!("../migrations/0002_announce.sql")];

/// One core at a time: "meridian" as a number.
const LOCK: i64 = 0x6d65_7269_6469;

pub(crate) async fn migrate(connection: &mut PgConnection, config: &PgConfig) -> Result<(), OpenError> {
    let known = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await?;
    // The name was checked when the URL was read.
    let schema = format!("CREATE SCHEMA IF NOT EXISTS \"{}\"", config.schema);
    sqlx::raw_sql(AssertSqlSafe(schema)).execute(&mut *transaction).await?;
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS meridian_schema (version int PRIMARY KEY)")
        .execute(&mut *transaction)
        .await?;
    let row = sqlx::query("SELECT coalesce(max(version), 0) AS version FROM meridian_schema")
        .fetch_one(&mut *transaction)
        .await?;
    let found: i32 = row.try_get("version")?;
    if found > known {
        return Err(OpenError::TooNew { schema: config.schema.clone(), found, known });
    }
    for (version, migration) in (1..).zip(MIGRATIONS).skip(usize::try_from(found).unwrap_or_default()) {
        sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
        sqlx::query("INSERT INTO meridian_schema (version) VALUES ($1)")
            .bind(version)
            .execute(&mut *transaction)
            .await?;
        tracing::info!(version, schema = config.schema, "postgres schema migrated");
    }
    transaction.commit().await?;
    Ok(())
}
