//! The walk over everything of one shape.

use super::{entry_of, object_of, patiently, relation_of};
use crate::{
    connect::Servers,
    numbers::{bits, bound, limit},
};
use meridian_ports::{Error, ErrorKind, Record, Result, ScanCursor, Shape};
use meridian_types::LogId;

const ENTRIES: &str = "SELECT conversation, seq, message_id, at, header, body FROM entry \
    WHERE log = $1 AND ($3::text IS NULL OR (conversation, seq) > ($3 COLLATE \"C\", $4::bigint)) \
    ORDER BY conversation, seq LIMIT $2";
const OBJECTS: &str = "SELECT kind, id, rank, version, body FROM object \
    WHERE log = $1 AND ($3::text IS NULL OR (kind, id) > ($3 COLLATE \"C\", $4::text COLLATE \"C\")) \
    ORDER BY kind, id LIMIT $2";
const RELATIONS: &str = "SELECT kind, from_id, to_id, rank, body FROM relation WHERE log = $1 \
    AND ($3::text IS NULL OR (kind, from_id, to_id) > ($3 COLLATE \"C\", $4::text COLLATE \"C\", $5::text COLLATE \"C\")) \
    ORDER BY kind, from_id, to_id LIMIT $2";

pub(crate) async fn scan(
    servers: &Servers,
    log: LogId,
    shape: Shape,
    after: Option<ScanCursor>,
    rows: usize,
) -> Result<Vec<Record>> {
    const VERB: &str = "scan";
    let fits = matches!(
        (shape, &after),
        (_, None)
            | (Shape::Entries, Some(ScanCursor::Entry(..)))
            | (Shape::Objects, Some(ScanCursor::Object(..)))
            | (Shape::Relations, Some(ScanCursor::Relation(..)))
    );
    if !fits {
        return Err(Error::new(ErrorKind::Invalid, VERB, "the cursor is of another shape"));
    }
    let after = &after;
    patiently(servers, VERB, |pool| async move {
        let start = |text: &'static str| sqlx::query(text).bind(bits(log.raw())).bind(limit(rows));
        let none = None::<String>;
        let query = match (shape, after) {
            (Shape::Entries, Some(ScanCursor::Entry(conversation, seq))) => {
                start(ENTRIES).bind(Some(conversation.as_str().to_owned())).bind(bound(seq.0))
            }
            (Shape::Entries, _) => start(ENTRIES).bind(none).bind(0_i64),
            (Shape::Objects, Some(ScanCursor::Object(kind, id))) => {
                start(OBJECTS).bind(Some(kind.as_str().to_owned())).bind(id.clone())
            }
            (Shape::Objects, _) => start(OBJECTS).bind(none).bind(String::new()),
            (Shape::Relations, Some(ScanCursor::Relation(kind, from, to))) => {
                start(RELATIONS).bind(Some(kind.as_str().to_owned())).bind(from.clone()).bind(to.clone())
            }
            (Shape::Relations, _) => start(RELATIONS).bind(none).bind(String::new()).bind(String::new()),
        };
        let rows = query.fetch_all(&pool).await?;
        let records = rows.iter().map(|row| match shape {
            Shape::Entries => entry_of(row).map(Record::Entry),
            Shape::Objects => object_of(row).map(Record::Object),
            Shape::Relations => relation_of(row).map(Record::Relation),
        });
        records.collect()
    })
    .await
}
