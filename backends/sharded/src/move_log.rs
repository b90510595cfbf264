//! Moves one log to another shard. The crate's docs say how; every state in between is either "at the old place" or
//! "moved, and finished by whoever looks".

use crate::{
    ShardedStore,
    copy::{copy, head},
    error::corrupt,
    placement::{INCOMING, MARKS, PLACEMENT, PLACEMENT_ID, Placement, now},
    resolve::Look,
};
use meridian_ports::{Error, ErrorKind, Result};
use meridian_types::{
    Effect, Epoch, Fence, LogHead, LogId, LoggedOperation, Millis, Object, Operation, Step,
};

/// A busy log's writer may take it back between the claim and the commit of a move: tried so often.
const TRIES: usize = 50;

/// What a move did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moved {
    pub from: String,
    pub to: String,
    /// Operations in the log.
    pub operations: u64,
}

impl ShardedStore {
    /// Moves a log to the shard with this name. A log that is there already is no error, so that a move that broke off is
    /// run again. `NotFound` for an unknown log, `Invalid` for an unknown shard, `Busy` when its writer took the log back
    /// every time.
    pub async fn move_log(&self, log: LogId, to: &str) -> Result<Moved> {
        let Some(to) = self.resolver.by_name(to).filter(|_| log != MARKS) else {
            let names = self.resolver.shards().iter().map(|shard| shard.name.as_str());
            let known = names.collect::<Vec<_>>().join(", ");
            let message = format!("there is no shard {to:?}; there are {known}");
            return Err(Error::new(ErrorKind::Invalid, "move_log", message));
        };
        for _ in 0..TRIES {
            self.resolver.forget(log);
            let from = self.resolver.search(log).await?;
            let (source, target) = (self.resolver.store(from), self.resolver.store(to));
            let Some(stands) = head(source, log).await? else {
                return Err(Error::new(ErrorKind::NotFound, "move_log", format!("there is no log {log}")));
            };
            if from == to {
                self.unmark(to, log).await?;
                return Ok(self.moved(from, to, stands));
            }
            if let Look::Absent = self.resolver.look(to, log).await? {
                self.mark(to, log).await?;
            }
            // Most of it while the writer goes on.
            copy(source, target, log).await?;
            let claimed = source.claim(log, stands.epoch, None).await?;
            let reached = copy(source, target, log).await?;
            if (reached.lsn, reached.chain) != (claimed.lsn, claimed.chain) {
                // Another writer has claimed and appended.
                continue;
            }
            match source.append(commit(&claimed, &self.resolver.shards()[to].name)?).await {
                Err(error) if error.kind() == ErrorKind::Fenced => continue,
                outcome => outcome?,
            }
            let end = copy(source, target, log).await?;
            self.unmark(to, log).await?;
            self.resolver.forget(log);
            return Ok(self.moved(from, to, end));
        }
        let message =
            format!("the writer of log {log} took it back {TRIES} times; try again when it is less busy");
        Err(Error::new(ErrorKind::Busy, "move_log", message))
    }

    fn moved(&self, from: usize, to: usize, head: LogHead) -> Moved {
        let name = |shard: usize| self.resolver.shards()[shard].name.clone();
        Moved { from: name(from), to: name(to), operations: head.lsn.0 }
    }

    /// A copy that has begun must not be taken for the log.
    async fn mark(&self, shard: usize, log: LogId) -> Result<()> {
        let object = Object {
            kind: INCOMING,
            id: log.to_string(),
            rank: 0,
            version: 1,
            body: b"{}".as_slice().into(),
        };
        self.note(shard, "incoming", Effect::PutObject(object)).await
    }

    async fn unmark(&self, shard: usize, log: LogId) -> Result<()> {
        let id = log.to_string();
        if self.resolver.store(shard).object(MARKS, &INCOMING, &id).await?.is_none() {
            return Ok(());
        }
        self.note(shard, "arrived", Effect::DeleteObject { kind: INCOMING, id }).await
    }

    async fn note(&self, shard: usize, name: &'static str, effect: Effect) -> Result<()> {
        let store = self.resolver.store(shard);
        let head = store.claim(MARKS, Epoch(1), None).await?;
        store.append(step(&head, name, effect)).await
    }
}

/// The step that moves the log: the last one at the old place.
fn commit(head: &LogHead, to: &str) -> Result<Step> {
    let body = serde_json::to_vec(&Placement::to(to))
        .map_err(|error| corrupt("move_log", format!("the placement cannot be written: {error}")))?;
    let object = Object {
        kind: PLACEMENT,
        id: PLACEMENT_ID.to_owned(),
        rank: 0,
        // Nobody compares versions of this object; the lsn rises with every move.
        version: head.lsn.0 + 1,
        body: body.into(),
    };
    Ok(step(head, "log.move", Effect::PutObject(object)))
}

fn step(head: &LogHead, name: &'static str, effect: Effect) -> Step {
    let millis = Millis(u64::try_from(now().as_millis()).unwrap_or_default());
    let operation = Operation { name: name.into(), at: head.hlc.tick(millis), effects: vec![effect] };
    Step {
        log: head.log,
        fence: Fence { epoch: head.epoch, writer: head.writer, head: head.lsn },
        operations: vec![LoggedOperation::after(head, operation)],
    }
}
