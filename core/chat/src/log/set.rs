//! All logs that this core writes: one bounded queue and one task each, made when first needed.

use crate::log::{
    Command, LogError, Pending,
    command::{EncodedAnswer, EncodedCommand, Envelope, Job},
    remote,
    writer::{Shared, Writer},
};
use meridian_types::LogId;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError, RwLock},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

type Queue = mpsc::Sender<Box<dyn Job>>;

/// The writers of a core.
#[derive(Debug)]
pub(crate) struct Logs {
    shared: Shared,
    queue_limit: usize,
    batch_limit: usize,
    /// `None` once closed.
    queues: RwLock<Option<HashMap<LogId, Queue>>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Logs {
    pub(crate) fn new(shared: Shared, queue_limit: usize, batch_limit: usize) -> Self {
        Self {
            shared,
            queue_limit,
            batch_limit,
            queues: RwLock::new(Some(HashMap::new())),
            tasks: Mutex::new(JoinSet::new()),
        }
    }

    /// Puts a command behind those already waiting for its log, at once. A full queue answers "busy".
    pub(crate) fn submit<C: Command>(&self, log: LogId, command: C) -> Pending<C> {
        let (envelope, pending) = Envelope::new(command);
        self.enqueue(log, Box::new(envelope));
        pending
    }

    /// Queues a command of another core at once, and gives what will be the answer.
    pub(crate) fn submit_remote(
        &self,
        log: LogId,
        command: &EncodedCommand,
    ) -> impl Future<Output = EncodedAnswer> + Send + use<> {
        let pending = remote::receive(command).map(|(job, pending)| {
            self.enqueue(log, job);
            pending
        });
        async move {
            match pending {
                Ok(pending) => pending.await.unwrap_or_default(),
                Err(error) => {
                    tracing::warn!(%error, "a command of another core cannot be read");
                    None
                }
            }
        }
    }

    fn enqueue(&self, log: LogId, job: Box<dyn Job>) {
        let refused = match self.queue(log) {
            None => Some((job, LogError::Stopped)),
            Some(queue) => match queue.try_send(job) {
                Ok(()) => None,
                Err(mpsc::error::TrySendError::Full(job)) => {
                    metrics::counter!("log_busy_total").increment(1);
                    Some((job, LogError::Busy))
                }
                Err(mpsc::error::TrySendError::Closed(job)) => Some((job, LogError::Stopped)),
            },
        };
        if let Some((job, error)) = refused {
            job.finish(Err(error));
        }
    }

    /// Submits and waits for the commit.
    pub(crate) async fn execute<C: Command>(&self, log: LogId, command: C) -> Result<C::Output, C::Error> {
        answer::<C>(self.submit(log, command)).await
    }

    /// Takes no more commands, and waits until every writer has committed what it has.
    pub(crate) async fn close(&self) {
        drop(self.queues.write().unwrap_or_else(PoisonError::into_inner).take());
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        while tasks.join_next().await.is_some() {}
    }

    fn queue(&self, log: LogId) -> Option<Queue> {
        if let Some(queue) = self.queues.read().unwrap_or_else(PoisonError::into_inner).as_ref()?.get(&log) {
            return Some(queue.clone());
        }
        let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
        let queue = queues.as_mut()?.entry(log).or_insert_with(|| {
            let (sender, receiver) = mpsc::channel(self.queue_limit);
            let writer = Writer::new(log, self.shared.clone(), self.batch_limit);
            self.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(writer.run(receiver));
            sender
        });
        Some(queue.clone())
    }
}

async fn answer<C: Command>(
    pending: oneshot::Receiver<Result<C::Output, C::Error>>,
) -> Result<C::Output, C::Error> {
    pending.await.unwrap_or_else(|_| Err(LogError::Stopped.into()))
}
