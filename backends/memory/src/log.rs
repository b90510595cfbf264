//! What one log holds. A step is checked as a whole before anything of it is taken.

use meridian_ports::{Error, ErrorKind, Result};
use meridian_types::{
    ConversationKey, Effect, Entry, IdempotencyKey, Kind, LogHead, LoggedOperation, Object, Relation, Seq,
    Step,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
};

#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) head: LogHead,
    /// Detached: the bodies are in `entries` only, so that an erase has one place to reach.
    operations: Vec<LoggedOperation>,
    pub(crate) entries: BTreeMap<(ConversationKey, Seq), Entry>,
    pub(crate) objects: BTreeMap<(Kind, String), Object>,
    pub(crate) relations: BTreeMap<(Kind, String, String), Relation>,
    pub(crate) idempotency: BTreeSet<(IdempotencyKey, ConversationKey, Seq)>,
}

impl Log {
    pub(crate) fn new(head: LogHead) -> Self {
        Self {
            head,
            operations: Vec::new(),
            entries: BTreeMap::new(),
            objects: BTreeMap::new(),
            relations: BTreeMap::new(),
            idempotency: BTreeSet::new(),
        }
    }

    /// The last entry of a conversation.
    pub(crate) fn last_entry(&self, conversation: &ConversationKey) -> Option<&Entry> {
        let all = (conversation.clone(), Seq(0))..=(conversation.clone(), Seq(u64::MAX));
        self.entries.range(all).next_back().map(|(_, entry)| entry)
    }

    /// Operations after an lsn, with the bodies that are left.
    pub(crate) fn operations(&self, after: u64, limit: usize) -> Vec<LoggedOperation> {
        let skip = usize::try_from(after).unwrap_or(usize::MAX);
        let page = self.operations.iter().skip(skip).take(limit);
        page.cloned().map(|logged| self.attach_bodies(logged)).collect()
    }

    fn attach_bodies(&self, mut logged: LoggedOperation) -> LoggedOperation {
        for entry in logged.operation.appended_mut() {
            let stored = self.entries.get(&(entry.conversation.clone(), entry.seq));
            entry.body = stored.and_then(|stored| stored.body.clone());
        }
        logged
    }

    /// Checks a step's fence and the density of what it appends.
    pub(crate) fn check(&self, step: &Step) -> Result<()> {
        let (head, fence) = (&self.head, &step.fence);
        if (head.epoch, head.writer, head.lsn) != (fence.epoch, fence.writer, fence.head) {
            return Err(Error::new(
                ErrorKind::Fenced,
                "append",
                format!(
                    "log {} is at epoch {}, writer {}, lsn {}",
                    step.log, head.epoch, head.writer, head.lsn
                ),
            ));
        }
        let mut lasts = HashMap::<&ConversationKey, Seq>::new();
        for effect in step.operations.iter().flat_map(|logged| &logged.operation.effects) {
            let entry = match effect {
                Effect::Append { entry, .. } => entry,
                known if is_known(known) => continue,
                _ => {
                    return Err(Error::new(
                        ErrorKind::Unsupported,
                        "append",
                        "an effect this store does not know",
                    ));
                }
            };
            let last = lasts
                .entry(&entry.conversation)
                .or_insert_with(|| self.last_entry(&entry.conversation).map_or(Seq(0), |entry| entry.seq));
            if entry.seq != last.next() {
                return Err(Error::new(
                    ErrorKind::Invalid,
                    "append",
                    format!("entry {} of {:?} does not follow {last}", entry.seq, entry.conversation),
                ));
            }
            *last = entry.seq;
        }
        Ok(())
    }

    /// Takes a step that was checked.
    pub(crate) fn take(&mut self, step: Step) {
        for mut logged in step.operations {
            // The epoch of the log is changed by claims alone: a replica may take older operations under a newer one.
            self.head = LogHead { epoch: self.head.epoch, ..self.head.advanced_by(&logged) };
            for effect in &mut logged.operation.effects {
                self.apply(effect);
            }
            self.operations.push(logged);
        }
    }

    /// Applies an effect and takes the body out of it.
    fn apply(&mut self, effect: &mut Effect) {
        match effect {
            Effect::Append { entry, .. } => {
                let key = (entry.conversation.clone(), entry.seq);
                if let Some(idempotency) = entry.idempotency {
                    self.idempotency.insert((idempotency, key.0.clone(), key.1));
                }
                let body = entry.body.take();
                self.entries.insert(key, Entry { body, ..entry.clone() });
            }
            Effect::Erase { conversation, seq } => {
                if let Some(entry) = self.entries.get_mut(&(conversation.clone(), *seq)) {
                    entry.body = None;
                }
            }
            Effect::PutObject(object) => {
                self.objects.insert((object.kind.clone(), object.id.clone()), object.clone());
            }
            Effect::DeleteObject { kind, id } => {
                self.objects.remove(&(kind.clone(), id.clone()));
            }
            Effect::PutRelation(relation) => {
                self.relations.insert(relation_key(relation), relation.clone());
            }
            Effect::RaiseRelation(raised) => {
                let stored = self.relations.entry(relation_key(raised)).or_insert_with(|| raised.clone());
                if (raised.rank, &raised.body) > (stored.rank, &stored.body) {
                    *stored = raised.clone();
                }
            }
            Effect::DeleteRelation { kind, from, to } => {
                self.relations.remove(&(kind.clone(), from.clone(), to.clone()));
            }
            // `check` refused the step.
            _ => {}
        }
    }

    /// Everything of one shape after a key, in key order.
    pub(crate) fn page<K: Ord, V: Clone>(
        map: &BTreeMap<K, V>,
        after: Option<K>,
        limit: usize,
    ) -> impl Iterator<Item = V> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        map.range((start, Bound::Unbounded)).take(limit).map(|(_, value)| value.clone())
    }
}

fn relation_key(relation: &Relation) -> (Kind, String, String) {
    (relation.kind.clone(), relation.from.clone(), relation.to.clone())
}

/// Whether an effect is one that [`Log::apply`] carries out.
fn is_known(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::Append { .. }
            | Effect::Erase { .. }
            | Effect::PutObject(_)
            | Effect::DeleteObject { .. }
            | Effect::PutRelation(_)
            | Effect::RaiseRelation(_)
            | Effect::DeleteRelation { .. }
    )
}
