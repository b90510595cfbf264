//! What a log's writer can be asked, and the job that carries it through the queue, or to the core that writes the log.

use crate::log::Draft;
use async_trait::async_trait;
use bytes::Bytes;
use meridian_ports::{Error, ErrorKind};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{borrow::Cow, sync::Arc};
use tokio::sync::oneshot;

/// A command to one log.
#[async_trait]
pub(crate) trait Command: Serialize + DeserializeOwned + Send + 'static {
    type Output: Serialize + DeserializeOwned + Send + 'static;
    type Error: From<LogError> + Serialize + DeserializeOwned + Send + 'static;

    /// Names the command between cores, and the operation that it becomes.
    const NAME: &'static str;

    /// The name of the operation that this becomes.
    fn operation(&self) -> Cow<'static, str> {
        Self::NAME.into()
    }

    /// Whether doing it twice is as good as once, so that it may be asked again when an answer was lost.
    fn is_repeatable(&self) -> bool;

    /// Decides on the log's state, which includes the commands before it in the same batch. Effects go to the
    /// draft; an error drops them all. May be called again, by this or another core, when the step could not be taken.
    async fn decide(&mut self, draft: &mut Draft<'_>) -> Result<Self::Output, Self::Error>;
}

/// The log could not take or commit a command.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error("too many commands wait for this log")]
    Busy,
    #[error("the server is stopping")]
    Stopped,
    /// This core does not write the log; nothing was done.
    #[error("the log is written by another core")]
    Moved,
    /// The core that writes the log went away before it answered.
    #[error("the outcome is not known")]
    Unknown,
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

/// What another core needs to know of a [`LogError`].
#[derive(Serialize, Deserialize)]
enum LogErrorForm {
    Busy,
    Stopped,
    Moved,
    Unknown,
    Full(String),
    Unavailable(String),
}

impl Serialize for LogError {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Busy => LogErrorForm::Busy,
            Self::Stopped => LogErrorForm::Stopped,
            Self::Moved => LogErrorForm::Moved,
            Self::Unknown => LogErrorForm::Unknown,
            Self::Store(error) if error.kind() == ErrorKind::Full => LogErrorForm::Full(error.to_string()),
            Self::Store(error) => LogErrorForm::Unavailable(error.to_string()),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for LogError {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let store = |kind, text: String| Self::Store(Arc::new(Error::new(kind, "append", text)));
        Ok(match LogErrorForm::deserialize(deserializer)? {
            LogErrorForm::Busy => Self::Busy,
            LogErrorForm::Stopped => Self::Stopped,
            LogErrorForm::Moved => Self::Moved,
            LogErrorForm::Unknown => Self::Unknown,
            LogErrorForm::Full(text) => store(ErrorKind::Full, text),
            LogErrorForm::Unavailable(text) => store(ErrorKind::Unavailable, text),
        })
    }
}

/// An answer that comes after the commit.
pub(crate) type Pending<C> = oneshot::Receiver<Result<<C as Command>::Output, <C as Command>::Error>>;

/// An answer for another core: the encoded result, or `None` when this core could not even try.
pub(crate) type EncodedAnswer = Option<Bytes>;

/// A command of any type, in the queue.
#[async_trait]
pub(crate) trait Job: Send {
    fn operation(&self) -> Cow<'static, str>;

    /// Came from another core, which sends it on itself if this one does not write the log.
    fn is_remote(&self) -> bool;

    fn is_repeatable(&self) -> bool;

    /// Decides; true when the draft's effects should be kept.
    async fn decide(&mut self, draft: &mut Draft<'_>) -> bool;

    /// Answers. A failed commit takes back every success of the batch.
    fn finish(self: Box<Self>, committed: Result<(), LogError>);

    /// The command for another core.
    fn encode(&self) -> Result<EncodedCommand, LogError>;

    /// Answers with what another core said.
    fn finish_encoded(self: Box<Self>, answer: &[u8]);
}

/// A command between cores.
#[derive(Serialize, Deserialize)]
pub(crate) struct EncodedCommand {
    pub(crate) name: String,
    pub(crate) body: Bytes,
}

enum Reply<C: Command> {
    Here(oneshot::Sender<Result<C::Output, C::Error>>),
    ThereAgain(oneshot::Sender<EncodedAnswer>),
}

pub(crate) struct Envelope<C: Command> {
    command: C,
    outcome: Option<Result<C::Output, C::Error>>,
    reply: Reply<C>,
}

impl<C: Command> Envelope<C> {
    pub(crate) fn new(command: C) -> (Self, Pending<C>) {
        let (reply, pending) = oneshot::channel();
        (Self { command, outcome: None, reply: Reply::Here(reply) }, pending)
    }

    /// A command that another core has sent.
    pub(super) fn remote(body: &[u8]) -> Result<(Self, oneshot::Receiver<EncodedAnswer>), LogError> {
        let command = rmp_serde::from_slice(body).map_err(|error| unreadable(&error))?;
        let (reply, pending) = oneshot::channel();
        Ok((Self { command, outcome: None, reply: Reply::ThereAgain(reply) }, pending))
    }
}

#[async_trait]
impl<C: Command> Job for Envelope<C> {
    fn operation(&self) -> Cow<'static, str> {
        self.command.operation()
    }

    fn is_remote(&self) -> bool {
        matches!(self.reply, Reply::ThereAgain(_))
    }

    fn is_repeatable(&self) -> bool {
        self.command.is_repeatable()
    }

    async fn decide(&mut self, draft: &mut Draft<'_>) -> bool {
        let outcome = self.command.decide(draft).await;
        let keep = outcome.is_ok();
        self.outcome = Some(outcome);
        keep
    }

    fn finish(self: Box<Self>, committed: Result<(), LogError>) {
        let Self { outcome, reply, .. } = *self;
        let moved = matches!(committed, Err(LogError::Moved));
        let answer = match (outcome, committed) {
            (_, Err(LogError::Moved)) => Err(LogError::Moved.into()),
            (Some(Err(refused)), _) => Err(refused),
            (Some(outcome), Ok(())) => outcome,
            (_, Err(failed)) => Err(failed.into()),
            (None, Ok(())) => Err(LogError::Stopped.into()),
        };
        // The asker may have gone away; the operation stands all the same.
        match reply {
            Reply::Here(reply) => drop(reply.send(answer)),
            Reply::ThereAgain(reply) if moved => drop(reply.send(None)),
            Reply::ThereAgain(reply) => drop(reply.send(encode(&answer).ok())),
        }
    }

    fn encode(&self) -> Result<EncodedCommand, LogError> {
        Ok(EncodedCommand { name: C::NAME.to_owned(), body: encode(&self.command)? })
    }

    fn finish_encoded(self: Box<Self>, answer: &[u8]) {
        let answer: Result<C::Output, C::Error> =
            rmp_serde::from_slice(answer).unwrap_or_else(|error| Err(unreadable(&error).into()));
        if let Reply::Here(reply) = self.reply {
            let _ = reply.send(answer);
        }
    }
}

fn encode(value: &impl Serialize) -> Result<Bytes, LogError> {
    rmp_serde::to_vec_named(value).map(Bytes::from).map_err(|error| unreadable(&error))
}

/// Cores of two versions that do not understand each other.
fn unreadable(error: &dyn std::error::Error) -> LogError {
    LogError::Store(Arc::new(Error::new(ErrorKind::Invalid, "link", error.to_string())))
}
