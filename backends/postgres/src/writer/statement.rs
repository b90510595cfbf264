//! What a group becomes: one statement that moves the heads whose fence holds, and writes the rows of just those logs.
//! The changes are folded, so that each row is written once: the parts of one statement do not see each other's rows.

use super::heads::Lasts;
use crate::{
    error::Failure,
    numbers::{bits, from_bits, ordered},
};
use meridian_ports::ErrorKind;
use meridian_types::{ConversationKey, Effect, Entry, Kind, LogId, Object, Seq, Step};
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Row, postgres::PgArguments, query::Query};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Rows in key order land side by side in the tables, and two groups lock rows in the same order.
#[derive(Default)]
pub(crate) struct Batch<'a> {
    steps: BTreeMap<LogId, &'a Step>,
    /// Without its body when the same step erases it.
    entries: BTreeMap<(LogId, &'a ConversationKey, Seq), (&'a Entry, bool)>,
    erased: Vec<(LogId, &'a ConversationKey, Seq)>,
    /// `None` deletes.
    objects: BTreeMap<(LogId, &'a Kind, &'a str), Option<&'a Object>>,
    relations: BTreeMap<(LogId, &'a Kind, &'a str, &'a str), RelationChange<'a>>,
}

#[derive(Clone, Copy)]
enum RelationChange<'a> {
    Put {
        rank: i64,
        body: &'a [u8],
    },
    /// Over what is stored, which is not known here.
    Raise {
        rank: i64,
        body: &'a [u8],
    },
    Delete,
}

impl<'a> Batch<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Adds the step of a log that has none yet, unless its entries do not follow. `lasts` stand where the step comes to.
    pub(crate) fn add(&mut self, step: &'a Step, lasts: &mut Lasts) -> Result<(), Failure> {
        check_entries(step, lasts)?;
        self.steps.insert(step.log, step);
        for effect in step.operations.iter().flat_map(|logged| &logged.operation.effects) {
            self.fold(step.log, effect, lasts);
        }
        Ok(())
    }

    fn fold(&mut self, log: LogId, effect: &'a Effect, lasts: &mut Lasts) {
        match effect {
            Effect::Append { entry, .. } => {
                lasts.insert((log, entry.conversation.clone()), entry.seq);
                self.entries.insert((log, &entry.conversation, entry.seq), (entry, true));
            }
            Effect::Erase { conversation, seq } => match self.entries.get_mut(&(log, conversation, *seq)) {
                Some((_, keeps_body)) => *keeps_body = false,
                None => self.erased.push((log, conversation, *seq)),
            },
            Effect::PutObject(object) => {
                self.objects.insert((log, &object.kind, &object.id), Some(object));
            }
            Effect::DeleteObject { kind, id } => {
                self.objects.insert((log, kind, id), None);
            }
            Effect::PutRelation(relation) => {
                let key = (log, &relation.kind, relation.from.as_str(), relation.to.as_str());
                self.relations.insert(key, RelationChange::Put { rank: relation.rank, body: &relation.body });
            }
            Effect::RaiseRelation(relation) => {
                let key = (log, &relation.kind, relation.from.as_str(), relation.to.as_str());
                let raised = (relation.rank, &relation.body[..]);
                match self.relations.get_mut(&key) {
                    Some(RelationChange::Put { rank, body } | RelationChange::Raise { rank, body }) => {
                        (*rank, *body) = raised.max((*rank, *body));
                    }
                    Some(deleted @ RelationChange::Delete) => {
                        *deleted = RelationChange::Put { rank: raised.0, body: raised.1 };
                    }
                    None => {
                        self.relations.insert(key, RelationChange::Raise { rank: raised.0, body: raised.1 });
                    }
                }
            }
            Effect::DeleteRelation { kind, from, to } => {
                self.relations.insert((log, kind, from, to), RelationChange::Delete);
            }
            // Refused by `check_step`.
            _ => {}
        }
    }

    /// Writes everything in one statement. Gives the logs whose fence held.
    pub(crate) async fn write(&self, connection: &mut PgConnection) -> Result<HashSet<LogId>, sqlx::Error> {
        let mut parts = Parts::default();
        self.logs(&mut parts);
        self.operations(&mut parts);
        self.entries(&mut parts);
        self.objects(&mut parts);
        self.relations(&mut parts);
        let text = format!("WITH {} SELECT id FROM moved", parts.texts.join(", "));
        let mut query = sqlx::query(AssertSqlSafe(text));
        for values in parts.values {
            query = values.bind(query);
        }
        let rows = query.fetch_all(connection).await?;
        let moved = rows.iter().map(|row| Ok(LogId::from_raw(from_bits(row.try_get("id")?))));
        moved.collect()
    }

    fn logs(&self, parts: &mut Parts<'a>) {
        let column = |of: fn(&Step) -> u64| Values::numbers(self.steps.values().map(|step| bits(of(step))));
        let last = |of: fn(&meridian_types::LoggedOperation) -> u64| {
            Values::numbers(
                self.steps.values().filter_map(|step| step.operations.last()).map(|last| bits(of(last))),
            )
        };
        let chains = self
            .steps
            .values()
            .filter_map(|step| step.operations.last())
            .map(|last| Some(last.chain.0.to_vec()));
        parts.add(
            "moved AS (UPDATE log SET lsn = s.lsn, hlc = s.hlc, chain = s.chain FROM {rows} \
             AS s (id, epoch, writer, head, lsn, hlc, chain) WHERE log.id = s.id AND log.epoch = s.epoch \
             AND log.writer = s.writer AND log.lsn = s.head RETURNING log.id)",
            vec![
                column(|step| step.log.raw()),
                column(|step| step.fence.epoch.0),
                column(|step| step.fence.writer.0),
                column(|step| step.fence.head.0),
                last(|operation| operation.lsn.0),
                last(|operation| operation.operation.at.0),
                Values::bytes(chains),
            ],
        );
    }

    fn operations(&self, parts: &mut Parts<'a>) {
        let operations: Vec<_> = self
            .steps
            .iter()
            .flat_map(|(log, step)| step.operations.iter().map(move |logged| (log, logged)))
            .collect();
        let column = |of: fn(&meridian_types::LoggedOperation) -> u64| {
            Values::numbers(operations.iter().map(|(_, logged)| bits(of(logged))))
        };
        let detached = operations.iter().map(|(_, logged)| Some(logged.operation.encode_detached().to_vec()));
        parts.add(
            "o AS (INSERT INTO operation (log, lsn, epoch, chain, detached) SELECT r.* FROM {rows} \
             AS r (log, lsn, epoch, chain, detached) JOIN moved ON moved.id = r.log)",
            vec![
                Values::numbers(operations.iter().map(|(log, _)| bits(log.raw()))),
                column(|logged| logged.lsn.0),
                column(|logged| logged.epoch.0),
                Values::bytes(operations.iter().map(|(_, logged)| Some(logged.chain.0.to_vec()))),
                Values::bytes(detached),
            ],
        );
    }

    fn entries(&self, parts: &mut Parts<'a>) {
        if !self.entries.is_empty() {
            let logs = self.entries.keys().map(|(log, ..)| bits(log.raw()));
            let conversations = self.entries.keys().map(|(_, conversation, _)| conversation.as_str());
            let entries = || self.entries.values().map(|(entry, _)| *entry);
            let bodies = self.entries.values().map(|(entry, keeps_body)| {
                entry.body.as_ref().filter(|_| *keeps_body).map(|body| body.to_vec())
            });
            parts.add(
                "e AS (INSERT INTO entry (log, conversation, seq, message_id, at, idempotency_stream, \
                 idempotency_id, header, body) SELECT r.* FROM {rows} AS r (log, conversation, seq, message_id, at, \
                 stream, id, header, body) JOIN moved ON moved.id = r.log)",
                vec![
                    Values::numbers(logs),
                    Values::texts(conversations),
                    Values::numbers(entries().map(|entry| bits(entry.seq.0))),
                    Values::numbers(entries().map(|entry| bits(entry.message_id.0))),
                    Values::numbers(entries().map(|entry| bits(entry.at.0))),
                    Values::maybe_numbers(entries().map(|entry| entry.idempotency.map(|key| bits(key.stream)))),
                    Values::maybe_numbers(entries().map(|entry| entry.idempotency.map(|key| ordered(key.id)))),
                    Values::bytes(entries().map(|entry| Some(entry.encode_header().to_vec()))),
                    Values::bytes(bodies),
                ],
            );
        }
        if !self.erased.is_empty() {
            parts.add(
                "x AS (UPDATE entry SET body = NULL FROM {rows} AS r (log, conversation, seq) \
                 JOIN moved ON moved.id = r.log WHERE entry.log = r.log \
                 AND entry.conversation = r.conversation COLLATE \"C\" AND entry.seq = r.seq)",
                vec![
                    Values::numbers(self.erased.iter().map(|(log, ..)| bits(log.raw()))),
                    Values::texts(self.erased.iter().map(|(_, conversation, _)| conversation.as_str())),
                    Values::numbers(self.erased.iter().map(|(.., seq)| bits(seq.0))),
                ],
            );
        }
    }

    fn objects(&self, parts: &mut Parts<'a>) {
        let put: Vec<_> =
            self.objects.iter().filter_map(|(key, object)| object.map(|object| (key, object))).collect();
        if !put.is_empty() {
            parts.add(
                "p AS (INSERT INTO object (log, kind, id, rank, version, body) SELECT r.* FROM {rows} \
                 AS r (log, kind, id, rank, version, body) JOIN moved ON moved.id = r.log \
                 ON CONFLICT (log, kind, id) DO UPDATE SET rank = excluded.rank, version = excluded.version, \
                 body = excluded.body)",
                vec![
                    Values::numbers(put.iter().map(|(key, _)| bits(key.0.raw()))),
                    Values::texts(put.iter().map(|(key, _)| key.1.as_str())),
                    Values::texts(put.iter().map(|(key, _)| key.2)),
                    Values::numbers(put.iter().map(|(_, object)| object.rank)),
                    Values::numbers(put.iter().map(|(_, object)| bits(object.version))),
                    Values::bytes(put.iter().map(|(_, object)| Some(object.body.to_vec()))),
                ],
            );
        }
        let deleted: Vec<_> =
            self.objects.iter().filter(|(_, object)| object.is_none()).map(|(key, _)| key).collect();
        if !deleted.is_empty() {
            parts.add(
                "d AS (DELETE FROM object USING {rows} AS r (log, kind, id), moved WHERE moved.id = r.log \
                 AND object.log = r.log AND object.kind = r.kind COLLATE \"C\" AND object.id = r.id COLLATE \"C\")",
                vec![
                    Values::numbers(deleted.iter().map(|key| bits(key.0.raw()))),
                    Values::texts(deleted.iter().map(|key| key.1.as_str())),
                    Values::texts(deleted.iter().map(|key| key.2)),
                ],
            );
        }
    }

    fn relations(&self, parts: &mut Parts<'a>) {
        let (mut put, mut raised, mut deleted) = (Vec::new(), Vec::new(), Vec::new());
        for (key, change) in &self.relations {
            match change {
                RelationChange::Put { rank, body } => put.push((*key, *rank, *body)),
                RelationChange::Raise { rank, body } => raised.push((*key, *rank, *body)),
                RelationChange::Delete => deleted.push((*key, 0, [].as_slice())),
            }
        }
        if !put.is_empty() {
            parts.add(
                "rp AS (INSERT INTO relation (log, kind, from_id, to_id, rank, body) SELECT r.* FROM {rows} \
                 AS r (log, kind, from_id, to_id, rank, body) JOIN moved ON moved.id = r.log \
                 ON CONFLICT (log, kind, from_id, to_id) DO UPDATE SET rank = excluded.rank, body = excluded.body)",
                with_values(&put),
            );
        }
        if !raised.is_empty() {
            parts.add(
                "rr AS (INSERT INTO relation AS t (log, kind, from_id, to_id, rank, body) SELECT r.* FROM {rows} \
                 AS r (log, kind, from_id, to_id, rank, body) JOIN moved ON moved.id = r.log \
                 ON CONFLICT (log, kind, from_id, to_id) DO UPDATE SET rank = excluded.rank, \
                 body = excluded.body WHERE (excluded.rank, excluded.body) > (t.rank, t.body))",
                with_values(&raised),
            );
        }
        if !deleted.is_empty() {
            parts.add(
                "rd AS (DELETE FROM relation USING {rows} AS r (log, kind, from_id, to_id), moved \
                 WHERE moved.id = r.log AND relation.log = r.log AND relation.kind = r.kind COLLATE \"C\" \
                 AND relation.from_id = r.from_id COLLATE \"C\" AND relation.to_id = r.to_id COLLATE \"C\")",
                keys(&deleted),
            );
        }
    }
}

/// A row of `relation`: its key, rank and body.
type RelationRow<'a> = ((LogId, &'a Kind, &'a str, &'a str), i64, &'a [u8]);

fn keys<'a>(rows: &[RelationRow<'a>]) -> Vec<Values<'a>> {
    vec![
        Values::numbers(rows.iter().map(|(key, ..)| bits(key.0.raw()))),
        Values::texts(rows.iter().map(|(key, ..)| key.1.as_str())),
        Values::texts(rows.iter().map(|(key, ..)| key.2)),
        Values::texts(rows.iter().map(|(key, ..)| key.3)),
    ]
}

fn with_values<'a>(rows: &[RelationRow<'a>]) -> Vec<Values<'a>> {
    let mut values = keys(rows);
    values.push(Values::numbers(rows.iter().map(|(_, rank, _)| *rank)));
    values.push(Values::bytes(rows.iter().map(|(.., body)| Some(body.to_vec()))));
    values
}

/// What can be seen of a step without the store.
pub(crate) fn check_step(step: &Step) -> Result<(), Failure> {
    let lsns = step.operations.iter().map(|logged| logged.lsn.0.checked_sub(step.fence.head.0));
    if step.operations.is_empty() || !lsns.zip(1..).all(|(offset, place)| offset == Some(place)) {
        let message = format!("operations of log {} are empty or not dense", step.log);
        return Err(Failure::new(ErrorKind::Invalid, message));
    }
    let is_known = |effect: &Effect| {
        matches!(
            effect,
            Effect::Append { .. }
                | Effect::Erase { .. }
                | Effect::PutObject(_)
                | Effect::DeleteObject { .. }
                | Effect::PutRelation(_)
                | Effect::RaiseRelation(_)
                | Effect::DeleteRelation { .. }
        )
    };
    if !step.operations.iter().flat_map(|logged| &logged.operation.effects).all(is_known) {
        return Err(Failure::new(ErrorKind::Unsupported, "an effect this store does not know"));
    }
    Ok(())
}

fn check_entries(step: &Step, lasts: &Lasts) -> Result<(), Failure> {
    let mut reached = HashMap::<&ConversationKey, Seq>::new();
    for effect in step.operations.iter().flat_map(|logged| &logged.operation.effects) {
        let Effect::Append { entry, .. } = effect else { continue };
        let conversation = &entry.conversation;
        let last = reached
            .entry(conversation)
            .or_insert_with(|| lasts.get(&(step.log, conversation.clone())).copied().unwrap_or_default());
        if entry.seq != last.next() {
            let message = format!("entry {} of {conversation:?} does not follow {last}", entry.seq);
            return Err(Failure::new(ErrorKind::Invalid, message));
        }
        *last = entry.seq;
    }
    Ok(())
}

/// Whether the log is where the step expects it.
pub(crate) async fn fence_holds(connection: &mut PgConnection, step: &Step) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM log WHERE id = $1 AND epoch = $2 AND writer = $3 AND lsn = $4)",
    )
    .bind(bits(step.log.raw()))
    .bind(bits(step.fence.epoch.0))
    .bind(bits(step.fence.writer.0))
    .bind(bits(step.fence.head.0))
    .fetch_one(connection)
    .await
}

/// The parts of a statement, and the columns that its parameters are.
#[derive(Default)]
struct Parts<'a> {
    texts: Vec<String>,
    values: Vec<Values<'a>>,
}

impl<'a> Parts<'a> {
    /// `{rows}` in the text stands for the columns, side by side.
    fn add(&mut self, text: &str, columns: Vec<Values<'a>>) {
        let first = self.values.len() + 1;
        let parameters: Vec<_> = (first..)
            .zip(&columns)
            .map(|(number, column)| format!("${number}::{}[]", column.sql_type()))
            .collect();
        self.texts.push(text.replace("{rows}", &format!("unnest({})", parameters.join(", "))));
        self.values.extend(columns);
    }
}

/// A column.
enum Values<'a> {
    Numbers(Vec<Option<i64>>),
    Texts(Vec<&'a str>),
    Bytes(Vec<Option<Vec<u8>>>),
}

impl<'a> Values<'a> {
    fn numbers(numbers: impl Iterator<Item = i64>) -> Self {
        Self::Numbers(numbers.map(Some).collect())
    }

    fn maybe_numbers(numbers: impl Iterator<Item = Option<i64>>) -> Self {
        Self::Numbers(numbers.collect())
    }

    fn texts(texts: impl Iterator<Item = &'a str>) -> Self {
        Self::Texts(texts.collect())
    }

    fn bytes(bytes: impl Iterator<Item = Option<Vec<u8>>>) -> Self {
        Self::Bytes(bytes.collect())
    }

    fn sql_type(&self) -> &'static str {
        match self {
            Self::Numbers(_) => "bigint",
            Self::Texts(_) => "text",
            Self::Bytes(_) => "bytea",
        }
    }

    fn bind<'q>(self, query: Query<'q, Postgres, PgArguments>) -> Query<'q, Postgres, PgArguments>
    where
        'a: 'q,
    {
        match self {
            Self::Numbers(numbers) => query.bind(numbers),
            Self::Texts(texts) => query.bind(texts),
            Self::Bytes(bytes) => query.bind(bytes),
        }
    }
}
