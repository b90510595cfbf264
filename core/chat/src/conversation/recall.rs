//! Recall: the message's body, and those of its edits, are erased in the step that tells everybody.

use crate::{
    AppSettings, RecallOutcome, Target,
    conversation::{body::compose_recall, edit::EDIT},
    log::{Command, Draft, LogError, NewEntry},
    muc,
};
use async_trait::async_trait;
use bytes::Bytes;
use meridian_types::{Audience, ConversationKey, EntryKind, MessageId, Seq, UserName, session::SendError};
use serde::{Deserialize, Serialize};

/// Erases a message, by the app's rules. `force` lifts the time window and nothing else.
pub(super) async fn withdraw(
    draft: &mut Draft<'_>,
    conversation: &ConversationKey,
    target: MessageId,
    by: &UserName,
    settings: &AppSettings,
    force: bool,
) -> Result<(), SendError> {
    if !settings.recall_enabled {
        return Err(SendError::RecallDisabled);
    }
    let found = draft.find(conversation, target).await.map_err(LogError::from)?;
    let message = found
        .filter(|entry| entry.kind == EntryKind::Message && entry.body.is_some())
        .ok_or(SendError::MessageNotFound)?;
    if &message.sender != by && !muc::may_recall_others(draft, conversation, by).await? {
        return Err(SendError::NotPermitted);
    }
    let age = draft.now().0.saturating_sub(message.message_id.millis().0);
    if !force && age > settings.recall_window_ms {
        return Err(SendError::RecallTooLate);
    }
    draft.erase(conversation, message.seq);
    let edits = draft.relations(&EDIT, &target.to_string(), 1000).await.map_err(LogError::from)?;
    for edit in edits {
        draft.erase(conversation, Seq(u64::try_from(edit.rank).unwrap_or_default()));
    }
    Ok(())
}

/// A recall by REST.
#[derive(Serialize, Deserialize)]
pub(crate) struct Recall {
    pub(crate) conversation: ConversationKey,
    pub(crate) target: MessageId,
    /// `None`: on behalf of whoever sent the message.
    pub(crate) by: Option<UserName>,
    pub(crate) force: bool,
    pub(crate) settings: AppSettings,
}

#[async_trait]
impl Command for Recall {
    type Output = RecallOutcome;
    type Error = LogError;

    const NAME: &'static str = "recall";

    fn is_repeatable(&self) -> bool {
        false
    }

    async fn decide(&mut self, draft: &mut Draft<'_>) -> Result<RecallOutcome, LogError> {
        draft.load(&self.conversation).await?;
        if !self.settings.recall_enabled {
            return Ok(RecallOutcome::Disabled);
        }
        let Some(message) = draft.find(&self.conversation, self.target).await? else {
            return Ok(RecallOutcome::NotFound);
        };
        let by = self.by.clone().unwrap_or_else(|| message.sender.clone());
        let withdrawn = withdraw(draft, &self.conversation, self.target, &by, &self.settings, self.force);
        match withdrawn.await {
            Ok(()) => {}
            Err(SendError::RecallTooLate) => return Ok(RecallOutcome::TooLate),
            Err(SendError::RecallDisabled) => return Ok(RecallOutcome::Disabled),
            Err(SendError::Busy) => return Err(LogError::Busy),
            Err(_) => return Ok(RecallOutcome::NotFound),
        }
        let to = match self.conversation.muc() {
            Some(id) => Target::Muc(id),
            None => Target::User(self.conversation.peer(&by).unwrap_or_else(|| by.clone())),
        };
        draft.append(NewEntry {
            conversation: self.conversation.clone(),
            kind: EntryKind::Recall,
            body: compose_recall(&by, &to, self.target),
            sender: by,
            sender_device: None,
            audience: Audience::Everyone,
            target: Some(self.target),
            idempotency: None,
            ext: Bytes::new(),
            at: None,
        });
        Ok(RecallOutcome::Recalled)
    }
}
