//! The one writer: a task that owns the writing connection, drains its queue and commits what waits as one group.

mod batch;
mod claim;
mod group;
mod heads;
mod tables;

use crate::{config::SqliteConfig, error::Failure, open, step::PreparedStep};
use heads::ConversationHeads;
pub(crate) use heads::{SELECT_HEADS, wanted as wanted_heads};
use meridian_ports::{Error, ErrorKind, Result};
use meridian_types::{Epoch, Incarnation, LogHead, LogId};
use sqlx::{Connection, SqliteConnection};
use std::{
    fs::File,
    path::PathBuf,
    time::{Duration, Instant},
};
use tables::Tables;
use tokio::sync::{mpsc, oneshot};

/// A group stops growing at this many bytes of operations and bodies.
const GROUP_BYTES: usize = 16 << 20;

/// Turns given to other tasks without a new append before a group is committed.
const IDLE_TURNS: u32 = 8;

/// Between two attempts to reset a WAL that readers keep busy.
const WAL_RESET_PAUSE: Duration = Duration::from_secs(1);

/// What waits in the queue.
pub(crate) enum Command {
    Append {
        step: PreparedStep,
        answer: oneshot::Sender<Result<()>>,
    },
    Claim {
        log: LogId,
        epoch: Epoch,
        expected: Option<Incarnation>,
        answer: oneshot::Sender<Result<LogHead>>,
    },
    SetSizeLimit {
        limit: Option<u64>,
        answer: oneshot::Sender<Result<()>>,
    },
    Close,
}

/// A step and whom to tell.
type Waiting = (PreparedStep, oneshot::Sender<Result<()>>);

pub(crate) struct Writer {
    config: SqliteConfig,
    /// `None` after a failure that leaves its state unknown; made again when next needed.
    connection: Option<SqliteConnection>,
    tables: Tables,
    conversations: ConversationHeads,
    wal: PathBuf,
    wal_reset_after: Instant,
    /// Held as long as the connection may write.
    _lock: File,
}

impl Writer {
    pub(crate) fn new(config: SqliteConfig, connection: SqliteConnection, lock: File) -> Self {
        Self {
            wal: open::wal_path(&config),
            config,
            connection: Some(connection),
            tables: Tables::new(),
            conversations: ConversationHeads::new(),
            wal_reset_after: Instant::now(),
            _lock: lock,
        }
    }

    /// Runs until the store is closed or dropped; what waits then is still taken.
    pub(crate) async fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        let mut carried = None;
        loop {
            let command = match carried.take() {
                Some(command) => command,
                None => match queue.recv().await {
                    Some(command) => command,
                    None => break,
                },
            };
            match command {
                Command::Append { step, answer } => {
                    let (group, next) = self.fill_group((step, answer), &mut queue).await;
                    carried = next;
                    self.take_group(group).await;
                    self.reset_large_wal().await;
                }
                Command::Claim { log, epoch, expected, answer } => {
                    let claimed = self.claim(log, epoch, expected).await;
                    // A caller that went away does not mind.
                    let _ = answer.send(claimed.map_err(|failure| failure.to_error("claim")));
                }
                Command::SetSizeLimit { limit, answer } => {
                    let _ = answer.send(self.set_size_limit(limit).await);
                }
                Command::Close => queue.close(),
            }
        }
        self.disconnect().await;
    }

    /// Takes the appends that wait, up to a full group, and the first command that is none.
    ///
    /// Those that were just answered are about to append again: while the group grows, the writer lets other tasks
    /// run before it commits. That costs a lone appender microseconds and halves the commits of a busy store.
    async fn fill_group(
        &self,
        first: Waiting,
        queue: &mut mpsc::Receiver<Command>,
    ) -> (Vec<Waiting>, Option<Command>) {
        let (mut operations, mut bytes) = (first.0.operations.len(), first.0.bytes());
        let mut group = vec![first];
        let mut idle_turns = 0;
        while group.len() < self.config.group_steps
            && operations < self.config.group_operations
            && bytes < GROUP_BYTES
        {
            match queue.try_recv() {
                Ok(Command::Append { step, answer }) => {
                    operations += step.operations.len();
                    bytes += step.bytes();
                    group.push((step, answer));
                    idle_turns = 0;
                }
                Ok(other) => return (group, Some(other)),
                Err(_) if idle_turns < IDLE_TURNS => {
                    idle_turns += 1;
                    tokio::task::yield_now().await;
                }
                Err(_) => break,
            }
        }
        (group, None)
    }

    async fn take_group(&mut self, group: Vec<Waiting>) {
        let started = Instant::now();
        let (steps, answers): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        metrics::histogram!("sqlite_group_steps").record(steps.len() as f64);
        let verdicts = self.commit(&steps).await;
        metrics::histogram!("sqlite_commit_seconds").record(started.elapsed().as_secs_f64());
        for (verdict, answer) in verdicts.into_iter().zip(answers) {
            let _ = answer.send(verdict.map_err(|failure| failure.to_error("append")));
        }
    }

    /// One verdict per step.
    async fn commit(&mut self, steps: &[PreparedStep]) -> Vec<std::result::Result<(), Failure>> {
        match self.commit_together(steps).await {
            Ok(verdicts) => verdicts,
            // A step that the database refuses must not take its neighbours with it.
            Err(failure) if failure.may_be_one_step() && steps.len() > 1 => {
                let mut verdicts = Vec::with_capacity(steps.len());
                for step in steps.chunks(1) {
                    match self.commit_together(step).await {
                        Ok(verdict) => verdicts.extend(verdict),
                        Err(failure) => verdicts.push(Err(failure)),
                    }
                }
                verdicts
            }
            Err(failure) => steps.iter().map(|_| Err(failure.clone())).collect(),
        }
    }

    async fn commit_together(
        &mut self,
        steps: &[PreparedStep],
    ) -> std::result::Result<Vec<std::result::Result<(), Failure>>, Failure> {
        self.connect().await?;
        let Some(connection) = &mut self.connection else { return Err(not_connected()) };
        let outcome = group::commit(connection, &self.tables, &mut self.conversations, steps).await;
        if let Err(failure) = &outcome {
            self.recover(failure).await;
        }
        outcome
    }

    async fn claim(
        &mut self,
        log: LogId,
        epoch: Epoch,
        expected: Option<Incarnation>,
    ) -> std::result::Result<LogHead, Failure> {
        self.connect().await?;
        let Some(connection) = &mut self.connection else { return Err(not_connected()) };
        let outcome = claim::claim(connection, log, epoch, expected).await;
        if let Err(failure) = &outcome {
            self.recover(failure).await;
        }
        outcome
    }

    /// After a failed transaction: ends it, forgets what was remembered, and drops a connection that may be broken.
    async fn recover(&mut self, failure: &Failure) {
        self.conversations.clear();
        if let Some(connection) = &mut self.connection {
            // Some errors have rolled back already, then this one fails; a transaction that stays open all the same
            // makes the next BEGIN fail as `Unavailable`, which drops the connection.
            let _ = sqlx::raw_sql("ROLLBACK").execute(connection).await;
        }
        if failure.kind == ErrorKind::Full {
            // On a small disk the WAL may be what fills it.
            self.reset_wal().await;
        }
        if failure.breaks_connection() {
            tracing::warn!(kind = ?failure.kind, "sqlite write failed, connecting anew");
            self.disconnect().await;
        }
    }

    async fn connect(&mut self) -> std::result::Result<(), Failure> {
        if self.connection.is_none() {
            self.connection = Some(open::writer(&self.config).await?);
        }
        Ok(())
    }

    async fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "sqlite connection did not close cleanly");
        }
    }

    async fn set_size_limit(&mut self, limit: Option<u64>) -> Result<()> {
        const VERB: &str = "set_size_limit";
        self.config.size_limit = limit;
        self.connect().await.map_err(|failure| failure.to_error(VERB))?;
        let Some(connection) = &mut self.connection else { return Err(not_connected().to_error(VERB)) };
        open::set_size_limit(connection, limit).await.map_err(|error| crate::error::failed(VERB, error))
    }

    /// SQLite reuses the WAL from its start only when no reader is in it, which under constant reads may never happen
    /// by itself. A checkpoint that waits for the readers of the moment lets the next ones read the database file.
    async fn reset_large_wal(&mut self) {
        if std::fs::metadata(&self.wal).is_ok_and(|file| file.len() > open::WAL_LIMIT) {
            self.reset_wal().await;
        }
    }

    async fn reset_wal(&mut self) {
        if Instant::now() < self.wal_reset_after {
            return;
        }
        self.wal_reset_after = Instant::now() + WAL_RESET_PAUSE;
        if let Some(connection) = &mut self.connection {
            let reset = sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(connection).await;
            if let Err(error) = reset {
                tracing::warn!(%error, "sqlite WAL could not be reset");
            }
        }
    }
}

fn not_connected() -> Failure {
    Failure::new(ErrorKind::Unavailable, "the writer has no connection")
}

/// The store's end of the queue.
#[derive(Debug)]
pub(crate) struct WriterHandle {
    pub(crate) queue: mpsc::Sender<Command>,
}

impl WriterHandle {
    /// Queues a command and waits for its answer.
    pub(crate) async fn ask<T>(
        &self,
        verb: &'static str,
        command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(command(answer)).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => {
                Error::new(ErrorKind::Busy, verb, "too many steps wait for the writer")
            }
            mpsc::error::TrySendError::Closed(_) => closed(verb),
        })?;
        // The writer answers all it has taken; without an answer it has died half way.
        answered.await.unwrap_or_else(|_| Err(closed(verb).maybe_done()))
    }
}

fn closed(verb: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, verb, "the store is closed")
}
