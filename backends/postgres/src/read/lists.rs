//! Lists over several logs, in one statement: each log gives at most one page from its index.

use super::{log_of, object_of, patiently, relation_of};
use crate::{
    connect::Servers,
    numbers::{bits, limit},
};
use meridian_ports::{ObjectPage, RelationPage, Result};
use meridian_types::{Kind, LogId, Object, Relation};
use std::collections::BTreeSet;

/// `$1` logs, `$2` kind, `$3` limit, and where the page starts.
macro_rules! select_objects {
    ($start:literal) => {
        concat!(
            "SELECT o.* FROM unnest($1::bigint[]) AS l (log) CROSS JOIN LATERAL (SELECT log, kind, id, rank, ",
            "version, body FROM object WHERE log = l.log AND kind = $2 ",
            $start,
            " ORDER BY rank, id LIMIT $3) AS o ORDER BY o.rank, o.id, o.log LIMIT $3"
        )
    };
}

macro_rules! select_relations {
    ($start:literal, $order:literal) => {
        concat!(
            "SELECT r.* FROM unnest($1::bigint[]) AS l (log) CROSS JOIN LATERAL (SELECT log, kind, from_id, to_id, ",
            "rank, body FROM relation WHERE log = l.log AND kind = $2 AND from_id = $4 ",
            $start,
            " ORDER BY to_id ",
            $order,
            " LIMIT $3) AS r ORDER BY r.to_id ",
            $order,
            ", r.log ",
            $order,
            " LIMIT $3"
        )
    };
}

pub(crate) async fn objects(
    servers: &Servers,
    logs: &[LogId],
    kind: &Kind,
    page: ObjectPage,
) -> Result<Vec<(LogId, Object)>> {
    let (logs, page) = (&each_once(logs), &page);
    patiently(servers, "objects", |pool| async move {
        let text = match page.after {
            None => select_objects!(""),
            Some(_) => select_objects!("AND (rank, id) > ($4, $5 COLLATE \"C\")"),
        };
        let mut query = sqlx::query(text).bind(logs).bind(kind.as_str()).bind(limit(page.limit));
        if let Some((rank, id)) = &page.after {
            query = query.bind(*rank).bind(id);
        }
        let rows = query.fetch_all(&pool).await?;
        rows.iter().map(|row| Ok((log_of(row)?, object_of(row)?))).collect()
    })
    .await
}

pub(crate) async fn relations(
    servers: &Servers,
    logs: &[LogId],
    kind: &Kind,
    from: &str,
    page: RelationPage,
) -> Result<Vec<(LogId, Relation)>> {
    let (logs, page) = (&each_once(logs), &page);
    patiently(servers, "relations", |pool| async move {
        let text = match (&page.after, page.backwards) {
            (None, false) => select_relations!("", "ASC"),
            (Some(_), false) => select_relations!("AND to_id > $5", "ASC"),
            (None, true) => select_relations!("", "DESC"),
            (Some(_), true) => select_relations!("AND to_id < $5", "DESC"),
        };
        let mut query = sqlx::query(text).bind(logs).bind(kind.as_str()).bind(limit(page.limit)).bind(from);
        if let Some(to) = &page.after {
            query = query.bind(to);
        }
        let rows = query.fetch_all(&pool).await?;
        rows.iter().map(|row| Ok((log_of(row)?, relation_of(row)?))).collect()
    })
    .await
}

fn each_once(logs: &[LogId]) -> Vec<i64> {
    let logs: BTreeSet<_> = logs.iter().map(|log| bits(log.raw())).collect();
    logs.into_iter().collect()
}
