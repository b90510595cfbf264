//! What a log's writer can be asked, and the job that carries it through the queue.

use crate::log::Draft;
use async_trait::async_trait;
use meridian_ports::{Error, ErrorKind};
use std::sync::Arc;
use tokio::sync::oneshot;

/// A command to one log.
#[async_trait]
pub(crate) trait Command: Send + 'static {
    type Output: Send + 'static;
    type Error: From<LogError> + Send + 'static;

    /// The name of the operation that this becomes.
    fn name(&self) -> &'static str;

    /// Decides on the log's state, which includes the commands before it in the same batch. Effects go to the
    /// draft; an error drops them all.
    async fn decide(&mut self, draft: &mut Draft<'_>) -> Result<Self::Output, Self::Error>;
}

/// The log could not take or commit a command.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error("too many commands wait for this log")]
    Busy,
    #[error("the server is stopping")]
    Stopped,
    #[error(transparent)]
    Store(Arc<Error>),
}

impl From<Error> for LogError {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Busy => Self::Busy,
            _ => Self::Store(Arc::new(error)),
        }
    }
}

/// An answer that comes after the commit.
pub(crate) type Pending<C> = oneshot::Receiver<Result<<C as Command>::Output, <C as Command>::Error>>;

/// A command of any type, in the queue.
#[async_trait]
pub(crate) trait Job: Send {
    fn name(&self) -> &'static str;

    /// Decides; true when the draft's effects should be kept.
    async fn decide(&mut self, draft: &mut Draft<'_>) -> bool;

    /// Answers. A failed commit takes back every success of the batch.
    fn finish(self: Box<Self>, committed: Result<(), LogError>);
}

pub(crate) struct Envelope<C: Command> {
    command: C,
    outcome: Option<Result<C::Output, C::Error>>,
    reply: oneshot::Sender<Result<C::Output, C::Error>>,
}

impl<C: Command> Envelope<C> {
    pub(crate) fn new(command: C) -> (Self, Pending<C>) {
        let (reply, pending) = oneshot::channel();
        (Self { command, outcome: None, reply }, pending)
    }
}

#[async_trait]
impl<C: Command> Job for Envelope<C> {
    fn name(&self) -> &'static str {
        self.command.name()
    }

    async fn decide(&mut self, draft: &mut Draft<'_>) -> bool {
        let outcome = self.command.decide(draft).await;
        let keep = outcome.is_ok();
        self.outcome = Some(outcome);
        keep
    }

    fn finish(self: Box<Self>, committed: Result<(), LogError>) {
        let answer = match (self.outcome, committed) {
            (Some(Err(refused)), _) => Err(refused),
            (Some(outcome), Ok(())) => outcome,
            (_, Err(failed)) => Err(failed.into()),
            (None, Ok(())) => Err(LogError::Stopped.into()),
        };
        // The asker may have gone away; the operation stands all the same.
        let _ = self.reply.send(answer);
    }
}
