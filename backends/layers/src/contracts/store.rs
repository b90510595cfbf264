//! `Store` with a layer.

use crate::{Call, Effect, Layer, Layered};
use async_trait::async_trait;
use meridian_ports::{
    ConversationHead, EntryRange, IdempotencyHit, ObjectPage, Record, RelationPage, Result, ScanCursor,
    Shape, Store,
};
use meridian_types::{
    ConversationKey, Entry, Epoch, IdempotencyKey, Incarnation, Kind, LogHead, LogId, LoggedOperation, Lsn,
    Object, Relation, Step,
};

const fn read(verb: &'static str) -> Call {
    Call { contract: "store", verb, effect: Effect::Read }
}

const fn write(verb: &'static str) -> Call {
    Call { contract: "store", verb, effect: Effect::Write }
}

#[async_trait]
impl<L: Layer> Store for Layered<dyn Store, L> {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn claim(&self, log: LogId, epoch: Epoch, expected: Option<Incarnation>) -> Result<LogHead> {
        self.layer.around(write("claim"), &mut || self.inner.claim(log, epoch, expected)).await
    }

    async fn append(&self, step: Step) -> Result<()> {
        let mut kept = Some(step);
        // A step is large: it is copied only where another attempt may need it.
        let mut attempt = || match if L::REPEATS { kept.clone() } else { kept.take() } {
            Some(step) => self.inner.append(step),
            None => super::consumed("append"),
        };
        self.layer.around(write("append"), &mut attempt).await
    }

    async fn logs(&self, after: Option<LogId>, limit: usize) -> Result<Vec<LogHead>> {
        self.layer.around(read("logs"), &mut || self.inner.logs(after, limit)).await
    }

    async fn operations(&self, log: LogId, after: Lsn, limit: usize) -> Result<Vec<LoggedOperation>> {
        self.layer.around(read("operations"), &mut || self.inner.operations(log, after, limit)).await
    }

    async fn entries(
        &self,
        log: LogId,
        conversation: &ConversationKey,
        range: EntryRange,
    ) -> Result<Vec<Entry>> {
        self.layer.around(read("entries"), &mut || self.inner.entries(log, conversation, range)).await
    }

    async fn conversation_heads(
        &self,
        conversations: &[(LogId, ConversationKey)],
    ) -> Result<Vec<ConversationHead>> {
        let mut attempt = || self.inner.conversation_heads(conversations);
        self.layer.around(read("conversation_heads"), &mut attempt).await
    }

    async fn idempotency(&self, log: LogId, key: IdempotencyKey) -> Result<Option<IdempotencyHit>> {
        self.layer.around(read("idempotency"), &mut || self.inner.idempotency(log, key)).await
    }

    async fn object(&self, log: LogId, kind: &Kind, id: &str) -> Result<Option<Object>> {
        self.layer.around(read("object"), &mut || self.inner.object(log, kind, id)).await
    }

    async fn objects(&self, logs: &[LogId], kind: &Kind, page: ObjectPage) -> Result<Vec<(LogId, Object)>> {
        self.layer.around(read("objects"), &mut || self.inner.objects(logs, kind, page.clone())).await
    }

    async fn relation(&self, log: LogId, kind: &Kind, from: &str, to: &str) -> Result<Option<Relation>> {
        self.layer.around(read("relation"), &mut || self.inner.relation(log, kind, from, to)).await
    }

    async fn relations(
        &self,
        logs: &[LogId],
        kind: &Kind,
        from: &str,
        page: RelationPage,
    ) -> Result<Vec<(LogId, Relation)>> {
        let mut attempt = || self.inner.relations(logs, kind, from, page.clone());
        self.layer.around(read("relations"), &mut attempt).await
    }

    async fn scan(
        &self,
        log: LogId,
        shape: Shape,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        self.layer.around(read("scan"), &mut || self.inner.scan(log, shape, after.clone(), limit)).await
    }
}
