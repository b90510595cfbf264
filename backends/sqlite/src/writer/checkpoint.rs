//! Moves what was committed from the WAL into the database file, beside the writer: done by the writer itself, every few
//! hundred commits would wait for it.

use crate::{config::SqliteConfig, open};
use sqlx::{Connection, SqliteConnection};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Notify, task::JoinHandle};

/// A page that is committed often is moved once per pass.
const PAUSE: Duration = Duration::from_secs(1);

/// The task that checkpoints, owned by the writer.
pub(super) struct Checkpointer {
    signals: Arc<Signals>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Signals {
    /// Something was committed since the last pass began.
    committed: AtomicBool,
    stop: Notify,
}

impl Checkpointer {
    pub(super) fn start(config: SqliteConfig) -> Self {
        let signals = Arc::<Signals>::default();
        let task = tokio::spawn(run(config, signals.clone()));
        Self { signals, task }
    }

    pub(super) fn committed(&self) {
        self.signals.committed.store(true, Ordering::Relaxed);
    }

    /// Ends the task and closes its connection.
    pub(super) async fn stop(self) {
        self.signals.stop.notify_one();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "sqlite checkpointer died");
        }
    }
}

async fn run(config: SqliteConfig, signals: Arc<Signals>) {
    let mut connection = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = signals.stop.notified() => break,
        }
        if signals.committed.swap(false, Ordering::Relaxed)
            && let Err(error) = pass(&config, &mut connection).await
        {
            // The writer's own checkpoints go on; a full disk is told by its commits.
            tracing::debug!(%error, "sqlite checkpoint failed");
            connection = None;
        }
    }
    if let Some(connection) = connection
        && let Err(error) = connection.close().await
    {
        tracing::debug!(%error, "sqlite checkpointer did not close cleanly");
    }
}

/// Moves as much as can be moved without making anybody wait.
async fn pass(config: &SqliteConfig, connection: &mut Option<SqliteConnection>) -> Result<(), sqlx::Error> {
    let connection = match connection {
        Some(connection) => connection,
        none => none.insert(open::writer(config).await?),
    };
    sqlx::raw_sql("PRAGMA wal_checkpoint(PASSIVE)").execute(connection).await.map(drop)
}
