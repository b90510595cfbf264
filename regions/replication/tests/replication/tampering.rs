//! A store that lies about one thing. Each lie must be found, by name, in `apply`, in `replay` and in `verify`.

use super::stores::fill;
use async_trait::async_trait;
use bytes::Bytes;
use meridian_conformance::store::{history, log::log_id};
use meridian_memory::MemoryStore;
use meridian_ports::{
    ConversationHead, EntryRange, IdempotencyHit, ObjectPage, Record, RelationPage, Result, ScanCursor,
    Shape, Store,
};
use meridian_replication::{Difference, ReplicationError, apply, compare, replay, verify};
use meridian_types::{
    ConversationKey, Effect, Entry, Epoch, Hash, IdempotencyKey, Incarnation, Kind, LogHead, LogId,
    LoggedOperation, Lsn, Object, Relation, Seq, Step,
};

/// Where the lie is: of 21 operations, so that there are some before and after.
const PLACE: Lsn = Lsn(10);

#[derive(Clone, Copy, Debug)]
enum Lie {
    /// Another name, the chain as it was.
    Name,
    /// Another name, and a chain that fits it: the next operation does not.
    NameAndChain,
    Hole,
    Twice,
    Swapped,
    Body,
    BodyHash,
    Epoch,
    EffectLost,
    End,
    HeadChain,
    EntryLost,
    EntryOther,
    ObjectOther,
}

#[derive(Debug)]
struct Liar {
    inner: MemoryStore,
    lie: Lie,
}

impl Liar {
    async fn new(lie: Lie) -> Self {
        let inner = MemoryStore::new();
        fill(&inner).await;
        Self { inner, lie }
    }

    fn twist(&self, logged: &mut LoggedOperation, before: Hash) {
        match self.lie {
            Lie::Name => logged.operation.name = "other".into(),
            Lie::NameAndChain => {
                logged.operation.name = "other".into();
                let detached = logged.operation.encode_detached();
                logged.chain = meridian_types::log::chain_next(&before, logged.epoch, logged.lsn, &detached);
            }
            Lie::Body => {
                for entry in logged.operation.appended_mut() {
                    entry.body = Some(Bytes::from_static(b"what was never said"));
                }
            }
            Lie::BodyHash => {
                if let Some(Effect::Append { body_hash, .. }) = logged.operation.effects.first_mut() {
                    *body_hash = Hash::of(b"what was never said");
                }
            }
            Lie::Epoch => logged.epoch = Epoch(0),
            Lie::EffectLost => drop(logged.operation.effects.pop()),
            _ => {}
        }
    }
}

#[async_trait]
impl Store for Liar {
    fn describe(&self) -> String {
        "liar".into()
    }

    async fn claim(&self, log: LogId, epoch: Epoch, expected: Option<Incarnation>) -> Result<LogHead> {
        self.inner.claim(log, epoch, expected).await
    }

    async fn append(&self, step: Step) -> Result<()> {
        self.inner.append(step).await
    }

    async fn logs(&self, after: Option<LogId>, limit: usize) -> Result<Vec<LogHead>> {
        let mut heads = self.inner.logs(after, limit).await?;
        if let (Lie::HeadChain, Some(head)) = (self.lie, heads.first_mut()) {
            head.chain = Hash::of(b"elsewhere");
        }
        Ok(heads)
    }

    async fn operations(&self, log: LogId, after: Lsn, limit: usize) -> Result<Vec<LoggedOperation>> {
        let mut all = self.inner.operations(log, Lsn(0), usize::MAX).await?;
        let place = PLACE.0 as usize - 1;
        let before = all[place - 1].chain;
        self.twist(&mut all[place], before);
        match self.lie {
            Lie::Hole => drop(all.remove(place)),
            Lie::Twice => all.insert(place, all[place].clone()),
            Lie::Swapped => all.swap(place, place + 1),
            Lie::End => all.truncate(place),
            _ => {}
        }
        let from = all.iter().position(|logged| logged.lsn > after).unwrap_or(all.len());
        Ok(all.into_iter().skip(from).take(limit).collect())
    }

    async fn entries(&self, log: LogId, chat: &ConversationKey, range: EntryRange) -> Result<Vec<Entry>> {
        self.inner.entries(log, chat, range).await
    }

    async fn conversation_heads(&self, of: &[(LogId, ConversationKey)]) -> Result<Vec<ConversationHead>> {
        self.inner.conversation_heads(of).await
    }

    async fn idempotency(&self, log: LogId, key: IdempotencyKey) -> Result<Option<IdempotencyHit>> {
        self.inner.idempotency(log, key).await
    }

    async fn object(&self, log: LogId, kind: &Kind, id: &str) -> Result<Option<Object>> {
        self.inner.object(log, kind, id).await
    }

    async fn objects(&self, logs: &[LogId], kind: &Kind, page: ObjectPage) -> Result<Vec<(LogId, Object)>> {
        self.inner.objects(logs, kind, page).await
    }

    async fn relation(&self, log: LogId, kind: &Kind, from: &str, to: &str) -> Result<Option<Relation>> {
        self.inner.relation(log, kind, from, to).await
    }

    async fn relations(
        &self,
        logs: &[LogId],
        kind: &Kind,
        from: &str,
        page: RelationPage,
    ) -> Result<Vec<(LogId, Relation)>> {
        self.inner.relations(logs, kind, from, page).await
    }

    async fn scan(
        &self,
        log: LogId,
        shape: Shape,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        let mut records = self.inner.scan(log, shape, after, limit).await?;
        match (self.lie, records.get_mut(5)) {
            (Lie::EntryLost, Some(Record::Entry(_))) => drop(records.remove(5)),
            (Lie::EntryOther, Some(Record::Entry(entry))) => entry.body = Some(Bytes::from_static(b"other")),
            (Lie::ObjectOther, Some(Record::Object(object))) => object.rank += 1,
            _ => {}
        }
        Ok(records)
    }
}

/// Whether an error is the one that a lie must give.
fn names(lie: Lie, error: &ReplicationError) -> bool {
    use ReplicationError as E;
    let next = PLACE.next();
    match (lie, error) {
        (Lie::Name | Lie::BodyHash | Lie::EffectLost, E::Chain { log, lsn }) => {
            (*log, *lsn) == (log_id(0), PLACE)
        }
        (Lie::NameAndChain, E::Chain { log, lsn }) => (*log, *lsn) == (log_id(0), next),
        (Lie::Hole | Lie::Swapped, E::NotDense { expected, found, .. }) => {
            (*expected, *found) == (PLACE, next)
        }
        (Lie::Twice, E::NotDense { expected, found, .. }) => (*expected, *found) == (next, PLACE),
        (Lie::Body, E::Body { lsn, seq, .. }) => (*lsn, *seq) == (PLACE, Seq(10)),
        (Lie::Epoch, E::EpochWentBack { lsn, found, .. }) => (*lsn, *found) == (PLACE, Epoch(0)),
        (Lie::End, E::Head { head, found, .. }) => (head.0, found.0) == (21, PLACE.0 - 1),
        _ => false,
    }
}

const IN_THE_FEED: [Lie; 9] = [
    Lie::Name,
    Lie::NameAndChain,
    Lie::Hole,
    Lie::Twice,
    Lie::Swapped,
    Lie::Body,
    Lie::BodyHash,
    Lie::Epoch,
    Lie::EffectLost,
];

#[tokio::test]
async fn apply_names_each_lie_and_writes_nothing() {
    for lie in IN_THE_FEED {
        let (source, target) = (Liar::new(lie).await, MemoryStore::new());
        let head = target.claim(log_id(0), Epoch(1), None).await.unwrap();
        let operations = source.operations(log_id(0), Lsn(0), 99).await.unwrap();
        let refused = apply(&target, &head, operations).await.unwrap_err();
        assert!(names(lie, &refused), "{lie:?} gave {refused}");
        let read = history::read(&target).await;
        assert!(read.logs[0].operations.is_empty() && read.logs[0].entries.is_empty(), "{lie:?}");
        assert_eq!(read.logs[0].head, head);
    }
}

#[tokio::test]
async fn replay_and_verify_name_each_lie() {
    for lie in IN_THE_FEED.into_iter().chain([Lie::End]) {
        let source = Liar::new(lie).await;
        let refused = replay(&source, &MemoryStore::new()).await.unwrap_err();
        assert!(names(lie, &refused), "replay of {lie:?} gave {refused}");
        let refused = verify(&source).await.unwrap_err();
        assert!(names(lie, &refused), "verify of {lie:?} gave {refused}");
    }
}

#[tokio::test]
async fn verify_finds_a_head_and_entries_that_do_not_fit() {
    let refused = verify(&Liar::new(Lie::HeadChain).await).await.unwrap_err();
    assert!(matches!(refused, ReplicationError::Chain { lsn: Lsn(21), .. }), "{refused}");
    let refused = verify(&Liar::new(Lie::EntryLost).await).await.unwrap_err();
    assert!(matches!(refused, ReplicationError::Records { shape: "entries", .. }), "{refused}");
}

#[tokio::test]
async fn compare_finds_records_that_differ_or_are_missing() {
    let honest = MemoryStore::new();
    fill(&honest).await;
    for lie in [Lie::EntryLost, Lie::EntryOther, Lie::ObjectOther] {
        let liar = Liar::new(lie).await;
        for differences in
            [compare(&honest, &liar, 99).await.unwrap(), compare(&liar, &honest, 99).await.unwrap()]
        {
            assert_eq!(differences.len(), 3, "one in each log: {differences:?}");
            let of_entry = matches!(differences[0], Difference::Entry { seq: Seq(6), .. });
            let of_object = matches!(differences[0], Difference::Object { .. });
            assert!(if matches!(lie, Lie::ObjectOther) { of_object } else { of_entry }, "{differences:?}");
        }
    }
}
