//! The writer of one log: takes what waits in its queue, decides it command by command, commits it as one step.

use crate::{
    clock::{Clock, MessageIds},
    cluster::{Answer, Cluster, Hints, Owner, PeerError, Request},
    log::{Draft, LogError, Publication, command::Job, conversation::Conversation, draft::JOINED},
    muc::{MucState, Reminders, object_kind},
    people::{BLOCK, CONTACT},
    sessions::{Hub, POSITION},
};
use bytes::Bytes;
use lru::LruCache;
use meridian_ports::{Error, ErrorKind, IdempotencyHit, NodeInfo, Result, Store};
use meridian_types::{
    ConversationKey, Effect, Epoch, Fence, IdempotencyKey, Kind, LogHead, LogId, LoggedOperation, Lsn,
    MessageId, MucId, Object, Operation, Relation, Seq, Step, UserName,
};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// Conversations whose state stays in memory, per log. One is about 300 bytes.
const HOT_CONVERSATIONS: usize = 8192;

/// How long commands wait for a log that moves between cores.
const MOVE_PATIENCE: Duration = Duration::from_secs(8);
/// Before a log that has moved is tried again, unless the list of cores changes.
const MOVE_PAUSE: Duration = Duration::from_millis(25);

/// What every writer of a core shares.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
    pub(crate) ids: Arc<MessageIds>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) hints: Arc<Hints>,
    pub(crate) reminders: Reminders,
}

/// A log's state in memory: its head, hot conversations, and what the batch in hand has changed so far.
#[derive(Debug)]
pub(crate) struct State {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    pub(super) ids: Arc<MessageIds>,
    pub(super) reminders: Reminders,
    pub(super) head: LogHead,
    conversations: LruCache<ConversationKey, Conversation>,
    pub(super) staged_objects: HashMap<(Kind, String), Option<Object>>,
    pub(super) staged_relations: HashMap<(Kind, String, String), Option<Relation>>,
    /// With the body, which the store does not have yet.
    pub(super) staged_idempotency: HashMap<IdempotencyKey, (IdempotencyHit, Option<Bytes>)>,
}

impl State {
    fn new(shared: &Shared, head: LogHead) -> Self {
        Self {
            store: shared.store.clone(),
            clock: shared.clock,
            ids: shared.ids.clone(),
            reminders: shared.reminders.clone(),
            head,
            // Grows as needed: a bounded one would take its full table at once, per log.
            conversations: LruCache::unbounded(),
            staged_objects: HashMap::new(),
            staged_relations: HashMap::new(),
            staged_idempotency: HashMap::new(),
        }
    }

    pub(super) async fn conversation(&mut self, key: &ConversationKey) -> Result<&mut Conversation> {
        if !self.conversations.contains(key) {
            let wanted = [(self.head.log, key.clone())];
            let head = self.store.conversation_heads(&wanted).await?.pop();
            let mut conversation = Conversation::default();
            if let Some(head) = head {
                (conversation.seq, conversation.message_id) = (head.seq, head.message_id);
            }
            self.conversations.put(key.clone(), conversation);
        }
        self.conversations
            .get_mut(key)
            .ok_or_else(|| Error::new(ErrorKind::Invalid, "conversation", "not in memory after loading"))
    }

    /// The place of the next entry, behind those that the draft in hand has queued.
    pub(super) fn next_place(&self, key: &ConversationKey, queued: &[Effect]) -> (Seq, MessageId) {
        let queued = queued.iter().rev().find_map(|effect| match effect {
            Effect::Append { entry, .. } if &entry.conversation == key => Some((entry.seq, entry.message_id)),
            _ => None,
        });
        let (seq, id) = queued.unwrap_or_else(|| {
            self.conversations.peek(key).map_or((Seq(0), MessageId(0)), |state| (state.seq, state.message_id))
        });
        (seq.next(), self.ids.next_after(id))
    }

    /// Folds the effects of a decided operation into memory, so that the next command sees them.
    fn fold(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Append { entry, .. } => {
                    let state =
                        self.conversations.get_or_insert_mut(entry.conversation.clone(), Default::default);
                    state.seq = entry.seq;
                    state.message_id = entry.message_id;
                    if let Some(key) = entry.idempotency {
                        state.note_stream(key.stream, key.id);
                        let hit = IdempotencyHit {
                            id: key.id,
                            conversation: entry.conversation.clone(),
                            seq: entry.seq,
                            message_id: entry.message_id,
                            at: entry.at,
                        };
                        self.staged_idempotency.insert(key, (hit, entry.body.clone()));
                    }
                }
                Effect::PutObject(object) => {
                    let key = (object.kind.clone(), object.id.clone());
                    self.forget_muc(&object.kind, &object.id);
                    self.staged_objects.insert(key, Some(object.clone()));
                }
                Effect::DeleteObject { kind, id } => {
                    self.forget_muc(kind, id);
                    self.staged_objects.insert((kind.clone(), id.clone()), None);
                }
                Effect::PutRelation(relation) => {
                    let to = ConversationKey::from_stored(&relation.to);
                    // Of a group there may be many, and its members are known otherwise.
                    if relation.kind == JOINED
                        && to.people().is_some()
                        && let Some(state) = self.conversations.get_mut(&to)
                    {
                        state.note_joined(&relation.from);
                    }
                    self.forget_pair(&relation.kind, &relation.from, &relation.to);
                    self.note_muc(&relation.kind, &relation.from, &relation.to, Some(relation.rank));
                    let key = (relation.kind.clone(), relation.from.clone(), relation.to.clone());
                    self.staged_relations.insert(key, Some(relation.clone()));
                }
                // Fields are read by the command after, and their ranks rise; positions, many, are not read here.
                Effect::RaiseRelation(relation) if relation.kind != POSITION => {
                    let key = (relation.kind.clone(), relation.from.clone(), relation.to.clone());
                    self.staged_relations.insert(key, Some(relation.clone()));
                }
                Effect::DeleteRelation { kind, from, to } => {
                    if kind == &JOINED
                        && let Some(state) = self.conversations.get_mut(&ConversationKey::from_stored(to))
                    {
                        state.note_left(from);
                    }
                    self.forget_pair(kind, from, to);
                    self.note_muc(kind, from, to, None);
                    self.staged_relations.insert((kind.clone(), from.clone(), to.clone()), None);
                }
                _ => {}
            }
        }
    }

    /// The next one who needs it reads it again.
    fn forget_pair(&mut self, kind: &Kind, from: &str, to: &str) {
        if (kind == &BLOCK || kind == &CONTACT)
            && let (Ok(one), Ok(other)) = (UserName::parse(from), UserName::parse(to))
            && let Some(state) = self.conversations.get_mut(&ConversationKey::pair(&one, &other))
        {
            state.pair = None;
        }
    }

    /// The next one who needs it reads it again.
    fn forget_muc(&mut self, kind: &Kind, id: &str) {
        if let Some(id) = MucId::parse(id)
            && kind == &object_kind(id)
            && let Some(state) = self.conversations.get_mut(&id.into())
        {
            state.muc = None;
        }
    }

    fn note_muc(&mut self, kind: &Kind, id: &str, to: &str, rank: Option<i64>) {
        if MucState::is_of(kind)
            && let Some(id) = MucId::parse(id)
            && let Some(state) = self.conversations.get_mut(&id.into())
            && let Some(muc) = &mut state.muc
        {
            muc.note(kind, to, rank);
        }
    }

    fn end_batch(&mut self) {
        while self.conversations.len() > HOT_CONVERSATIONS {
            self.conversations.pop_lru();
        }
        self.staged_objects.clear();
        self.staged_relations.clear();
        self.staged_idempotency.clear();
    }
}

/// The task that owns a log.
pub(crate) struct Writer {
    log: LogId,
    shared: Shared,
    batch_limit: usize,
    /// `None` until the log is claimed, and again after a commit whose outcome is not known.
    state: Option<State>,
}

impl Writer {
    pub(crate) fn new(log: LogId, shared: Shared, batch_limit: usize) -> Self {
        Self { log, shared, batch_limit, state: None }
    }

    /// Runs until every sender is gone and the queue is empty.
    pub(crate) async fn run(mut self, mut queue: mpsc::Receiver<Box<dyn Job>>) {
        let mut jobs: Vec<Box<dyn Job>> = Vec::with_capacity(self.batch_limit);
        while queue.recv_many(&mut jobs, self.batch_limit).await > 0 {
            self.see_through(&mut jobs).await;
        }
    }

    /// Has the jobs done, in order, here or by the core that writes the log, whatever happens to it meanwhile.
    async fn see_through(&mut self, jobs: &mut Vec<Box<dyn Job>>) {
        let begun = Instant::now();
        loop {
            match self.shared.cluster.owner(self.log) {
                Owner::Me => self.process(jobs).await,
                elsewhere => {
                    // Another core has written since, or will.
                    self.state = None;
                    let (remote, own) = std::mem::take(jobs).into_iter().partition(|job| job.is_remote());
                    *jobs = own;
                    finish_all(remote, &LogError::Moved);
                    if let (Owner::Other(node), false) = (elsewhere, jobs.is_empty()) {
                        self.forward(jobs, &node).await;
                    }
                }
            }
            if jobs.is_empty() {
                return;
            }
            if begun.elapsed() > MOVE_PATIENCE {
                finish_all(std::mem::take(jobs), &LogError::Moved);
                return;
            }
            self.shared.cluster.changed(MOVE_PAUSE).await;
        }
    }

    /// Has the jobs done by another core. Those that it surely did not do, and those that may be done twice, stay.
    async fn forward(&self, jobs: &mut Vec<Box<dyn Job>>, node: &NodeInfo) {
        let mut commands = Vec::with_capacity(jobs.len());
        for job in jobs.iter() {
            match job.encode() {
                Ok(command) => commands.push(command),
                Err(error) => return finish_all(std::mem::take(jobs), &error),
            }
        }
        let begun = Instant::now();
        let answer = self.shared.cluster.call(node, &Request::Commands { log: self.log, commands }).await;
        metrics::histogram!("log_forward_seconds").record(begun.elapsed().as_secs_f64());
        match answer {
            Ok(Answer::Commands(answers)) if answers.len() == jobs.len() => {
                for (job, answer) in std::mem::take(jobs).into_iter().zip(answers) {
                    match answer {
                        Some(answer) => job.finish_encoded(&answer),
                        None => jobs.push(job),
                    }
                }
            }
            Ok(_) | Err(PeerError::NotSent) => {}
            Err(PeerError::Lost) => {
                let (again, over) = std::mem::take(jobs).into_iter().partition(|job| job.is_repeatable());
                *jobs = again;
                finish_all(over, &LogError::Unknown);
            }
        }
    }

    /// Decides the jobs and commits them. When another writer has taken the log, they stay, and nothing was done.
    async fn process(&mut self, jobs: &mut Vec<Box<dyn Job>>) {
        let mut state = match self.take_state().await {
            Ok(state) => state,
            Err(error) => return finish_all(std::mem::take(jobs), &error.into()),
        };
        let started_at = state.head;
        let (operations, publications) = decide(&mut state, jobs).await;
        let committed = if operations.is_empty() {
            state.end_batch();
            self.state = Some(state);
            Ok(())
        } else {
            metrics::histogram!("log_commit_operations").record(operations.len() as f64);
            self.commit(state, started_at, operations).await
        };
        if let Err(error) = &committed {
            tracing::warn!(log = %self.log, error = ?error, "commit failed");
            metrics::counter!("log_commit_failures_total").increment(1);
            if error.kind() == ErrorKind::Fenced && error.surely_not_done() {
                return;
            }
        } else {
            for publication in &publications {
                self.shared.hub.publish(self.log.tenant(), publication);
            }
            self.shared.hints.publish(self.log, publications);
        }
        let outcome = committed.map_err(LogError::from);
        jobs.drain(..).for_each(|job| job.finish(outcome.clone()));
    }

    async fn take_state(&mut self) -> Result<State> {
        match self.state.take() {
            Some(state) => Ok(state),
            None => {
                let head = self.shared.store.claim(self.log, Epoch(1), None).await?;
                Ok(State::new(&self.shared, head))
            }
        }
    }

    async fn commit(
        &mut self,
        mut state: State,
        start: LogHead,
        operations: Vec<LoggedOperation>,
    ) -> Result<()> {
        let end = state.head;
        let fence = Fence { epoch: start.epoch, writer: start.writer, head: start.lsn };
        let begun = Instant::now();
        match self.shared.store.append(Step { log: self.log, fence, operations }).await {
            Ok(()) => {
                metrics::histogram!("log_commit_seconds").record(begun.elapsed().as_secs_f64());
                state.end_batch();
                self.state = Some(state);
                Ok(())
            }
            Err(error) if error.surely_not_done() => {
                // What memory holds was never written. A fenced writer claims again by dropping its state.
                if error.kind() != ErrorKind::Fenced {
                    self.state = Some(State::new(&self.shared, start));
                }
                Err(error)
            }
            Err(error) => self.settle(end, error).await,
        }
    }

    /// A commit whose answer was lost: the log itself tells whether it happened. When it cannot be asked, the commit's own
    /// error stays, which says that it may have happened: nobody may do the same again.
    async fn settle(&mut self, end: LogHead, error: Error) -> Result<()> {
        match self.has_happened(end).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(error),
            Err(unknown) => {
                tracing::warn!(log = %self.log, error = ?unknown, "whether a commit happened is not known");
                Err(error)
            }
        }
    }

    async fn has_happened(&mut self, end: LogHead) -> Result<bool> {
        let head = self.shared.store.claim(self.log, end.epoch, None).await?;
        self.state = Some(State::new(&self.shared, head));
        // Another writer may have gone on from there meanwhile.
        let before = Lsn(end.lsn.0.saturating_sub(1));
        let last = self.shared.store.operations(self.log, before, 1).await?;
        Ok(last.first().is_some_and(|last| last.lsn == end.lsn && last.chain == end.chain))
    }
}

fn finish_all(jobs: Vec<Box<dyn Job>>, error: &LogError) {
    jobs.into_iter().for_each(|job| job.finish(Err(error.clone())));
}

/// Decides a batch in order. Gives the operations, already chained behind the head, and what to publish.
async fn decide(state: &mut State, jobs: &mut [Box<dyn Job>]) -> (Vec<LoggedOperation>, Vec<Publication>) {
    let (mut operations, mut publications) = (Vec::with_capacity(jobs.len()), Vec::with_capacity(jobs.len()));
    for job in jobs {
        let mut draft = Draft::new(state);
        let keep = job.decide(&mut draft).await;
        let (effects, published) = draft.into_parts();
        if !keep {
            continue;
        }
        publications.extend(published);
        if effects.is_empty() {
            continue;
        }
        state.fold(&effects);
        let at = state.head.hlc.tick(state.clock.now());
        let operation = Operation { name: job.operation(), at, effects };
        let logged = LoggedOperation::after(&state.head, operation);
        state.head = state.head.advanced_by(&logged);
        operations.push(logged);
    }
    debug_assert!(operations.first().is_none_or(|first| first.lsn > Lsn(0)));
    (operations, publications)
}
