//! The walk over everything of one shape.

use super::{entry_of, failed, object_of, relation_of};
use crate::numbers::{bits, bound, limit};
use meridian_ports::{Error, ErrorKind, Record, Result, ScanCursor, Shape};
use meridian_types::LogId;
use sqlx::sqlite::SqlitePool;

macro_rules! select_entries {
    ($start:literal) => {
        concat!(
            "SELECT conversation, seq, message_id, at, header, body FROM entry WHERE log = ?1 ",
            $start,
            " ORDER BY conversation, seq LIMIT ?2"
        )
    };
}

macro_rules! select_objects {
    ($start:literal) => {
        concat!(
            "SELECT kind, id, rank, version, body FROM object WHERE log = ?1 ",
            $start,
            " ORDER BY kind, id LIMIT ?2"
        )
    };
}

macro_rules! select_relations {
    ($start:literal) => {
        concat!(
            "SELECT kind, from_id, to_id, rank, body FROM relation WHERE log = ?1 ",
            $start,
            " ORDER BY kind, from_id, to_id LIMIT ?2"
        )
    };
}

pub(crate) async fn scan(
    readers: &SqlitePool,
    log: LogId,
    shape: Shape,
    after: Option<ScanCursor>,
    rows: usize,
) -> Result<Vec<Record>> {
    const VERB: &str = "scan";
    let start = |text: &'static str| sqlx::query(text).bind(bits(log.raw())).bind(limit(rows));
    let query = match (shape, after) {
        (Shape::Entries, None) => start(select_entries!("")),
        (Shape::Entries, Some(ScanCursor::Entry(conversation, seq))) => {
            start(select_entries!("AND (conversation, seq) > (?3, ?4)"))
                .bind(conversation.as_str().to_owned())
                .bind(bound(seq.0))
        }
        (Shape::Objects, None) => start(select_objects!("")),
        (Shape::Objects, Some(ScanCursor::Object(kind, id))) => {
            start(select_objects!("AND (kind, id) > (?3, ?4)")).bind(kind.as_str().to_owned()).bind(id)
        }
        (Shape::Relations, None) => start(select_relations!("")),
        (Shape::Relations, Some(ScanCursor::Relation(kind, from, to))) => {
            start(select_relations!("AND (kind, from_id, to_id) > (?3, ?4, ?5)"))
                .bind(kind.as_str().to_owned())
                .bind(from)
                .bind(to)
        }
        _ => return Err(Error::new(ErrorKind::Invalid, VERB, "the cursor is of another shape")),
    };
    let rows = query.fetch_all(readers).await.map_err(failed(VERB))?;
    let record = |row| match shape {
        Shape::Entries => entry_of(VERB, row).map(Record::Entry),
        Shape::Objects => object_of(row).map(Record::Object).map_err(failed(VERB)),
        Shape::Relations => relation_of(row).map(Record::Relation).map_err(failed(VERB)),
    };
    rows.iter().map(record).collect()
}
