//! Random histories: the same actions on the backend and on the store in memory must give the same answers, and leave
//! the same heads, feeds and records.

use super::{
    StoreFixture, history,
    log::{append, entry, object, pair, relation},
};
use crate::Outcome;
use meridian_memory::MemoryStore;
use meridian_ports::{EntryRange, ErrorKind, ObjectPage, RelationPage, Result, Store};
use meridian_types::{
    ConversationKey, Effect, Entry, Epoch, Fence, Hlc, IdempotencyKey, Incarnation, Kind, LogClass, LogHead,
    LogId, LoggedOperation, Lsn, Operation, RegionId, Seq, Step, TenantId,
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use std::{
    collections::HashMap,
    sync::atomic::{AtomicU32, Ordering},
};

const HISTORIES: u32 = 48;
const LOGS: u16 = 3;
const NAMES: [&str; 4] = ["a", "b", "ab", "a.b"];
const KINDS: [Kind; 2] = [Kind::new("user"), Kind::new("use")];

#[derive(Clone, Debug)]
enum Action {
    Claim { log: u16, epoch: u64, expected: Option<u64> },
    Step { log: u16, fault: Fault, operations: Vec<Vec<Change>> },
    Read(Read),
}

/// What is wrong with a step.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    Epoch,
    Writer,
    Head,
    Lsn,
}

/// An effect before its `seq` is known.
#[derive(Clone, Debug)]
enum Change {
    /// `skip` is 0 in a right one.
    Append {
        chat: usize,
        skip: u64,
        key: Option<(u64, u64)>,
        body: bool,
    },
    Erase {
        chat: usize,
        seq: u64,
    },
    PutObject {
        kind: usize,
        id: usize,
        rank: i64,
    },
    DeleteObject {
        kind: usize,
        id: usize,
    },
    PutRelation {
        kind: usize,
        from: usize,
        to: usize,
        rank: i64,
    },
    Raise {
        kind: usize,
        from: usize,
        to: usize,
        rank: i64,
    },
    DeleteRelation {
        kind: usize,
        from: usize,
        to: usize,
    },
}

#[derive(Clone, Debug)]
enum Read {
    Operations { log: u16, after: u64, limit: usize },
    Entries { log: u16, chat: usize, bound: u64, before: bool, limit: usize },
    Heads,
    Idempotency { log: u16, stream: u64, id: u64 },
    Objects { logs: Vec<u16>, kind: usize, after: Option<(i64, usize)>, limit: usize },
    Relations { log: u16, kind: usize, from: usize, after: Option<usize>, limit: usize, backwards: bool },
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let claim = (0..LOGS, 0..4_u64, prop::option::of(0..4_u64))
        .prop_map(|(log, epoch, expected)| Action::Claim { log, epoch, expected });
    let fault = prop_oneof![
        12 => Just(Fault::None),
        1 => Just(Fault::Epoch),
        1 => Just(Fault::Writer),
        1 => Just(Fault::Head),
        1 => Just(Fault::Lsn),
    ];
    let operations = prop::collection::vec(prop::collection::vec(change(), 0..6), 0..4);
    let step = (0..LOGS, fault, operations).prop_map(|(log, fault, operations)| Action::Step {
        log,
        fault,
        operations,
    });
    let action = prop_oneof![1 => claim, 6 => step, 3 => read().prop_map(Action::Read)];
    prop::collection::vec(action, 1..40)
}

fn change() -> impl Strategy<Value = Change> {
    let (name, kind, rank) = (0..NAMES.len(), 0..KINDS.len(), -2..3_i64);
    let skip = prop_oneof![30 => Just(0_u64), 1 => 1..3_u64];
    prop_oneof![
        4 => (name.clone(), skip, prop::option::of((0..2_u64, 0..9_u64)), any::<bool>())
            .prop_map(|(chat, skip, key, body)| Change::Append { chat, skip, key, body }),
        1 => (name.clone(), 0..9_u64).prop_map(|(chat, seq)| Change::Erase { chat, seq }),
        2 => (kind.clone(), name.clone(), rank.clone())
            .prop_map(|(kind, id, rank)| Change::PutObject { kind, id, rank }),
        1 => (kind.clone(), name.clone()).prop_map(|(kind, id)| Change::DeleteObject { kind, id }),
        2 => (kind.clone(), name.clone(), name.clone(), rank.clone())
            .prop_map(|(kind, from, to, rank)| Change::PutRelation { kind, from, to, rank }),
        2 => (kind.clone(), name.clone(), name.clone(), rank)
            .prop_map(|(kind, from, to, rank)| Change::Raise { kind, from, to, rank }),
        1 => (kind, name.clone(), name)
            .prop_map(|(kind, from, to)| Change::DeleteRelation { kind, from, to }),
    ]
}

fn read() -> impl Strategy<Value = Read> {
    let (name, kind, limit) = (0..NAMES.len(), 0..KINDS.len(), 0..6_usize);
    prop_oneof![
        (0..LOGS, 0..9_u64, limit.clone()).prop_map(|(log, after, limit)| Read::Operations {
            log,
            after,
            limit
        }),
        (0..LOGS, name.clone(), 0..9_u64, any::<bool>(), limit.clone())
            .prop_map(|(log, chat, bound, before, limit)| Read::Entries { log, chat, bound, before, limit }),
        Just(Read::Heads),
        (0..LOGS, 0..2_u64, 0..9_u64).prop_map(|(log, stream, id)| Read::Idempotency { log, stream, id }),
        (
            prop::collection::vec(0..LOGS, 0..4),
            kind.clone(),
            prop::option::of((-2..3_i64, name.clone())),
            limit.clone()
        )
            .prop_map(|(logs, kind, after, limit)| Read::Objects { logs, kind, after, limit }),
        (0..LOGS, kind, name.clone(), prop::option::of(name), limit, any::<bool>()).prop_map(
            |(log, kind, from, after, limit, backwards)| Read::Relations {
                log,
                kind,
                from,
                after,
                limit,
                backwards
            }
        ),
    ]
}

pub async fn random_histories_match_the_model(fixture: StoreFixture) -> Outcome {
    // Each history has a tenant of its own, so that all of them, and each attempt to shrink one, start fresh.
    let tenants = AtomicU32::new(1);
    let config = Config { cases: HISTORIES, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&actions(), |actions| {
        let tenant = TenantId(tenants.fetch_add(1, Ordering::Relaxed));
        let compared = compare(&*fixture.store, tenant, actions);
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(compared))
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    Outcome::Ran
}

async fn compare(
    store: &dyn Store,
    tenant: TenantId,
    actions: Vec<Action>,
) -> std::result::Result<(), TestCaseError> {
    let (model, logs) = (MemoryStore::new(), Logs { tenant });
    let mut heads = HashMap::<u16, LogHead>::new();
    for action in actions {
        match action {
            Action::Claim { log, epoch, expected } => {
                let claim = (logs.id(log), Epoch(epoch), expected.map(Incarnation));
                let expected = model.claim(claim.0, claim.1, claim.2).await;
                let answer = store.claim(claim.0, claim.1, claim.2).await;
                if let Ok(head) = expected {
                    heads.insert(log, head);
                }
                prop_assert_eq!(words(answer), words(expected), "{:?}", claim);
            }
            Action::Step { log, fault, operations } => {
                let never_claimed = LogHead { log: logs.id(log), ..LOG_HEAD };
                let head = heads.get(&log).copied().unwrap_or(never_claimed);
                let (step, next) = make_step(&model, head, fault, operations).await;
                let expected = model.append(step.clone()).await;
                let answer = store.append(step.clone()).await;
                if expected.is_ok() {
                    heads.insert(log, next);
                }
                prop_assert_eq!(words(answer), words(expected), "{:?}", step);
            }
            Action::Read(read) => {
                let (answer, expected) =
                    (answer(store, logs, &read).await, answer(&model, logs, &read).await);
                prop_assert_eq!(answer, expected, "{:?}", read);
            }
        }
    }
    for log in (0..LOGS).map(|log| logs.id(log)) {
        let before = LogId::from_raw(log.raw() - 1);
        let (found, expected) = (store.logs(Some(before), 1).await, model.logs(Some(before), 1).await);
        let of_log =
            |heads: Result<Vec<LogHead>>| heads.map(|heads| heads.first().filter(|h| h.log == log).copied());
        prop_assert_eq!(words(of_log(found)), words(of_log(expected)));
        prop_assert_eq!(history::operations(store, log).await, history::operations(&model, log).await);
        use meridian_ports::Shape::{Entries, Objects, Relations};
        for shape in [Entries, Objects, Relations] {
            let (found, expected) =
                (history::scan(store, log, shape).await, history::scan(&model, log, shape).await);
            prop_assert_eq!(found, expected);
        }
    }
    Ok(())
}

const LOG_HEAD: LogHead = LogHead {
    log: LogId::from_raw(0),
    epoch: Epoch(1),
    writer: Incarnation(1),
    lsn: Lsn(0),
    hlc: Hlc(0),
    chain: meridian_types::Hash([0; 32]),
};

/// The logs of one history.
#[derive(Clone, Copy)]
struct Logs {
    tenant: TenantId,
}

impl Logs {
    fn id(self, index: u16) -> LogId {
        LogId::new(self.tenant, LogClass::Owned, RegionId(0), index)
    }
}

/// What both stores must agree on: the value, or the kind of the error.
fn words<T>(answer: Result<T>) -> std::result::Result<T, ErrorKind> {
    answer.map_err(|error| error.kind())
}

fn chat(index: usize) -> ConversationKey {
    pair("x", NAMES[index])
}

async fn make_step(
    model: &MemoryStore,
    head: LogHead,
    fault: Fault,
    operations: Vec<Vec<Change>>,
) -> (Step, LogHead) {
    let wanted: Vec<_> = (0..NAMES.len()).map(|index| (head.log, chat(index))).collect();
    let stored = model.conversation_heads(&wanted).await.unwrap();
    let mut lasts: HashMap<_, _> = stored.into_iter().map(|head| (head.conversation, head.seq)).collect();
    let mut next = head;
    let mut logged = Vec::new();
    for changes in operations {
        let effects = changes.into_iter().map(|change| change.effect(&mut lasts)).collect();
        let operation = Operation { name: "random".into(), at: Hlc(next.hlc.0 + 1), effects };
        logged.push(LoggedOperation::after(&next, operation));
        next = next.advanced_by(&logged[logged.len() - 1]);
    }
    let mut fence = Fence { epoch: head.epoch, writer: head.writer, head: head.lsn };
    match fault {
        Fault::None => {}
        Fault::Epoch => fence.epoch.0 += 1,
        Fault::Writer => fence.writer.0 += 1,
        Fault::Head => fence.head.0 += 1,
        Fault::Lsn => logged.iter_mut().for_each(|logged| logged.lsn.0 += 1),
    }
    (Step { log: head.log, fence, operations: logged }, next)
}

impl Change {
    fn effect(self, lasts: &mut HashMap<ConversationKey, Seq>) -> Effect {
        let names = |kind: usize, from: usize, to: usize| {
            (KINDS[kind].clone(), NAMES[from].to_owned(), NAMES[to].to_owned())
        };
        match self {
            Self::Append { chat: index, skip, key, body } => {
                let chat = chat(index);
                let last = lasts.entry(chat.clone()).or_default();
                *last = Seq(last.0 + 1 + skip);
                let mut entry = entry(&chat, last.0);
                entry.idempotency = key.map(|(stream, id)| IdempotencyKey { stream, id });
                append(if body { entry } else { Entry { body: None, ..entry } })
            }
            Self::Erase { chat: index, seq } => Effect::Erase { conversation: chat(index), seq: Seq(seq) },
            Self::PutObject { kind, id, rank } => {
                let kind = KINDS[kind].clone();
                Effect::PutObject(meridian_types::Object { kind, ..object("", NAMES[id], rank, 1) })
            }
            Self::DeleteObject { kind, id } => {
                Effect::DeleteObject { kind: KINDS[kind].clone(), id: NAMES[id].to_owned() }
            }
            Self::PutRelation { kind, from, to, rank } => {
                let kind = KINDS[kind].clone();
                let put = relation("", NAMES[from], NAMES[to], rank, "body");
                Effect::PutRelation(meridian_types::Relation { kind, ..put })
            }
            Self::Raise { kind, from, to, rank } => {
                let kind = KINDS[kind].clone();
                let body = if rank % 2 == 0 { "even" } else { "" };
                let raised = relation("", NAMES[from], NAMES[to], rank, body);
                Effect::RaiseRelation(meridian_types::Relation { kind, ..raised })
            }
            Self::DeleteRelation { kind, from, to } => {
                let (kind, from, to) = names(kind, from, to);
                Effect::DeleteRelation { kind, from, to }
            }
        }
    }
}

/// The answer to a read, in words.
async fn answer(store: &dyn Store, logs: Logs, read: &Read) -> String {
    match read {
        Read::Operations { log, after, limit } => {
            format!("{:?}", words(store.operations(logs.id(*log), Lsn(*after), *limit).await))
        }
        Read::Entries { log, chat: index, bound, before, limit } => {
            let range = if *before { EntryRange::before } else { EntryRange::after };
            let range = range(Seq(*bound), *limit);
            format!("{:?}", words(store.entries(logs.id(*log), &chat(*index), range).await))
        }
        Read::Heads => {
            let wanted =
                (0..LOGS).flat_map(|log| (0..NAMES.len()).map(move |index| (logs.id(log), chat(index))));
            let mut heads = store.conversation_heads(&wanted.collect::<Vec<_>>()).await.unwrap();
            heads.sort_by_key(|head| (head.log, head.conversation.clone()));
            format!("{heads:?}")
        }
        Read::Idempotency { log, stream, id } => {
            let key = IdempotencyKey { stream: *stream, id: *id };
            format!("{:?}", words(store.idempotency(logs.id(*log), key).await))
        }
        Read::Objects { logs: wanted, kind, after, limit } => {
            let wanted: Vec<_> = wanted.iter().map(|log| logs.id(*log)).collect();
            let after = after.map(|(rank, id)| (rank, NAMES[id].to_owned()));
            format!(
                "{:?}",
                words(store.objects(&wanted, &KINDS[*kind], ObjectPage::new(after, *limit)).await)
            )
        }
        Read::Relations { log, kind, from, after, limit, backwards } => {
            let page = if *backwards { RelationPage::backwards } else { RelationPage::new };
            let page = page(after.map(|to| NAMES[to].to_owned()), *limit);
            let found = store.relations(&[logs.id(*log)], &KINDS[*kind], NAMES[*from], page).await;
            format!("{:?}", words(found))
        }
    }
}
