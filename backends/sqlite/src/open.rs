//! Connections and the lock that keeps a file to one writing process.

use crate::{config::SqliteConfig, error::OpenError};
use sqlx::{
    ConnectOptions, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous},
};
use std::{
    fs::{File, OpenOptions, TryLockError},
    path::PathBuf,
    time::Duration,
};

/// The WAL file is cut back to this size when it is reused, and a larger one is reset by the writer.
pub(crate) const WAL_LIMIT: u64 = 96 << 20;

/// 64 MiB of WAL. Every checkpoint writes a page once however often it was committed, so SQLite's 1000 pages would write
/// the busy pages of a few hundred messages again and again.
const CHECKPOINT_PAGES: &str = "16384";

/// Of the writer. Only a foreign process (a backup, a shell) can make it wait.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Takes the lock file; the lock goes with the file's handle.
pub(crate) fn lock(config: &SqliteConfig) -> Result<File, OpenError> {
    let mut path = config.path.clone().into_os_string();
    path.push(".lock");
    let path = PathBuf::from(path);
    let failed = |source| OpenError::LockFile { path: path.clone(), source };
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: config.path.clone() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

pub(crate) fn wal_path(config: &SqliteConfig) -> PathBuf {
    let mut path = config.path.clone().into_os_string();
    path.push("-wal");
    path.into()
}

pub(crate) async fn writer(config: &SqliteConfig) -> Result<SqliteConnection, sqlx::Error> {
    let options = options(config)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("journal_size_limit", WAL_LIMIT.to_string())
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("cache_size", "-65536")
        // Statement journals, which many-row statements need, would be files.
        .pragma("temp_store", "MEMORY")
        // Each row statement has a text per power of two.
        .statement_cache_capacity(256)
        .pragma("secure_delete", "ON");
    let mut connection = options.connect().await?;
    set_size_limit(&mut connection, config.size_limit).await?;
    Ok(connection)
}

pub(crate) async fn readers(config: &SqliteConfig) -> Result<SqlitePool, sqlx::Error> {
    let options = options(config).read_only(true).busy_timeout(BUSY_TIMEOUT).pragma("cache_size", "-16384");
    SqlitePoolOptions::new()
        .min_connections(1)
        .max_connections(config.read_connections)
        .acquire_timeout(config.read_wait)
        .idle_timeout(None)
        .max_lifetime(None)
        // A local file: a ping would double the cost of a point read and tell nothing.
        .test_before_acquire(false)
        .connect_with(options)
        .await
}

pub(crate) async fn set_size_limit(
    connection: &mut SqliteConnection,
    limit: Option<u64>,
) -> Result<(), sqlx::Error> {
    let page: i64 = sqlx::query_scalar("PRAGMA page_size").fetch_one(&mut *connection).await?;
    // SQLite's own greatest page count; a limit below the present size means "no growth".
    let pages = limit.map_or(0xffff_fffe, |bytes| (bytes / page.unsigned_abs().max(1)).clamp(1, 0xffff_fffe));
    let pragma = format!("PRAGMA max_page_count = {pages}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(pragma)).execute(connection).await?;
    Ok(())
}

fn options(config: &SqliteConfig) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(&config.path)
        .foreign_keys(false)
        .thread_name(|id| format!("sqlite-{id}"))
        .disable_statement_logging()
}
