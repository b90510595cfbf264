//! The committers: each owns a connection, drains its queue, and commits what waits as one group, in one statement. A log
//! always goes to the same one.

mod claim;
mod heads;
mod statement;

use crate::{
    config::{DEADLINE, PgConfig},
    connect::Servers,
    error::{Failure, breaks_connection, lost_a_race},
};
use heads::ConversationHeads;
use meridian_ports::{Error, ErrorKind, Result};
use meridian_types::{Epoch, Incarnation, LogHead, LogId, Step};
use sqlx::{Connection, PgConnection};
pub(crate) use statement::check_step;
use statement::{Batch, fence_holds};
use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

/// A group stops growing at this many bytes of bodies and objects.
const GROUP_BYTES: usize = 16 << 20;
/// Turns given to other tasks without a new append before a group is committed.
const IDLE_TURNS: u32 = 8;
/// Tries of a statement that lost against another.
const TRIES: u32 = 8;

/// What waits in a queue.
pub(crate) enum Command {
    Append {
        step: Step,
        answer: oneshot::Sender<Result<()>>,
    },
    Claim {
        log: LogId,
        epoch: Epoch,
        expected: Option<Incarnation>,
        answer: oneshot::Sender<Result<LogHead>>,
    },
    Close,
}

/// A step and whom to tell.
type Waiting = (Step, oneshot::Sender<Result<()>>);
type Verdict = std::result::Result<(), Failure>;

pub(crate) struct Committer {
    config: PgConfig,
    servers: Arc<Servers>,
    /// `None` after a failure that leaves its state unknown; made again when next needed.
    connection: Option<PgConnection>,
    conversations: ConversationHeads,
}

impl Committer {
    pub(crate) fn new(config: PgConfig, servers: Arc<Servers>) -> Self {
        Self { config, servers, connection: None, conversations: ConversationHeads::new() }
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
                }
                Command::Claim { log, epoch, expected, answer } => {
                    let claimed = self.claim(log, epoch, expected).await;
                    // A caller that went away does not mind.
                    let _ = answer.send(claimed.map_err(|failure| failure.to_error("claim")));
                }
                Command::Close => queue.close(),
            }
        }
        if let Some(connection) = self.connection.take() {
            let _ = timeout(Duration::from_secs(1), connection.close()).await;
        }
    }

    /// Takes the appends that wait, up to a full group, and the first command that cannot be in it.
    ///
    /// Those that were just answered are about to append again: while the group grows, the committer lets other tasks
    /// run before it commits.
    async fn fill_group(
        &self,
        first: Waiting,
        queue: &mut mpsc::Receiver<Command>,
    ) -> (Vec<Waiting>, Option<Command>) {
        let (mut operations, mut bytes) = (first.0.operations.len(), size_of(&first.0));
        let mut logs = HashSet::from([first.0.log]);
        let mut group = vec![first];
        let mut idle_turns = 0;
        while group.len() < self.config.group_steps
            && operations < self.config.group_operations
            && bytes < GROUP_BYTES
        {
            match queue.try_recv() {
                // Whether a second step of a log may be taken is known when the first one is.
                Ok(Command::Append { step, answer }) if logs.insert(step.log) => {
                    operations += step.operations.len();
                    bytes += size_of(&step);
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
        metrics::histogram!("postgres_group_steps").record(steps.len() as f64);
        let verdicts = self.commit(&steps).await;
        metrics::histogram!("postgres_commit_seconds").record(started.elapsed().as_secs_f64());
        for (verdict, answer) in verdicts.into_iter().zip(answers) {
            let _ = answer.send(verdict.map_err(|failure| failure.to_error("append")));
        }
    }

    /// One verdict per step.
    async fn commit(&mut self, steps: &[Step]) -> Vec<Verdict> {
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

    async fn commit_together(&mut self, steps: &[Step]) -> std::result::Result<Vec<Verdict>, Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            self.connect().await?;
            let Some(connection) = &mut self.connection else { return Err(not_connected()) };
            let mut lasts = match timeout(DEADLINE, self.conversations.load(connection, steps)).await {
                Ok(Ok(lasts)) => lasts,
                Ok(Err(error)) => {
                    self.recover(&error);
                    return Err(Failure::from(&error));
                }
                Err(_) => {
                    self.connection = None;
                    return Err(Failure::new(ErrorKind::Timeout, "no answer in time"));
                }
            };
            let mut batch = Batch::default();
            let mut verdicts: Vec<Verdict> = steps.iter().map(|step| batch.add(step, &mut lasts)).collect();
            for (step, verdict) in steps.iter().zip(&mut verdicts).filter(|(_, verdict)| verdict.is_err()) {
                // What was remembered, and the step itself, may be from before another writer.
                match timeout(DEADLINE, fence_holds(connection, step)).await {
                    Ok(Ok(true)) => {}
                    Ok(Ok(false)) => {
                        self.conversations.forget(step.log);
                        *verdict = Err(fenced(step));
                    }
                    Ok(Err(error)) => {
                        self.recover(&error);
                        return Err(Failure::from(&error));
                    }
                    Err(_) => {
                        self.connection = None;
                        return Err(Failure::new(ErrorKind::Timeout, "no answer in time"));
                    }
                }
            }
            if batch.is_empty() {
                return Ok(verdicts);
            }
            let moved = match timeout(DEADLINE, batch.write(connection)).await {
                Ok(Ok(moved)) => moved,
                Ok(Err(error)) if lost_a_race(&error) && tries < TRIES => {
                    metrics::counter!("postgres_retries_total").increment(1);
                    let pause = Duration::from_millis(rand::random_range(1..=1 << tries));
                    tokio::time::sleep(pause).await;
                    continue;
                }
                Ok(Err(error)) => {
                    self.recover(&error);
                    return Err(Failure::of_statement(&error));
                }
                Err(_) => {
                    self.connection = None;
                    self.conversations.clear();
                    return Err(Failure::unanswered());
                }
            };
            for (step, verdict) in steps.iter().zip(&mut verdicts) {
                if verdict.is_ok() && !moved.contains(&step.log) {
                    self.conversations.forget(step.log);
                    lasts.retain(|(log, _), _| *log != step.log);
                    *verdict = Err(fenced(step));
                }
            }
            self.conversations.remember(lasts);
            return Ok(verdicts);
        }
    }

    async fn claim(
        &mut self,
        log: LogId,
        epoch: Epoch,
        expected: Option<Incarnation>,
    ) -> std::result::Result<LogHead, Failure> {
        // Others may have written since.
        self.conversations.forget(log);
        let mut tries = 0;
        loop {
            tries += 1;
            self.connect().await?;
            let Some(connection) = &mut self.connection else { return Err(not_connected()) };
            match timeout(DEADLINE, claim::claim(connection, log, epoch, expected)).await {
                Ok(Ok(verdict)) => return verdict,
                Ok(Err(error)) if lost_a_race(&error) && tries < TRIES => {
                    tokio::time::sleep(Duration::from_millis(rand::random_range(1..=1 << tries))).await;
                }
                Ok(Err(error)) => {
                    self.recover(&error);
                    return Err(Failure::of_statement(&error));
                }
                Err(_) => {
                    self.connection = None;
                    return Err(Failure::unanswered());
                }
            }
        }
    }

    /// After a failed statement: forgets what was remembered, and drops a connection that may be broken.
    fn recover(&mut self, error: &sqlx::Error) {
        self.conversations.clear();
        if breaks_connection(error) {
            tracing::warn!(%error, "postgres write failed, connecting anew");
            self.connection = None;
        }
    }

    async fn connect(&mut self) -> std::result::Result<(), Failure> {
        if self.connection.is_none() {
            self.connection = Some(self.servers.connect().await.map_err(|error| Failure::from(&error))?);
        }
        Ok(())
    }
}

fn size_of(step: &Step) -> usize {
    use meridian_types::Effect;
    let effects = step.operations.iter().flat_map(|logged| &logged.operation.effects);
    effects
        .map(|effect| match effect {
            Effect::Append { entry, .. } => {
                entry.body.as_ref().map_or(0, bytes::Bytes::len) + entry.ext.len()
            }
            Effect::PutObject(object) => object.body.len(),
            Effect::PutRelation(relation) => relation.body.len(),
            _ => 0,
        })
        .sum()
}

fn fenced(step: &Step) -> Failure {
    Failure::new(ErrorKind::Fenced, format!("log {} is not at {:?}", step.log, step.fence))
}

fn not_connected() -> Failure {
    Failure::new(ErrorKind::Unavailable, "the committer has no connection")
}

/// The store's ends of the queues.
#[derive(Debug)]
pub(crate) struct Queues(pub(crate) Vec<mpsc::Sender<Command>>);

impl Queues {
    /// Queues a command for a log and waits for its answer.
    pub(crate) async fn ask<T>(
        &self,
        verb: &'static str,
        log: LogId,
        command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        // Neighbouring logs go to different committers.
        let queue = &self.0[usize::try_from(log.raw() % self.0.len() as u64).unwrap_or_default()];
        queue.try_send(command(answer)).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => {
                Error::new(ErrorKind::Busy, verb, "too many steps wait for the committer")
            }
            mpsc::error::TrySendError::Closed(_) => closed(verb),
        })?;
        // The committer answers all it has taken; without an answer it has died half way.
        answered.await.unwrap_or_else(|_| Err(closed(verb).maybe_done()))
    }
}

fn closed(verb: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, verb, "the store is closed")
}
