//! Brings a database to the newest schema. A migration is never changed once released; the file's `user_version` is the
//! number of those it has.

use crate::{config::SqliteConfig, error::OpenError};
use sqlx::{Executor, SqliteConnection, sqlite::SqlitePool};

const MIGRATIONS: &[&str] = &[include_str!("../migrations/0001_logs.sql")];

pub(crate) async fn migrate(
    connection: &mut SqliteConnection,
    config: &SqliteConfig,
) -> Result<(), OpenError> {
    let path = || config.path.clone();
    let found =
        version(&mut *connection).await.map_err(|source| OpenError::Database { path: path(), source })?;
    let known = MIGRATIONS.len();
    let done = usize::try_from(found).ok().filter(|done| *done <= known);
    let Some(done) = done else { return Err(OpenError::TooNew { path: path(), found, known }) };
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(done) {
        let version = index + 1;
        // One script, so that a crash in between leaves none of it.
        let script = format!("BEGIN IMMEDIATE;\n{migration}\nPRAGMA user_version = {version};\nCOMMIT;");
        let applied = connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(script))).await;
        applied.map_err(|source| OpenError::Migration { path: path(), version, source })?;
        tracing::info!(version, "sqlite schema migrated");
    }
    Ok(())
}

/// Checks, for a reader, that the schema is the one this program knows.
pub(crate) async fn check(readers: &SqlitePool, config: &SqliteConfig) -> Result<(), OpenError> {
    let path = || config.path.clone();
    let found = version(readers).await.map_err(|source| OpenError::Database { path: path(), source })?;
    let known = MIGRATIONS.len();
    match usize::try_from(found) {
        Ok(found) if found == known => Ok(()),
        Ok(older) if older < known => Err(OpenError::TooOld { path: path(), found, known }),
        _ => Err(OpenError::TooNew { path: path(), found, known }),
    }
}

async fn version<'c>(executor: impl Executor<'c, Database = sqlx::Sqlite>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("PRAGMA user_version").fetch_one(executor).await
}
