//! Statements that write many rows at once. Each statement is a hand-over to SQLite's thread and back, which costs more
//! than a row does. So the rows of a table go in one statement, with room for the next power of two: the texts are few
//! and their prepared forms cached; rows that are not filled are NULL and filtered out.

use sqlx::{
    AssertSqlSafe, SqlSafeStr, SqlStr, SqliteConnection, error::BoxDynError, sqlite::SqliteArguments,
};
use std::sync::Arc;

/// Room for rows in a statement: powers of two up to this. Nine columns stay below SQLite's 32,766 parameters.
const MOST_ROWS: usize = 1 << 8;

/// A statement over rows of values.
pub(crate) struct RowStatement {
    /// The text for 2^n rows at n.
    texts: Vec<SqlStr>,
}

impl RowStatement {
    /// `text` holds `{rows}` where the rows are selected from; the first column is never NULL.
    fn many(text: &str, columns: usize) -> Self {
        let row = format!("({})", vec!["?"; columns].join(", "));
        let texts = (0..=MOST_ROWS.ilog2()).map(|power| {
            let rows = vec![row.as_str(); 1 << power].join(", ");
            let rows = format!("SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL");
            AssertSqlSafe(Arc::<str>::from(text.replace("{rows}", &rows))).into_sql_str()
        });
        Self { texts: texts.collect() }
    }

    /// A statement over one row, for what is rare.
    fn single(text: &'static str) -> Self {
        Self { texts: vec![SqlStr::from_static(text)] }
    }

    /// Writes all rows; gives the number of rows that changed.
    pub(crate) async fn write<R>(
        &self,
        connection: &mut SqliteConnection,
        rows: &[R],
        bind: impl Fn(&R, &mut Values) -> Result<(), BoxDynError>,
    ) -> Result<u64, sqlx::Error> {
        let mut changed = 0;
        for chunk in rows.chunks(1 << (self.texts.len() - 1)) {
            let mut values = Values(SqliteArguments::default());
            for row in chunk {
                bind(row, &mut values).map_err(sqlx::Error::Encode)?;
            }
            // Parameters without a value are NULL.
            let power = chunk.len().next_power_of_two().ilog2() as usize;
            let query = sqlx::query_with(self.texts[power].clone(), values.0);
            changed += query.execute(&mut *connection).await?.rows_affected();
        }
        Ok(changed)
    }
}

/// The values of a chunk, in order.
pub(crate) struct Values(SqliteArguments);

impl Values {
    pub(crate) fn number(&mut self, number: i64) -> Result<(), BoxDynError> {
        sqlx::Arguments::add(&mut self.0, number)
    }

    pub(crate) fn maybe_number(&mut self, number: Option<i64>) -> Result<(), BoxDynError> {
        sqlx::Arguments::add(&mut self.0, number)
    }

    pub(crate) fn text(&mut self, text: &str) -> Result<(), BoxDynError> {
        sqlx::Arguments::add(&mut self.0, text.to_owned())
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), BoxDynError> {
        sqlx::Arguments::add(&mut self.0, bytes.to_vec())
    }

    pub(crate) fn maybe_bytes(&mut self, bytes: Option<&[u8]>) -> Result<(), BoxDynError> {
        sqlx::Arguments::add(&mut self.0, bytes.map(<[u8]>::to_vec))
    }
}

/// The statements of a group.
pub(crate) struct Tables {
    /// Moves heads, each fenced by what it was: id, epoch, writer, lsn, then the new lsn, hlc, chain.
    pub(crate) logs: RowStatement,
    pub(crate) operations: RowStatement,
    pub(crate) entries: RowStatement,
    pub(crate) erased: RowStatement,
    pub(crate) objects: RowStatement,
    pub(crate) deleted_objects: RowStatement,
    pub(crate) relations: RowStatement,
    pub(crate) raised_relations: RowStatement,
    pub(crate) deleted_relations: RowStatement,
}

impl Tables {
    pub(crate) fn new() -> Self {
        Self {
            logs: RowStatement::many(
                "WITH step (id, epoch, writer, head, lsn, hlc, chain) AS ({rows}) \
                 UPDATE log SET lsn = step.lsn, hlc = step.hlc, chain = step.chain FROM step \
                 WHERE log.id = step.id AND log.epoch = step.epoch AND log.writer = step.writer \
                 AND log.lsn = step.head",
                7,
            ),
            operations: RowStatement::many(
                "INSERT INTO operation (log, lsn, epoch, chain, detached) {rows}",
                5,
            ),
            entries: RowStatement::many(
                "INSERT INTO entry (log, conversation, seq, message_id, at, idempotency_stream, \
                 idempotency_id, header, body) {rows}",
                9,
            ),
            erased: RowStatement::many(
                "WITH erased (log, conversation, seq) AS ({rows}) \
                 UPDATE entry SET body = NULL FROM erased WHERE entry.log = erased.log \
                 AND entry.conversation = erased.conversation AND entry.seq = erased.seq",
                3,
            ),
            objects: RowStatement::many(
                "INSERT INTO object (log, kind, id, rank, version, body) {rows} \
                 ON CONFLICT (log, kind, id) DO UPDATE SET rank = excluded.rank, \
                 version = excluded.version, body = excluded.body",
                6,
            ),
            // Not `IN (VALUES …)`: SQLite would walk the table.
            deleted_objects: RowStatement::single("DELETE FROM object WHERE log = ? AND kind = ? AND id = ?"),
            relations: RowStatement::many(
                "INSERT INTO relation (log, kind, from_id, to_id, rank, body) {rows} \
                 ON CONFLICT (log, kind, from_id, to_id) DO UPDATE SET rank = excluded.rank, \
                 body = excluded.body",
                6,
            ),
            raised_relations: RowStatement::many(
                "INSERT INTO relation (log, kind, from_id, to_id, rank, body) {rows} \
                 ON CONFLICT (log, kind, from_id, to_id) DO UPDATE SET rank = excluded.rank, \
                 body = excluded.body WHERE (excluded.rank, excluded.body) > (rank, body)",
                6,
            ),
            deleted_relations: RowStatement::single(
                "DELETE FROM relation WHERE log = ? AND kind = ? AND from_id = ? AND to_id = ?",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::{Connection, Row};

    /// A statement that walks a table would make every group slower as the store grows.
    #[tokio::test]
    async fn no_statement_walks_a_table() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let schema = include_str!("../../migrations/0001_logs.sql");
        sqlx::raw_sql(schema).execute(&mut connection).await.unwrap();
        let tables = Tables::new();
        let statements = [
            &tables.logs,
            &tables.operations,
            &tables.entries,
            &tables.erased,
            &tables.objects,
            &tables.deleted_objects,
            &tables.relations,
            &tables.raised_relations,
            &tables.deleted_relations,
        ];
        for text in statements.into_iter().flat_map(|statement| &statement.texts) {
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", text.as_str()));
            for row in sqlx::query(explain).fetch_all(&mut connection).await.unwrap() {
                let detail: String = row.get("detail");
                let walks = ["log", "operation", "entry", "object", "relation"]
                    .iter()
                    .any(|table| detail == format!("SCAN {table}"));
                assert!(!walks, "{detail} in {}", text.as_str());
            }
        }
    }
}
