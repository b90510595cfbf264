//! Two stores side by side.

use crate::{
    error::ReplicationError,
    pages::{Records, SHAPES, all_logs},
};
use meridian_ports::{Record, ScanCursor, Shape, Store};
use meridian_types::{ConversationKey, Hash, Kind, LogHead, LogId, Lsn, Seq};
use std::collections::{BTreeMap, BTreeSet};

/// One thing that two stores do not have alike. The writer's incarnation is each store's own and not compared.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// Only one store has the log.
    MissingLog {
        log: LogId,
        first: bool,
    },
    /// The log stands elsewhere (lsn, chain) in the second store.
    Head {
        log: LogId,
        first: (Lsn, Hash),
        second: (Lsn, Hash),
    },
    /// An entry that is missing or other in one of them. Bodies are not shown.
    Entry {
        log: LogId,
        conversation: ConversationKey,
        seq: Seq,
    },
    Object {
        log: LogId,
        kind: Kind,
        id: String,
    },
    Relation {
        log: LogId,
        kind: Kind,
        from: String,
        to: String,
    },
}

/// The differences of two stores, at most `limit` of them: none means equal. Stores that are being written may differ
/// for the moment only.
pub async fn compare(
    first: &dyn Store,
    second: &dyn Store,
    limit: usize,
) -> Result<Vec<Difference>, ReplicationError> {
    let by_id = |heads: Vec<LogHead>| heads.into_iter().map(|head| (head.log, head)).collect();
    let (a, b): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (by_id(all_logs(first).await?), by_id(all_logs(second).await?));
    let mut found = Vec::new();
    for log in a.keys().chain(b.keys()).copied().collect::<BTreeSet<_>>() {
        if found.len() >= limit {
            break;
        }
        let (Some(a), Some(b)) = (a.get(&log), b.get(&log)) else {
            found.push(Difference::MissingLog { log, first: !a.contains_key(&log) });
            continue;
        };
        let (a, b) = ((a.lsn, a.chain), (b.lsn, b.chain));
        if a != b {
            found.push(Difference::Head { log, first: a, second: b });
        }
        for (shape, _) in SHAPES {
            compare_shape(first, second, (log, shape), limit, &mut found).await?;
        }
    }
    found.truncate(limit);
    Ok(found)
}

/// Merges two walks in key order.
async fn compare_shape(
    first: &dyn Store,
    second: &dyn Store,
    (log, shape): (LogId, Shape),
    limit: usize,
    found: &mut Vec<Difference>,
) -> Result<(), ReplicationError> {
    let (mut a, mut b) = (Records::new(first, log, shape), Records::new(second, log, shape));
    let (mut left, mut right) = (a.next().await?, b.next().await?);
    while found.len() < limit {
        let order = match (&left, &right) {
            (None, None) => break,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(left), Some(right)) => key(left).cmp(&key(right)),
        };
        if (left != right || order.is_ne())
            && let Some(record) = if order.is_gt() { &right } else { &left }
        {
            found.push(difference(log, record));
        }
        if order.is_le() {
            left = a.next().await?;
        }
        if order.is_ge() {
            right = b.next().await?;
        }
    }
    Ok(())
}

/// What scans of one shape are ordered by.
fn key(record: &Record) -> (&str, &str, &str, Seq) {
    match record {
        Record::Entry(entry) => (entry.conversation.as_str(), "", "", entry.seq),
        Record::Object(object) => (object.kind.as_str(), &object.id, "", Seq(0)),
        Record::Relation(relation) => (relation.kind.as_str(), &relation.from, &relation.to, Seq(0)),
    }
}

fn difference(log: LogId, record: &Record) -> Difference {
    match record.cursor() {
        ScanCursor::Entry(conversation, seq) => Difference::Entry { log, conversation, seq },
        ScanCursor::Object(kind, id) => Difference::Object { log, kind, id },
        ScanCursor::Relation(kind, from, to) => Difference::Relation { log, kind, from, to },
    }
}
