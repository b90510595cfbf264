//! Edit: an entry with the new body; the message's first body stays where it is. Relation `edit`, from the message id to
//! the number of the edit, rank = the edit's `seq`: counts edits, and lets a recall erase their bodies.

use crate::{
    AppSettings,
    conversation::body::{ReadBody, appended},
    log::{Draft, LogError},
};
use bytes::Bytes;
use meridian_types::{
    ConversationKey, Entry, EntryKind, Kind, MessageId, Relation, Seq, UserName, msync::MessageBody,
    session::SendError,
};
use prost::Message;
use serde_json::json;

pub(super) const EDIT: Kind = Kind::new("edit");

pub(super) struct Edited {
    /// The sender's body with the `meta` that receivers read.
    pub(super) body: Bytes,
    pub(super) notice: String,
}

/// Checks an edit and notes it; the caller appends the entry next.
pub(super) async fn amend(
    draft: &mut Draft<'_>,
    conversation: &ConversationKey,
    target: MessageId,
    by: &UserName,
    new: &ReadBody,
    settings: &AppSettings,
) -> Result<Edited, SendError> {
    if !settings.edit_enabled {
        return Err(SendError::EditDisabled);
    }
    let found = draft.find(conversation, target).await.map_err(LogError::from)?;
    let message = found.filter(|entry| entry.kind == EntryKind::Message).ok_or(SendError::MessageNotFound)?;
    let original = message.body.as_ref().ok_or(SendError::MessageNotFound)?;
    if &message.sender != by {
        return Err(SendError::NotPermitted);
    }
    if content_type(original) != Some(new.content_type) {
        return Err(SendError::EditFormat);
    }
    let id = target.to_string();
    let earlier = committed_and_staged(draft, &id, settings.edits_per_message).await?;
    if earlier >= settings.edits_per_message {
        return Err(SendError::EditLimit);
    }
    let count = earlier + 1;
    let seq = next_seq(draft, conversation).await?;
    draft.put_relation(Relation {
        kind: EDIT,
        from: id,
        to: number(count),
        rank: i64::try_from(seq.0).unwrap_or(i64::MAX),
        body: Bytes::new(),
    });
    let notice = json!({ "edit_msg": {
        "count": count,
        "operator": by.as_str(),
        "edit_time": draft.now().0,
        "sender": message.sender.as_str(),
        "send_time": message.at.0,
        "chat_type": if conversation.muc().is_some() { "chat:group" } else { "chat:user" },
    }})
    .to_string();
    let meta = MessageBody { meta: Some(notice.clone()), ..MessageBody::default() };
    Ok(Edited { body: appended(&new.bytes, &meta), notice })
}

/// What was answered to the edit that became this entry.
pub(super) fn notice_of(entry: &Entry) -> Option<String> {
    MessageBody::decode(entry.body.clone()?).ok()?.meta
}

/// Edits so far, those of this batch included: they are numbered without a hole.
async fn committed_and_staged(draft: &Draft<'_>, id: &str, limit: usize) -> Result<usize, SendError> {
    let mut count = draft.relations(&EDIT, id, limit + 1).await.map_err(LogError::from)?.len();
    while draft.relation(&EDIT, id, &number(count + 1)).await.map_err(LogError::from)?.is_some() {
        count += 1;
    }
    Ok(count)
}

async fn next_seq(draft: &mut Draft<'_>, conversation: &ConversationKey) -> Result<Seq, SendError> {
    Ok(draft.last_seq(conversation).await.map_err(LogError::from)?.next())
}

fn number(count: usize) -> String {
    format!("{count:06}")
}

fn content_type(body: &Bytes) -> Option<i32> {
    let body = MessageBody::decode(body.clone()).ok()?;
    Some(body.contents.first()?.r#type.unwrap_or_default())
}
