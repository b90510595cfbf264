//! Lists over several logs, in one statement: each log gives the keys of at most one page from its index, and only the
//! rows of the merged page are read.

use super::{failed, log_of, object_of, relation_of};
use crate::numbers::limit;
use meridian_ports::{ObjectPage, RelationPage, Result};
use meridian_types::{Kind, LogId, Object, Relation};
use sqlx::sqlite::SqlitePool;
use std::collections::BTreeSet;

/// `?1` logs, `?2` kind, `?3` limit, and where the page starts.
macro_rules! select_objects {
    ($start:literal) => {
        concat!(
            "SELECT o.log, o.kind, o.id, o.rank, o.version, o.body FROM (",
            "SELECT l.value AS log, page.value ->> 0 AS rank, page.value ->> 1 AS id FROM json_each(?1) AS l ",
            "CROSS JOIN json_each((SELECT json_group_array(json_array(rank, id)) FROM (SELECT rank, id FROM object ",
            "WHERE log = l.value AND kind = ?2 ",
            $start,
            " ORDER BY rank, id LIMIT ?3))) AS page ORDER BY 2, 3, 1 LIMIT ?3) AS k ",
            "CROSS JOIN object AS o ON o.log = k.log AND o.kind = ?2 AND o.id = k.id ",
            "ORDER BY k.rank, k.id, k.log"
        )
    };
}

macro_rules! select_relations {
    ($start:literal, $order:literal) => {
        concat!(
            "SELECT r.log, r.kind, r.from_id, r.to_id, r.rank, r.body FROM (",
            "SELECT l.value AS log, page.value AS to_id FROM json_each(?1) AS l ",
            "CROSS JOIN json_each((SELECT json_group_array(to_id) FROM (SELECT to_id FROM relation ",
            "WHERE log = l.value AND kind = ?2 AND from_id = ?4 ",
            $start,
            " ORDER BY to_id ",
            $order,
            " LIMIT ?3))) AS page ORDER BY 2 ",
            $order,
            ", 1 ",
            $order,
            " LIMIT ?3) AS k CROSS JOIN relation AS r ON r.log = k.log AND r.kind = ?2 AND r.from_id = ?4 ",
            "AND r.to_id = k.to_id ORDER BY k.to_id ",
            $order,
            ", k.log ",
            $order
        )
    };
}

pub(crate) async fn objects(
    readers: &SqlitePool,
    logs: &[LogId],
    kind: &Kind,
    page: ObjectPage,
) -> Result<Vec<(LogId, Object)>> {
    let text = match page.after {
        None => select_objects!(""),
        Some(_) => select_objects!("AND (rank, id) > (?4, ?5)"),
    };
    let mut query = sqlx::query(text).bind(log_list(logs)).bind(kind.as_str()).bind(limit(page.limit));
    if let Some((rank, id)) = page.after {
        query = query.bind(rank).bind(id);
    }
    let rows = query.fetch_all(readers).await.map_err(failed("objects"))?;
    let read = rows.iter().map(|row| Ok((log_of(row)?, object_of(row)?)));
    read.collect::<sqlx::Result<_>>().map_err(failed("objects"))
}

pub(crate) async fn relations(
    readers: &SqlitePool,
    logs: &[LogId],
    kind: &Kind,
    from: &str,
    page: RelationPage,
) -> Result<Vec<(LogId, Relation)>> {
    let text = match (&page.after, page.backwards) {
        (None, false) => select_relations!("", "ASC"),
        (Some(_), false) => select_relations!("AND to_id > ?5", "ASC"),
        (None, true) => select_relations!("", "DESC"),
        (Some(_), true) => select_relations!("AND to_id < ?5", "DESC"),
    };
    let query = sqlx::query(text).bind(log_list(logs)).bind(kind.as_str()).bind(limit(page.limit)).bind(from);
    let query = match page.after {
        None => query,
        Some(to) => query.bind(to),
    };
    let rows = query.fetch_all(readers).await.map_err(failed("relations"))?;
    let read = rows.iter().map(|row| Ok((log_of(row)?, relation_of(row)?)));
    read.collect::<sqlx::Result<_>>().map_err(failed("relations"))
}

/// JSON, each log once.
fn log_list(logs: &[LogId]) -> String {
    let logs: BTreeSet<_> = logs.iter().map(|log| log.raw()).collect();
    serde_json::Value::from_iter(logs).to_string()
}
