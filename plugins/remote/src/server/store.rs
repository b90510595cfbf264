//! A store, served.

use crate::{
    model::{
        Decoded, Wrong, from_entry, from_head, from_object, from_operation, from_relation, log_id,
        to_operation,
    },
    proto::{
        self, AppendRequest, AppendResponse, ClaimRequest, ClaimResponse, ConversationHeadsRequest,
        ConversationHeadsResponse, EntriesRequest, EntriesResponse, IdempotencyRequest, IdempotencyResponse,
        LogsRequest, LogsResponse, ObjectRequest, ObjectResponse, ObjectsRequest, ObjectsResponse,
        OperationsRequest, OperationsResponse, RelationRequest, RelationResponse, RelationsRequest,
        RelationsResponse, ScanRequest, ScanResponse, append_request::Part, scan_request::After,
        scan_response::record::Record as Shown, store_server::Store as Service,
    },
    wire::{CONVERSATIONS, STEP, pages, to_status},
};
use meridian_sdk::{
    Error, ErrorKind, async_trait,
    futures_util::{StreamExt, stream, stream::BoxStream},
    ports::{EntryRange, ObjectPage, Record, RelationPage, ScanCursor, Shape, Store},
    types::{ConversationKey, Epoch, Fence, IdempotencyKey, Incarnation, Kind, LogId, Lsn, Seq, Step},
};
use prost::Message;
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};

#[derive(Debug)]
pub(super) struct Served(pub(super) Arc<dyn Store>);

type Answer<T> = Result<Response<T>, Status>;
type Pages<T> = BoxStream<'static, Result<T, Status>>;

fn invalid(verb: &'static str, message: impl Into<String>) -> Status {
    to_status(&Error::new(ErrorKind::Invalid, verb, message))
}

/// A request's part, which is the caller's to get right.
fn asked<T>(verb: &'static str, decoded: Decoded<T>) -> Result<T, Status> {
    decoded.map_err(|wrong| match wrong {
        Wrong::Field(name) => invalid(verb, format!("a {name} is missing or wrong")),
        Wrong::UnknownEffect => {
            to_status(&Error::new(ErrorKind::Unsupported, verb, "an effect that this plugin does not know"))
        }
    })
}

fn logs(verb: &'static str, raw: Vec<u64>) -> Result<Vec<LogId>, Status> {
    raw.into_iter().map(|log| asked(verb, log_id(log))).collect()
}

fn count(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// A list in messages of bounded size.
fn list<P: Message, M: Send + 'static>(items: Vec<P>, wrap: fn(Vec<P>) -> M) -> Answer<Pages<M>> {
    let messages: Vec<_> = pages(items).into_iter().map(|page| Ok(wrap(page))).collect();
    Ok(Response::new(stream::iter(messages).boxed()))
}

#[async_trait]
impl Service for Served {
    type LogsStream = Pages<LogsResponse>;
    type OperationsStream = Pages<OperationsResponse>;
    type EntriesStream = Pages<EntriesResponse>;
    type ConversationHeadsStream = Pages<ConversationHeadsResponse>;
    type ObjectsStream = Pages<ObjectsResponse>;
    type RelationsStream = Pages<RelationsResponse>;
    type ScanStream = Pages<ScanResponse>;

    async fn claim(&self, request: Request<ClaimRequest>) -> Answer<ClaimResponse> {
        let ClaimRequest { log, epoch, expected } = request.into_inner();
        let log = asked("claim", log_id(log))?;
        let head = self.0.claim(log, Epoch(epoch), expected.map(Incarnation)).await;
        let head = head.map_err(|error| to_status(&error))?;
        Ok(Response::new(ClaimResponse { head: Some(from_head(&head)) }))
    }

    async fn append(&self, request: Request<Streaming<AppendRequest>>) -> Answer<AppendResponse> {
        let step = received(request.into_inner()).await?;
        self.0.append(step).await.map_err(|error| to_status(&error))?;
        Ok(Response::new(AppendResponse {}))
    }

    async fn logs(&self, request: Request<LogsRequest>) -> Answer<Self::LogsStream> {
        let LogsRequest { after, limit } = request.into_inner();
        let after = after.map(|log| asked("logs", log_id(log))).transpose()?;
        let heads = self.0.logs(after, count(limit)).await.map_err(|error| to_status(&error))?;
        list(heads.iter().map(from_head).collect(), |heads| LogsResponse { heads })
    }

    async fn operations(&self, request: Request<OperationsRequest>) -> Answer<Self::OperationsStream> {
        let OperationsRequest { log, after, limit } = request.into_inner();
        let log = asked("operations", log_id(log))?;
        let found = self.0.operations(log, Lsn(after), count(limit)).await;
        let found = found.map_err(|error| to_status(&error))?;
        let found = asked("operations", found.into_iter().map(from_operation).collect())?;
        list(found, |operations| OperationsResponse { operations })
    }

    async fn entries(&self, request: Request<EntriesRequest>) -> Answer<Self::EntriesStream> {
        let EntriesRequest { log, conversation, bound, before, limit } = request.into_inner();
        let (log, conversation) =
            (asked("entries", log_id(log))?, ConversationKey::from_stored(&conversation));
        let range = if before { EntryRange::before } else { EntryRange::after };
        let found = self.0.entries(log, &conversation, range(Seq(bound), count(limit))).await;
        let found = found.map_err(|error| to_status(&error))?;
        list(found.into_iter().map(from_entry).collect(), |entries| EntriesResponse { entries })
    }

    async fn conversation_heads(
        &self,
        request: Request<ConversationHeadsRequest>,
    ) -> Answer<Self::ConversationHeadsStream> {
        const VERB: &str = "conversation_heads";
        let wanted = request.into_inner().conversations;
        if wanted.len() > CONVERSATIONS {
            return Err(invalid(VERB, format!("more than {CONVERSATIONS} conversations at once")));
        }
        let wanted = wanted.into_iter().map(|wanted| {
            Ok((asked(VERB, log_id(wanted.log))?, ConversationKey::from_stored(&wanted.conversation)))
        });
        let wanted = wanted.collect::<Result<Vec<_>, Status>>()?;
        let found = self.0.conversation_heads(&wanted).await.map_err(|error| to_status(&error))?;
        let heads = found.into_iter().map(|head| proto::conversation_heads_response::Head {
            log: head.log.raw(),
            conversation: head.conversation.to_string(),
            seq: head.seq.0,
            message_id: head.message_id.0,
            at: head.at.0,
        });
        list(heads.collect(), |heads| ConversationHeadsResponse { heads })
    }

    async fn idempotency(&self, request: Request<IdempotencyRequest>) -> Answer<IdempotencyResponse> {
        const VERB: &str = "idempotency";
        let IdempotencyRequest { log, key } = request.into_inner();
        let key = key.ok_or_else(|| invalid(VERB, "there is no key"))?;
        let key = IdempotencyKey { stream: key.stream, id: key.id };
        let hit = self.0.idempotency(asked(VERB, log_id(log))?, key).await;
        let hit = hit.map_err(|error| to_status(&error))?.map(|hit| proto::idempotency_response::Hit {
            id: hit.id,
            conversation: hit.conversation.to_string(),
            seq: hit.seq.0,
            message_id: hit.message_id.0,
            at: hit.at.0,
        });
        Ok(Response::new(IdempotencyResponse { hit }))
    }

    async fn object(&self, request: Request<ObjectRequest>) -> Answer<ObjectResponse> {
        let ObjectRequest { log, kind, id } = request.into_inner();
        let log = asked("object", log_id(log))?;
        let found = self.0.object(log, &Kind::from_stored(&kind), &id).await;
        let object = found.map_err(|error| to_status(&error))?.map(from_object);
        Ok(Response::new(ObjectResponse { object }))
    }

    async fn objects(&self, request: Request<ObjectsRequest>) -> Answer<Self::ObjectsStream> {
        let ObjectsRequest { logs: raw, kind, after, limit } = request.into_inner();
        let page = ObjectPage::new(after.map(|after| (after.rank, after.id)), count(limit));
        let found = self.0.objects(&logs("objects", raw)?, &Kind::from_stored(&kind), page).await;
        let found = found.map_err(|error| to_status(&error))?.into_iter().map(|(log, object)| {
            proto::objects_response::Found { log: log.raw(), object: Some(from_object(object)) }
        });
        list(found.collect(), |objects| ObjectsResponse { objects })
    }

    async fn relation(&self, request: Request<RelationRequest>) -> Answer<RelationResponse> {
        let RelationRequest { log, kind, from, to } = request.into_inner();
        let log = asked("relation", log_id(log))?;
        let found = self.0.relation(log, &Kind::from_stored(&kind), &from, &to).await;
        let relation = found.map_err(|error| to_status(&error))?.map(from_relation);
        Ok(Response::new(RelationResponse { relation }))
    }

    async fn relations(&self, request: Request<RelationsRequest>) -> Answer<Self::RelationsStream> {
        let RelationsRequest { logs: raw, kind, from, after, limit, backwards } = request.into_inner();
        let page = if backwards { RelationPage::backwards } else { RelationPage::new };
        let page = page(after, count(limit));
        let found = self.0.relations(&logs("relations", raw)?, &Kind::from_stored(&kind), &from, page).await;
        let found = found.map_err(|error| to_status(&error))?.into_iter().map(|(log, relation)| {
            proto::relations_response::Found { log: log.raw(), relation: Some(from_relation(relation)) }
        });
        list(found.collect(), |relations| RelationsResponse { relations })
    }

    async fn scan(&self, request: Request<ScanRequest>) -> Answer<Self::ScanStream> {
        let request = request.into_inner();
        let shape = match request.shape() {
            proto::Shape::Entries => Shape::Entries,
            proto::Shape::Objects => Shape::Objects,
            proto::Shape::Relations => Shape::Relations,
            proto::Shape::Unspecified => return Err(invalid("scan", "there is no shape")),
        };
        let log = asked("scan", log_id(request.log))?;
        let after = request.after.map(|after| match after {
            After::Entry(key) => {
                ScanCursor::Entry(ConversationKey::from_stored(&key.conversation), Seq(key.seq))
            }
            After::Object(key) => ScanCursor::Object(Kind::from_stored(&key.kind), key.id),
            After::Relation(key) => ScanCursor::Relation(Kind::from_stored(&key.kind), key.from, key.to),
        });
        let found = self.0.scan(log, shape, after, count(request.limit)).await;
        let records = found.map_err(|error| to_status(&error))?.into_iter().map(|record| {
            let shown = match record {
                Record::Entry(entry) => Shown::Entry(from_entry(entry)),
                Record::Object(object) => Shown::Object(from_object(object)),
                Record::Relation(relation) => Shown::Relation(from_relation(relation)),
            };
            proto::scan_response::Record { record: Some(shown) }
        });
        list(records.collect(), |records| ScanResponse { records })
    }
}

/// A whole step, or the reason why it is none.
async fn received(mut parts: Streaming<AppendRequest>) -> Result<Step, Status> {
    const VERB: &str = "append";
    let Some(AppendRequest { part: Some(Part::Start(start)) }) = parts.message().await? else {
        return Err(invalid(VERB, "the first message is not `start`"));
    };
    let fence = Fence { epoch: Epoch(start.epoch), writer: Incarnation(start.writer), head: Lsn(start.head) };
    let mut step = Step { log: asked(VERB, log_id(start.log))?, fence, operations: Vec::new() };
    let mut size = 0;
    loop {
        match parts.message().await? {
            Some(AppendRequest { part: Some(Part::Operations(part)) }) => {
                size += part.encoded_len();
                if size > STEP {
                    return Err(invalid(VERB, format!("a step is at most {STEP} bytes long")));
                }
                for operation in part.operations {
                    step.operations.push(asked(VERB, to_operation(operation))?);
                }
            }
            Some(AppendRequest { part: Some(Part::Finish(finish)) }) => {
                let came = step.operations.len();
                if finish.count != came as u64 {
                    return Err(invalid(VERB, format!("{came} operations came, {} were sent", finish.count)));
                }
                return Ok(step);
            }
            Some(_) => return Err(invalid(VERB, "a message that is no part of a step")),
            None => {
                let error = Error::new(ErrorKind::Unavailable, VERB, "the sender ended before `finish`");
                return Err(to_status(&error));
            }
        }
    }
}
