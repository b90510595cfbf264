//! Appends: fenced, dense, atomic.

use super::{
    StoreFixture, history,
    log::{
        LogWriter, append, delete_object, delete_relation, entry, erase, log_id, message, object, pair,
        raise, relation,
    },
};
use crate::Outcome;
use bytes::Bytes;
use futures_util::future;
use meridian_ports::{EntryRange, ErrorKind};
use meridian_types::{
    Effect, Entry, Epoch, Fence, Hlc, Incarnation, Kind, LogHead, LoggedOperation, Lsn, Operation, Seq, Step,
};

pub async fn a_step_is_read_back(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let mut writer = LogWriter::claim(store, 1).await;
    let chat = pair("alice", "bob");
    let (step, head) = writer.step(vec![
        vec![message(&chat, 1), Effect::PutObject(object("user", "alice", 5, 1)), message(&chat, 2)],
        vec![],
        vec![
            Effect::PutRelation(relation("contact", "alice", "bob", 3, "x")),
            raise("read", "bob", "chat", 9),
        ],
    ]);
    store.append(step.clone()).await.unwrap();
    writer.head = head;

    assert_eq!(store.logs(None, 10).await.unwrap(), [head]);
    assert_eq!(store.operations(writer.log(), Lsn(0), 10).await.unwrap(), step.operations);
    let entries = store.entries(writer.log(), &chat, EntryRange::after(Seq(0), 10)).await.unwrap();
    assert_eq!(entries, [entry(&chat, 1), entry(&chat, 2)]);
    let stored = store.object(writer.log(), &Kind::new("user"), "alice").await.unwrap();
    assert_eq!(stored, Some(object("user", "alice", 5, 1)));
    let stored = store.relation(writer.log(), &Kind::new("contact"), "alice", "bob").await.unwrap();
    assert_eq!(stored, Some(relation("contact", "alice", "bob", 3, "x")));
    let stored = store.relation(writer.log(), &Kind::new("read"), "bob", "chat").await.unwrap();
    assert_eq!(stored, Some(relation("read", "bob", "chat", 9, "")));
    Outcome::Ran
}

pub async fn a_fenced_writer_cannot_append(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let mut writer = LogWriter::claim(store, 1).await;
    writer.append(Vec::new()).await;
    let before = history::read(store).await;
    let (good, _) = writer.step(vec![vec![message(&pair("a", "b"), 1)]]);

    // Each of the three, above and below; the operations follow the fence's head, so that it alone is wrong.
    let fence = good.fence;
    let wrong = [
        Fence { epoch: Epoch(0), ..fence },
        Fence { epoch: Epoch(2), ..fence },
        Fence { writer: Incarnation(0), ..fence },
        Fence { writer: Incarnation(2), ..fence },
        Fence { head: Lsn(0), ..fence },
        Fence { head: Lsn(2), ..fence },
    ];
    for fence in wrong {
        let mut step = Step { fence, ..good.clone() };
        step.operations[0].lsn = fence.head.next();
        let refused = store.append(step).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Fenced, "{fence:?}");
        assert!(refused.surely_not_done());
    }
    assert_eq!(history::read(store).await, before);

    // A new claim fences the old writer, and only it.
    let newer = store.claim(writer.log(), Epoch(1), None).await.unwrap();
    assert_eq!(store.append(good).await.unwrap_err().kind(), ErrorKind::Fenced);
    LogWriter { store, head: newer }.append(Vec::new()).await;
    Outcome::Ran
}

pub async fn a_log_that_was_never_claimed_is_fenced(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let mut writer = LogWriter::claim(store, 1).await;
    writer.head.log = log_id(2);
    assert_eq!(writer.try_append(Vec::new()).await.unwrap_err().kind(), ErrorKind::Fenced);
    assert_eq!(store.logs(Some(log_id(1)), 10).await.unwrap(), []);
    Outcome::Ran
}

pub async fn operations_must_be_dense(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let writer = LogWriter::claim(store, 1).await;
    let (good, _) = writer.step(vec![Vec::new(), Vec::new(), Vec::new()]);
    for lsns in
        [vec![], vec![2, 3, 4], vec![0, 1, 2], vec![1, 2, 4], vec![1, 1, 2], vec![1, 3, 2], vec![u64::MAX]]
    {
        let mut step = good.clone();
        step.operations.truncate(lsns.len());
        for (logged, lsn) in step.operations.iter_mut().zip(&lsns) {
            logged.lsn = Lsn(*lsn);
        }
        let refused = store.append(step).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "lsns {lsns:?}");
        assert!(refused.surely_not_done());
    }
    assert_eq!(store.logs(None, 10).await.unwrap(), [writer.head]);
    store.append(good).await.unwrap();
    Outcome::Ran
}

pub async fn entries_must_be_dense(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let mut writer = LogWriter::claim(store, 1).await;
    let (chat, other) = (pair("a", "b"), pair("a", "c"));
    writer.append(vec![message(&chat, 1), message(&chat, 2)]).await;
    let before = history::read(store).await;
    for seqs in [vec![0], vec![1], vec![2], vec![4], vec![3, 3], vec![3, 5], vec![4, 3], vec![1 << 40]] {
        let effects: Vec<_> = seqs.iter().map(|seq| message(&chat, *seq)).collect();
        let refused = writer.try_append(effects).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "seqs {seqs:?}");
        assert!(refused.surely_not_done());
    }
    // Also when the wrong one is in a later operation, or of a conversation that has no entries.
    let (step, _) = writer.step(vec![vec![message(&chat, 3)], vec![message(&chat, 3)]]);
    assert_eq!(store.append(step).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(writer.try_append(vec![message(&other, 2)]).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(history::read(store).await, before);
    writer.append(vec![message(&other, 1), message(&chat, 3), message(&other, 2), message(&chat, 4)]).await;
    Outcome::Ran
}

pub async fn a_refused_step_leaves_nothing(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let mut writer = LogWriter::claim(store, 1).await;
    let chat = pair("a", "b");
    writer
        .append(vec![
            message(&chat, 1),
            Effect::PutObject(object("user", "old", 1, 1)),
            Effect::PutRelation(relation("contact", "a", "b", 1, "")),
        ])
        .await;
    let before = history::read(store).await;
    let (step, _) = writer.step(vec![
        vec![message(&chat, 2), erase(&chat, 1), Effect::PutObject(object("user", "new", 1, 1))],
        vec![
            delete_object("user", "old"),
            raise("contact", "a", "b", 50),
            delete_relation("contact", "a", "b"),
            message(&chat, 9),
        ],
    ]);
    assert_eq!(store.append(step).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(history::read(store).await, before);
    // What was refused can be sent again when it is right.
    writer.append(vec![message(&chat, 2)]).await;
    Outcome::Ran
}

pub async fn effects_happen_in_order(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let mut writer = LogWriter::claim(store, 1).await;
    let chat = pair("a", "b");
    writer.append(vec![Effect::PutRelation(relation("r", "stored", "x", 50, "old"))]).await;
    let (step, head) = writer.step(vec![
        vec![
            erase(&chat, 2), // not there yet: nothing happens
            message(&chat, 1),
            erase(&chat, 1),
            message(&chat, 2),
            Effect::PutObject(object("user", "kept", 1, 1)),
            Effect::PutObject(object("user", "gone", 1, 1)),
            delete_object("user", "kept"),
            Effect::PutRelation(relation("r", "put-raised", "x", 5, "body")),
            raise("r", "deleted-raised", "x", 5),
        ],
        vec![
            Effect::PutObject(object("user", "kept", 2, 2)),
            delete_object("user", "gone"),
            raise("r", "put-raised", "x", 9),
            raise("r", "put-raised", "x", 7),
            delete_relation("r", "deleted-raised", "x"),
            raise("r", "deleted-raised", "x", -3),
            raise("r", "raised-put", "x", 100),
            Effect::PutRelation(relation("r", "raised-put", "x", 1, "low")),
            raise("r", "raised-deleted", "x", 1),
            delete_relation("r", "raised-deleted", "x"),
            delete_relation("r", "stored", "x"),
            raise("r", "stored", "x", 1), // nothing of the deleted one is left
        ],
    ]);
    store.append(step).await.unwrap();
    writer.head = head;
    let entries = store.entries(writer.log(), &chat, EntryRange::after(Seq(0), 10)).await.unwrap();
    assert_eq!(entries, [Entry { body: None, ..entry(&chat, 1) }, entry(&chat, 2)]);
    let user = async |id| store.object(writer.log(), &Kind::new("user"), id).await.unwrap();
    assert_eq!(user("kept").await, Some(object("user", "kept", 2, 2)));
    assert_eq!(user("gone").await, None);
    let tie = async |from| store.relation(writer.log(), &Kind::new("r"), from, "x").await.unwrap();
    assert_eq!(tie("put-raised").await, Some(relation("r", "put-raised", "x", 9, "")));
    assert_eq!(tie("deleted-raised").await, Some(relation("r", "deleted-raised", "x", -3, "")));
    assert_eq!(tie("raised-put").await, Some(relation("r", "raised-put", "x", 1, "low")));
    assert_eq!(tie("raised-deleted").await, None);
    assert_eq!(tie("stored").await, Some(relation("r", "stored", "x", 1, "")));
    Outcome::Ran
}

/// A backend may commit steps of several callers together; one that is refused must not touch the others.
pub async fn a_bad_step_fails_alone(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let chat = pair("a", "b");
    let mut writers = Vec::new();
    for index in 0..12 {
        writers.push(LogWriter::claim(store, index).await);
    }
    for round in 1..=10_u64 {
        let steps = writers.iter().map(|writer| {
            let mut step = writer.step(vec![vec![message(&chat, round)]]);
            match writer.log().index() % 4 {
                1 => step.0.fence.writer = Incarnation(99),
                2 => step.0 = writer.step(vec![vec![message(&chat, round + 1)]]).0,
                _ => {}
            }
            step
        });
        let steps: Vec<_> = steps.collect();
        let answers = future::join_all(steps.iter().map(|(step, _)| store.append(step.clone()))).await;
        for ((writer, (_, head)), answer) in writers.iter_mut().zip(steps).zip(answers) {
            let expected = [None, Some(ErrorKind::Fenced), Some(ErrorKind::Invalid), None];
            let kind = answer.as_ref().err().map(meridian_ports::Error::kind);
            assert_eq!(kind, expected[usize::from(writer.log().index() % 4)], "{}", writer.log());
            if answer.is_ok() {
                writer.head = head;
            }
        }
    }
    let heads = store.logs(None, 100).await.unwrap();
    assert_eq!(heads, writers.iter().map(|writer| writer.head).collect::<Vec<LogHead>>());
    Outcome::Ran
}

pub async fn logs_do_not_see_each_other(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let mut one = LogWriter::claim(store, 1).await;
    let other = LogWriter::claim(store, 2).await;
    let chat = pair("a", "b");
    let everything = vec![
        message(&chat, 1),
        Effect::PutObject(object("user", "a", 1, 1)),
        Effect::PutRelation(relation("contact", "a", "b", 1, "")),
    ];
    one.append(everything).await;
    let read = history::read(store).await;
    let log = &read.logs[1];
    assert_eq!(log.head, other.head);
    assert!(log.operations.is_empty() && log.entries.is_empty(), "{log:?}");
    assert!(log.objects.is_empty() && log.relations.is_empty(), "{log:?}");
    assert_eq!(store.object(other.log(), &Kind::new("user"), "a").await.unwrap(), None);
    assert_eq!(store.relation(other.log(), &Kind::new("contact"), "a", "b").await.unwrap(), None);
    assert_eq!(store.entries(other.log(), &chat, EntryRange::after(Seq(0), 5)).await.unwrap(), []);
    Outcome::Ran
}

pub async fn large_steps_and_bodies_are_taken(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let mut writer = LogWriter::claim(store, 1).await;
    let chat = pair("a", "b");
    let (step, head) = writer.step((1..=1000).map(|seq| vec![message(&chat, seq)]).collect());
    store.append(step.clone()).await.unwrap();
    writer.head = head;
    assert_eq!(store.operations(writer.log(), Lsn(0), 5000).await.unwrap(), step.operations);

    let body = Bytes::from(vec![7; 300_000]);
    let large = Entry { body: Some(body), ..entry(&chat, 1001) };
    writer.append(vec![append(large.clone())]).await;
    let last = store.entries(writer.log(), &chat, EntryRange::before(Seq(u64::MAX), 1)).await.unwrap();
    assert!(last == [large], "a large body differs");
    Outcome::Ran
}

/// A replica takes older operations under the epoch of the newest.
pub async fn a_replica_keeps_the_epochs_of_operations(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let target = store.claim(log_id(1), Epoch(9), None).await.unwrap();
    let mut source = LogHead { epoch: Epoch(2), ..target };
    let mut operations = Vec::new();
    for epoch in [2, 2, 5, 9] {
        source.epoch = Epoch(epoch);
        let operation = Operation { name: "old".into(), at: Hlc(epoch), effects: Vec::new() };
        let logged = LoggedOperation::after(&source, operation);
        source = source.advanced_by(&logged);
        operations.push(logged);
    }
    let fence = Fence { epoch: Epoch(9), writer: target.writer, head: Lsn(0) };
    store.append(Step { log: log_id(1), fence, operations: operations.clone() }).await.unwrap();
    assert_eq!(store.operations(log_id(1), Lsn(0), 10).await.unwrap(), operations);
    let (older, rest) = operations.split_at(2);
    assert_eq!(store.logs(None, 10).await.unwrap(), [source]);

    // Half way, the log has the epoch of its claim, not of its last operation.
    let target = store.claim(log_id(2), Epoch(9), None).await.unwrap();
    let fence = Fence { epoch: Epoch(9), writer: target.writer, head: Lsn(0) };
    store.append(Step { log: log_id(2), fence, operations: older.to_vec() }).await.unwrap();
    let fence = Fence { head: Lsn(2), ..fence };
    assert_eq!(store.logs(Some(log_id(1)), 10).await.unwrap()[0].epoch, Epoch(9));
    store.append(Step { log: log_id(2), fence, operations: rest.to_vec() }).await.unwrap();
    Outcome::Ran
}
