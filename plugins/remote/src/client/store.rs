//! A store behind a plugin.

use super::{RemotePlugin, unary, within};
use crate::{
    model::{
        Decoded, Wrong, from_operation, log_id, to_entry, to_head, to_object, to_operation, to_relation,
    },
    proto::{
        self, AppendRequest, ClaimRequest, ConversationHeadsRequest, EntriesRequest, IdempotencyRequest,
        LogsRequest, ObjectRequest, ObjectsRequest, OperationsRequest, RelationRequest, RelationsRequest,
        ScanRequest,
        append_request::{Finish, Operations, Part, Start},
        scan_request::{After, EntryKey, ObjectKey, RelationKey},
        scan_response::record::Record as Shown,
        store_client::StoreClient,
    },
    wire::{CONVERSATIONS, STEP, pages},
};
use meridian_sdk::{
    Error, ErrorKind, Result, async_trait,
    futures_util::stream,
    ports::{
        ConversationHead, Direction, EntryRange, IdempotencyHit, ObjectPage, Record, RelationPage,
        ScanCursor, Shape, Store,
    },
    types::{
        ConversationKey, Entry, Epoch, IdempotencyKey, Incarnation, Kind, LogHead, LogId, LoggedOperation,
        Lsn, MessageId, Millis, Object, Relation, Seq, Step,
    },
};
use prost::Message;
use std::time::Duration;
use tonic::{Request, Response, Status, Streaming, transport::Channel};

/// A store that a plugin keeps.
#[derive(Clone, Debug)]
pub struct RemoteStore {
    plugin: RemotePlugin,
    client: StoreClient<Channel>,
}

impl RemoteStore {
    pub(super) fn new(plugin: RemotePlugin) -> Self {
        let client = StoreClient::new(plugin.channel.clone());
        Self { plugin, client }
    }

    fn patience(&self) -> Duration {
        self.plugin.config.call
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.patience());
        request
    }

    /// A whole list, at most `limit` long.
    async fn collect<M, P, T>(
        &self,
        verb: &'static str,
        limit: usize,
        answer: impl Future<Output = std::result::Result<Response<Streaming<M>>, Status>>,
        items: fn(M) -> Vec<P>,
        decode: impl Fn(P) -> Decoded<T>,
    ) -> Result<Vec<T>> {
        let collected = async {
            let mut pages = answer.await?.into_inner();
            let mut found = Vec::new();
            while let Some(page) = pages.message().await? {
                found.extend(items(page));
                if found.len() > limit {
                    break;
                }
            }
            Ok(found)
        };
        let found = within(verb, false, self.patience(), collected).await?;
        if found.len() > limit {
            return Err(corrupt(verb, format!("the plugin gave more than the {limit} asked for")));
        }
        found.into_iter().map(|item| told(verb, decode(item))).collect()
    }
}

fn corrupt(verb: &'static str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, verb, message)
}

/// An answer's part, which is the plugin's to get right.
fn told<T>(verb: &'static str, decoded: Decoded<T>) -> Result<T> {
    decoded.map_err(|wrong| match wrong {
        Wrong::Field(name) => corrupt(verb, format!("the plugin gave a {name} that is missing or wrong")),
        Wrong::UnknownEffect => corrupt(verb, "the plugin gave an effect that is unknown here"),
    })
}

fn text(kind: &Kind) -> String {
    kind.as_str().to_owned()
}

fn raw(logs: &[LogId]) -> Vec<u64> {
    logs.iter().map(|log| log.raw()).collect()
}

/// The messages of a step.
fn parts(step: Step) -> Result<Vec<AppendRequest>> {
    const VERB: &str = "append";
    let (log, fence) = (step.log.raw(), step.fence);
    let start = Start { log, epoch: fence.epoch.0, writer: fence.writer.0, head: fence.head.0 };
    let count = step.operations.len() as u64;
    let operations = step.operations.into_iter().map(from_operation).collect::<Decoded<Vec<_>>>();
    let operations = operations.map_err(|_| {
        Error::new(ErrorKind::Unsupported, VERB, "an effect that this version of the protocol cannot tell")
    })?;
    if operations.iter().map(Message::encoded_len).sum::<usize>() > STEP {
        return Err(Error::new(ErrorKind::Invalid, VERB, format!("a step is at most {STEP} bytes long")));
    }
    let middle = pages(operations).into_iter().map(|operations| Part::Operations(Operations { operations }));
    let all = [Part::Start(start)].into_iter().chain(middle).chain([Part::Finish(Finish { count })]);
    Ok(all.map(|part| AppendRequest { part: Some(part) }).collect())
}

#[async_trait]
impl Store for RemoteStore {
    fn describe(&self) -> String {
        self.plugin.described.clone()
    }

    async fn claim(&self, log: LogId, epoch: Epoch, expected: Option<Incarnation>) -> Result<LogHead> {
        const VERB: &str = "claim";
        let message =
            ClaimRequest { log: log.raw(), epoch: epoch.0, expected: expected.map(|expected| expected.0) };
        let mut client = self.client.clone();
        let answer =
            unary(VERB, true, self.patience(), message, |request| async move { client.claim(request).await });
        told(VERB, answer.await?.head.ok_or(Wrong::Field("head")).and_then(to_head))
            .map_err(Error::maybe_done)
    }

    async fn append(&self, step: Step) -> Result<()> {
        let request = self.request(stream::iter(parts(step)?));
        let mut client = self.client.clone();
        within("append", true, self.patience(), client.append(request)).await?;
        Ok(())
    }

    async fn logs(&self, after: Option<LogId>, limit: usize) -> Result<Vec<LogHead>> {
        let message = LogsRequest { after: after.map(LogId::raw), limit: limit as u64 };
        let mut client = self.client.clone();
        let answer = client.logs(self.request(message));
        self.collect("logs", limit, answer, |page| page.heads, to_head).await
    }

    async fn operations(&self, log: LogId, after: Lsn, limit: usize) -> Result<Vec<LoggedOperation>> {
        let message = OperationsRequest { log: log.raw(), after: after.0, limit: limit as u64 };
        let mut client = self.client.clone();
        let answer = client.operations(self.request(message));
        self.collect("operations", limit, answer, |page| page.operations, to_operation).await
    }

    async fn entries(
        &self,
        log: LogId,
        conversation: &ConversationKey,
        range: EntryRange,
    ) -> Result<Vec<Entry>> {
        let message = EntriesRequest {
            log: log.raw(),
            conversation: conversation.to_string(),
            bound: range.bound.0,
            before: range.direction == Direction::Before,
            limit: range.limit as u64,
        };
        let mut client = self.client.clone();
        let answer = client.entries(self.request(message));
        self.collect("entries", range.limit, answer, |page| page.entries, to_entry).await
    }

    async fn conversation_heads(
        &self,
        conversations: &[(LogId, ConversationKey)],
    ) -> Result<Vec<ConversationHead>> {
        let mut found = Vec::new();
        for some in conversations.chunks(CONVERSATIONS) {
            let wanted = some.iter().map(|(log, conversation)| {
                let conversation = conversation.to_string();
                proto::conversation_heads_request::Conversation { log: log.raw(), conversation }
            });
            let message = ConversationHeadsRequest { conversations: wanted.collect() };
            let mut client = self.client.clone();
            let answer = client.conversation_heads(self.request(message));
            let decode = |head: proto::conversation_heads_response::Head| {
                Ok(ConversationHead {
                    log: log_id(head.log)?,
                    conversation: ConversationKey::from_stored(&head.conversation),
                    seq: Seq(head.seq),
                    message_id: MessageId(head.message_id),
                    at: Millis(head.at),
                })
            };
            let heads = self.collect("conversation_heads", some.len(), answer, |page| page.heads, decode);
            found.extend(heads.await?);
        }
        Ok(found)
    }

    async fn idempotency(&self, log: LogId, key: IdempotencyKey) -> Result<Option<IdempotencyHit>> {
        let key = proto::IdempotencyKey { stream: key.stream, id: key.id };
        let message = IdempotencyRequest { log: log.raw(), key: Some(key) };
        let mut client = self.client.clone();
        let answer = unary("idempotency", false, self.patience(), message, |request| async move {
            client.idempotency(request).await
        });
        Ok(answer.await?.hit.map(|hit| IdempotencyHit {
            id: hit.id,
            conversation: ConversationKey::from_stored(&hit.conversation),
            seq: Seq(hit.seq),
            message_id: MessageId(hit.message_id),
            at: Millis(hit.at),
        }))
    }

    async fn object(&self, log: LogId, kind: &Kind, id: &str) -> Result<Option<Object>> {
        let message = ObjectRequest { log: log.raw(), kind: text(kind), id: id.to_owned() };
        let mut client = self.client.clone();
        let answer = unary("object", false, self.patience(), message, |request| async move {
            client.object(request).await
        });
        Ok(answer.await?.object.map(to_object))
    }

    async fn objects(&self, logs: &[LogId], kind: &Kind, page: ObjectPage) -> Result<Vec<(LogId, Object)>> {
        let after = page.after.map(|(rank, id)| proto::objects_request::After { rank, id });
        let message = ObjectsRequest { logs: raw(logs), kind: text(kind), after, limit: page.limit as u64 };
        let mut client = self.client.clone();
        let answer = client.objects(self.request(message));
        let decode = |found: proto::objects_response::Found| {
            Ok((log_id(found.log)?, to_object(found.object.ok_or(Wrong::Field("object"))?)))
        };
        self.collect("objects", page.limit, answer, |page| page.objects, decode).await
    }

    async fn relation(&self, log: LogId, kind: &Kind, from: &str, to: &str) -> Result<Option<Relation>> {
        let (from, to) = (from.to_owned(), to.to_owned());
        let message = RelationRequest { log: log.raw(), kind: text(kind), from, to };
        let mut client = self.client.clone();
        let answer = unary("relation", false, self.patience(), message, |request| async move {
            client.relation(request).await
        });
        Ok(answer.await?.relation.map(to_relation))
    }

    async fn relations(
        &self,
        logs: &[LogId],
        kind: &Kind,
        from: &str,
        page: RelationPage,
    ) -> Result<Vec<(LogId, Relation)>> {
        let message = RelationsRequest {
            logs: raw(logs),
            kind: text(kind),
            from: from.to_owned(),
            after: page.after,
            limit: page.limit as u64,
            backwards: page.backwards,
        };
        let mut client = self.client.clone();
        let answer = client.relations(self.request(message));
        let decode = |found: proto::relations_response::Found| {
            Ok((log_id(found.log)?, to_relation(found.relation.ok_or(Wrong::Field("relation"))?)))
        };
        self.collect("relations", page.limit, answer, |page| page.relations, decode).await
    }

    async fn scan(
        &self,
        log: LogId,
        shape: Shape,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        let shape = match shape {
            Shape::Entries => proto::Shape::Entries,
            Shape::Objects => proto::Shape::Objects,
            Shape::Relations => proto::Shape::Relations,
        };
        let after = after.map(|after| match after {
            ScanCursor::Entry(conversation, seq) => {
                After::Entry(EntryKey { conversation: conversation.to_string(), seq: seq.0 })
            }
            ScanCursor::Object(kind, id) => After::Object(ObjectKey { kind: text(&kind), id }),
            ScanCursor::Relation(kind, from, to) => {
                After::Relation(RelationKey { kind: text(&kind), from, to })
            }
        });
        let message = ScanRequest { log: log.raw(), shape: shape.into(), after, limit: limit as u64 };
        let mut client = self.client.clone();
        let answer = client.scan(self.request(message));
        let decode = |record: proto::scan_response::Record| {
            Ok(match record.record.ok_or(Wrong::Field("record"))? {
                Shown::Entry(entry) => Record::Entry(to_entry(entry)?),
                Shown::Object(object) => Record::Object(to_object(object)),
                Shown::Relation(relation) => Record::Relation(to_relation(relation)),
            })
        };
        self.collect("scan", limit, answer, |page| page.records, decode).await
    }
}
