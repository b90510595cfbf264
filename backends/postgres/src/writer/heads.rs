//! The last `seq` of the conversations written of late, so that a busy one is not looked up at every message.
//!
//! What is remembered of a log may be old when another core has written it since. It does no harm: that core has claimed
//! the log, so the step that was judged by it is refused by its fence; and claiming a log here forgets it.

use crate::numbers::{bits, from_bits};
use lru::LruCache;
use meridian_types::{ConversationKey, Effect, LogId, Seq, Step};
use sqlx::{PgConnection, Row};
use std::{
    collections::{HashMap, hash_map::Entry},
    num::NonZeroUsize,
};

const CAPACITY: NonZeroUsize = NonZeroUsize::new(1 << 16).expect("not zero");

const SELECT_LASTS: &str = "\
    SELECT w.place, e.seq FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS w (log, conversation, place) \
    CROSS JOIN LATERAL (SELECT seq FROM entry WHERE log = w.log AND conversation = w.conversation COLLATE \"C\" \
    ORDER BY seq DESC LIMIT 1) AS e";

pub(crate) type Lasts = HashMap<(LogId, ConversationKey), Seq>;

pub(crate) struct ConversationHeads {
    cache: LruCache<(LogId, ConversationKey), Seq>,
}

impl ConversationHeads {
    pub(crate) fn new() -> Self {
        Self { cache: LruCache::new(CAPACITY) }
    }

    pub(crate) fn clear(&mut self) {
        self.cache.clear();
    }

    pub(crate) fn forget(&mut self, log: LogId) {
        let of_log: Vec<_> =
            self.cache.iter().map(|(key, _)| key).filter(|key| key.0 == log).cloned().collect();
        for key in of_log {
            self.cache.pop(&key);
        }
    }

    /// The last `seq` of each conversation that the steps append to, 0 for a new one.
    pub(crate) async fn load(
        &mut self,
        connection: &mut PgConnection,
        steps: &[Step],
    ) -> Result<Lasts, sqlx::Error> {
        let mut lasts = Lasts::new();
        let mut missing = Vec::new();
        for step in steps {
            for effect in step.operations.iter().flat_map(|logged| &logged.operation.effects) {
                let Effect::Append { entry, .. } = effect else { continue };
                let Entry::Vacant(last) = lasts.entry((step.log, entry.conversation.clone())) else {
                    continue;
                };
                let cached = self.cache.get(last.key()).copied();
                if cached.is_none() {
                    missing.push(last.key().clone());
                }
                last.insert(cached.unwrap_or_default());
            }
        }
        if missing.is_empty() {
            return Ok(lasts);
        }
        let logs: Vec<_> = missing.iter().map(|(log, _)| bits(log.raw())).collect();
        let conversations: Vec<_> = missing.iter().map(|(_, conversation)| conversation.as_str()).collect();
        let rows = sqlx::query(SELECT_LASTS).bind(logs).bind(conversations).fetch_all(connection).await?;
        for row in rows {
            let (place, seq): (i64, i64) = (row.try_get("place")?, row.try_get("seq")?);
            if let Some(key) = usize::try_from(place - 1).ok().and_then(|place| missing.get(place)) {
                lasts.insert(key.clone(), Seq(from_bits(seq)));
            }
        }
        Ok(lasts)
    }

    /// Remembers what was committed.
    pub(crate) fn remember(&mut self, lasts: Lasts) {
        for (key, seq) in lasts {
            self.cache.put(key, seq);
        }
    }
}
