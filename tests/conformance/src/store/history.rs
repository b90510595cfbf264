//! Everything a store tells, read through its verbs, so that two stores can be compared.

use meridian_ports::{Record, Shape, Store};
use meridian_types::{LogHead, LogId, LoggedOperation, Lsn};

/// All of a store.
#[derive(Debug, PartialEq, Eq)]
pub struct History {
    pub logs: Vec<LogHistory>,
}

/// All of a log.
#[derive(Debug, PartialEq, Eq)]
pub struct LogHistory {
    pub head: LogHead,
    pub operations: Vec<LoggedOperation>,
    pub entries: Vec<Record>,
    pub objects: Vec<Record>,
    pub relations: Vec<Record>,
}

/// Small, so that cases with a handful of records turn pages.
const PAGE: usize = 7;

/// Reads all of a store.
///
/// # Panics
/// When a read fails.
pub async fn read(store: &dyn Store) -> History {
    let mut logs = Vec::new();
    let mut after = None;
    loop {
        let page = store.logs(after, PAGE).await.unwrap();
        let Some(last) = page.last() else { return History { logs } };
        after = Some(last.log);
        for head in page {
            logs.push(LogHistory {
                operations: operations(store, head.log).await,
                entries: scan(store, head.log, Shape::Entries).await,
                objects: scan(store, head.log, Shape::Objects).await,
                relations: scan(store, head.log, Shape::Relations).await,
                head,
            });
        }
    }
}

/// All operations of a log.
///
/// # Panics
/// When a read fails.
pub async fn operations(store: &dyn Store, log: LogId) -> Vec<LoggedOperation> {
    let mut operations = Vec::<LoggedOperation>::new();
    loop {
        let after = operations.last().map_or(Lsn(0), |logged| logged.lsn);
        let page = store.operations(log, after, PAGE).await.unwrap();
        assert!(page.len() <= PAGE, "a page of {} where {PAGE} was the limit", page.len());
        if page.is_empty() {
            return operations;
        }
        operations.extend(page);
    }
}

/// Everything of one shape in a log.
///
/// # Panics
/// When a read fails.
pub async fn scan(store: &dyn Store, log: LogId, shape: Shape) -> Vec<Record> {
    let mut records = Vec::<Record>::new();
    loop {
        let after = records.last().map(Record::cursor);
        let page = store.scan(log, shape, after, PAGE).await.unwrap();
        assert!(page.len() <= PAGE, "a page of {} where {PAGE} was the limit", page.len());
        if page.is_empty() {
            return records;
        }
        records.extend(page);
    }
}
