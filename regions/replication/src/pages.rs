//! Walks over a store, a page at a time.

use crate::error::{ReplicationError, of_log};
use meridian_ports::{Record, Shape, Store};
use meridian_types::{LogHead, LogId};
use std::collections::VecDeque;

/// Records or logs per read.
const PAGE: usize = 512;

/// The heads of all logs. Thousands of them fit in memory easily; their contents need not.
pub(crate) async fn all_logs(store: &dyn Store) -> Result<Vec<LogHead>, ReplicationError> {
    let mut heads = Vec::<LogHead>::new();
    loop {
        let after = heads.last().map(|head| head.log);
        let page = store.logs(after, PAGE).await.map_err(|source| ReplicationError::Logs { source })?;
        if page.is_empty() {
            return Ok(heads);
        }
        heads.extend(page);
    }
}

/// The records of one shape of a log, in order, one by one.
pub(crate) struct Records<'s> {
    store: &'s dyn Store,
    log: LogId,
    shape: Shape,
    page: VecDeque<Record>,
    cursor: Option<meridian_ports::ScanCursor>,
    ended: bool,
}

impl<'s> Records<'s> {
    pub(crate) fn new(store: &'s dyn Store, log: LogId, shape: Shape) -> Self {
        Self { store, log, shape, page: VecDeque::new(), cursor: None, ended: false }
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Record>, ReplicationError> {
        if self.page.is_empty() && !self.ended {
            let page = self.store.scan(self.log, self.shape, self.cursor.take(), PAGE).await;
            self.page = page.map_err(of_log(self.log))?.into();
            self.cursor = self.page.back().map(Record::cursor);
            self.ended = self.page.is_empty();
        }
        Ok(self.page.pop_front())
    }
}

/// Shapes and their names in messages.
pub(crate) const SHAPES: [(Shape, &str); 3] =
    [(Shape::Entries, "entries"), (Shape::Objects, "objects"), (Shape::Relations, "relations")];
