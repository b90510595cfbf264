//! Who has read a message of a group, whatever the size of the group: a row for each reader and one with their number. The
//! author is told the number some time later, once for all who have read meanwhile.

use crate::{
    App, Chat, ChatError, Page,
    log::{Command, Draft, LogError, Logs, NewEntry},
    muc::{MUC_READ, MUC_READS},
};
use async_trait::async_trait;
use bytes::Bytes;
use meridian_ports::RelationPage;
use meridian_types::{
    Audience, ConversationKey, EntryKind, LogId, MessageId, Millis, MucId, Relation, UserName,
    msync::{
        Jid, KeyValue, MessageBody,
        key_value::{Value, ValueType},
        message_body::{Content, MessageConfig, Type},
    },
    session::SendError,
};
use prost::Message;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// The author hears of the first readers after this long, of many readers after longer.
const SOON: Duration = Duration::from_millis(300);
const LATE: Duration = Duration::from_secs(15);
/// Added for each reader there is.
const PER_READER: Duration = Duration::from_millis(3);
/// How exactly the times above are kept.
const TICK: Duration = Duration::from_millis(100);
/// Messages whose author is to be told; of more, the next reader reminds.
const WAITING: usize = 10_000;

/// The `from` of a message's readers.
pub(super) fn readers_of(id: MucId, message: MessageId) -> String {
    format!("{id}/{message}")
}

/// Notes that a member has read a message.
pub(crate) async fn note_reader(
    draft: &mut Draft<'_>,
    id: MucId,
    target: MessageId,
    reader: &UserName,
    said: Option<&str>,
) -> Result<(), SendError> {
    let failed = |error: meridian_ports::Error| SendError::from(LogError::from(error));
    let from = readers_of(id, target);
    if draft.relation(&MUC_READ, &from, reader.as_str()).await.map_err(failed)?.is_some() {
        return Ok(());
    }
    let message = draft.find(&id.into(), target).await.map_err(failed)?;
    let message = message.filter(|message| message.kind == EntryKind::Message && message.body.is_some());
    let message = message.ok_or(SendError::MessageNotFound)?;
    if &message.sender == reader {
        return Ok(());
    }
    let counted = draft.relation(&MUC_READS, &id.to_string(), &target.to_string()).await.map_err(failed)?;
    let (count, told) = counted.map_or((0, Bytes::new()), |counted| (counted.rank, counted.body));
    let rank = i64::try_from(draft.now().0).unwrap_or(i64::MAX);
    let body = Bytes::copy_from_slice(said.unwrap_or_default().as_bytes());
    draft.put_relation(Relation { kind: MUC_READ, from, to: reader.to_string(), rank, body });
    draft.put_muc_relation(&MUC_READS, id, &target.to_string(), count + 1, told);
    draft.remind(Reminder { log: draft.log(), id, target, readers: count + 1 });
    Ok(())
}

/// Somebody has read a message, and its author is to be told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reminder {
    log: LogId,
    id: MucId,
    target: MessageId,
    readers: i64,
}

/// Tells an author how many have read.
#[derive(Serialize, Deserialize)]
pub(crate) struct TellReaders {
    id: MucId,
    target: MessageId,
}

#[async_trait]
impl Command for TellReaders {
    type Output = ();
    type Error = ChatError;

    const NAME: &'static str = "muc.readers";

    fn is_repeatable(&self) -> bool {
        true
    }

    async fn decide(&mut self, draft: &mut Draft<'_>) -> Result<(), ChatError> {
        let (id, target) = (self.id.to_string(), self.target.to_string());
        let Some(counted) = draft.relation(&MUC_READS, &id, &target).await? else { return Ok(()) };
        let told = std::str::from_utf8(&counted.body).ok().and_then(|told| told.parse().ok()).unwrap_or(0);
        let conversation = ConversationKey::from(self.id);
        if counted.rank <= told {
            return Ok(());
        }
        let Some(message) = draft.find(&conversation, self.target).await? else { return Ok(()) };
        draft.put_muc_relation(&MUC_READS, self.id, &target, counted.rank, counted.rank.to_string().into());
        draft.append(NewEntry {
            conversation,
            kind: EntryKind::ReadReceipt,
            sender: message.sender.clone(),
            sender_device: None,
            audience: Audience::People(vec![message.sender.clone()]),
            target: Some(self.target),
            idempotency: None,
            ext: Bytes::new(),
            body: compose(self.id, &message.sender, self.target, counted.rank),
            at: None,
        });
        Ok(())
    }
}

/// The SDK reads the first extension: the number of readers by message.
fn compose(id: MucId, author: &UserName, target: MessageId, readers: i64) -> Bytes {
    let party = |name: String| Some(Jid { name: Some(name), ..Jid::default() });
    let counts = serde_json::json!({ target.to_string(): readers }).to_string();
    MessageBody {
        r#type: Some(Type::ReadAck as i32),
        from: party(author.to_string()),
        to: party(id.to_string()),
        contents: vec![Content::default()],
        ack_message_id: Some(target.0),
        msg_config: Some(MessageConfig { allow_group_ack: Some(true) }),
        ext: vec![KeyValue {
            key: Some("group_ack_count".into()),
            r#type: Some(ValueType::String as i32),
            value: Some(Value::StringValue(counts)),
        }],
        ..MessageBody::default()
    }
    .encode_to_vec()
    .into()
}

/// The way to the task that tells authors.
#[derive(Clone, Debug)]
pub(crate) struct Reminders(mpsc::Sender<Reminder>);

impl Reminders {
    /// The sending end, and what the task listens to.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Reminder>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), receiver)
    }

    /// Never waits. One that is lost is made good by the next reader.
    pub(crate) fn remind(&self, reminder: Reminder) {
        let _ = self.0.try_send(reminder);
    }
}

/// Tells authors of their readers until nobody reminds any more.
pub(crate) async fn tell_authors(logs: Arc<Logs>, mut reminders: mpsc::Receiver<Reminder>) {
    let mut due: HashMap<(MucId, MessageId), (LogId, Instant)> = HashMap::new();
    loop {
        tokio::select! {
            reminder = reminders.recv() => match reminder {
                Some(Reminder { log, id, target, readers }) if due.len() < WAITING => {
                    let many = PER_READER.saturating_mul(u32::try_from(readers).unwrap_or(u32::MAX));
                    let at = Instant::now() + many.clamp(SOON, LATE);
                    due.entry((id, target)).or_insert((log, at));
                }
                Some(_) => {}
                None => return,
            },
            () = tokio::time::sleep(TICK), if !due.is_empty() => {
                let now = Instant::now();
                for ((id, target), (log, _)) in due.extract_if(|_, (_, at)| *at <= now) {
                    if let Err(error) = logs.execute(log, TellReaders { id, target }).await {
                        tracing::debug!(%error, "an author is not told of readers");
                    }
                }
            }
        }
    }
}

/// Readers of messages.
impl Chat {
    /// How many members have read a message.
    pub async fn group_reader_count(
        &self,
        app: &App,
        id: MucId,
        message: MessageId,
    ) -> Result<u64, ChatError> {
        let log = self.inner.muc_log(app, id);
        let row = self.inner.store.relation(log, &MUC_READS, &id.to_string(), &message.to_string()).await?;
        Ok(row.and_then(|row| u64::try_from(row.rank).ok()).unwrap_or(0))
    }

    /// Who has read a message, by name, and when.
    pub async fn group_readers(
        &self,
        app: &App,
        id: MucId,
        message: MessageId,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<(UserName, Millis)>, ChatError> {
        let log = self.inner.muc_log(app, id);
        let page = RelationPage::new(cursor.map(str::to_owned), limit + 1);
        let rows = self.inner.store.relations(&[log], &MUC_READ, &readers_of(id, message), page).await?;
        let more = rows.len() > limit;
        let read = rows
            .iter()
            .take(limit)
            .map(|(_, row)| Ok((UserName::parse(&row.to)?, Millis(u64::try_from(row.rank).unwrap_or(0)))));
        let items: Vec<_> = read.collect::<Result<_, ChatError>>()?;
        let cursor = items.last().filter(|_| more).map(|(user, _)| user.to_string());
        Ok(Page { items, cursor })
    }
}
