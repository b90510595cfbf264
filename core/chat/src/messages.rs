//! Messages sent, recalled and looked for by REST.

use crate::{
    App, ChatError, OutgoingMessage, RecallOutcome, RecallRequest, Target,
    accounts::ChatKind,
    conversation::{Recall, Submit},
    muc::{MucError, Role},
    service::Inner,
    sessions::{conversations_of, count_after},
};
use meridian_ports::find_message;
use meridian_types::{ConversationKey, Entry, EntryKind, MessageId, Position, UserName, session::SendError};

impl Inner {
    pub(crate) async fn send_from_rest(
        &self,
        app: &App,
        message: OutgoingMessage,
    ) -> Result<MessageId, ChatError> {
        let sender = self.account(app, &message.from).await?;
        let kind = ChatKind::of(&message.to);
        if sender.is_some_and(|sender| sender.mutes.holds(kind, self.clock.now())) {
            return Err(ChatError::Muted);
        }
        let submit = Submit::from_rest(app, message).map_err(|error| send_error(&error))?;
        let log = self.placement.conversation(app.tenant, submit.conversation());
        match self.logs.execute(log, submit).await {
            Ok(sent) => Ok(sent.message_id),
            Err(error) => Err(send_error(&error)),
        }
    }

    pub(crate) async fn recall_from_rest(
        &self,
        app: &App,
        request: RecallRequest,
    ) -> Result<RecallOutcome, ChatError> {
        let conversation = request.to.conversation(&request.from);
        let outcome = self.recall_in(app, &request, conversation, Some(request.from.clone())).await?;
        if outcome != RecallOutcome::NotFound {
            return Ok(outcome);
        }
        // `from` may only say who recalls (it defaults to an administrator): look where the receiver got it.
        let joined = match &request.to {
            Target::User(user) => self.conversation_with(app, user, request.message_id).await?,
            Target::Muc(id) => Some((*id).into()),
        };
        let Some(joined) = joined else { return Ok(RecallOutcome::NotFound) };
        self.recall_in(app, &request, joined, None).await
    }

    async fn recall_in(
        &self,
        app: &App,
        request: &RecallRequest,
        conversation: ConversationKey,
        by: Option<UserName>,
    ) -> Result<RecallOutcome, ChatError> {
        let log = self.placement.conversation(app.tenant, &conversation);
        let recall = Recall {
            conversation,
            target: request.message_id,
            by,
            force: request.force,
            settings: app.settings.clone(),
        };
        Ok(self.logs.execute(log, recall).await?)
    }

    /// The person's conversation that holds a message.
    async fn conversation_with(
        &self,
        app: &App,
        user: &UserName,
        id: MessageId,
    ) -> Result<Option<ConversationKey>, ChatError> {
        Ok(self.find_for(app, user, id).await?.map(|(entry, _)| entry.conversation))
    }

    async fn find_for(
        &self,
        app: &App,
        user: &UserName,
        id: MessageId,
    ) -> Result<Option<(Entry, Position)>, ChatError> {
        let logs = self.placement.all_owned(app.tenant);
        for joined in conversations_of(&*self.store, &logs, user, |_| {}).await? {
            if joined.head.message_id < id {
                continue;
            }
            let found =
                find_message(&*self.store, joined.log, &joined.conversation, joined.head.seq, id).await?;
            if let Some(entry) = found.filter(|entry| joined.admits(entry, user)) {
                return Ok(Some((entry, joined.from)));
            }
        }
        Ok(None)
    }

    pub(crate) async fn offline_count(&self, app: &App, user: &UserName) -> Result<u64, ChatError> {
        let positions = self.positions.load(app.tenant, user.as_str()).await?;
        let logs = self.placement.all_owned(app.tenant);
        let mut total = 0;
        for joined in conversations_of(&*self.store, &logs, user, |_| {}).await? {
            let position = positions.get(&joined.conversation).copied().unwrap_or_default().max(joined.from);
            if joined.head.seq.min(joined.end()) <= position.seq {
                continue;
            }
            let is_owed = |entry: &Entry| {
                entry.kind == EntryKind::Message
                    && entry.body.is_some()
                    && &entry.sender != user
                    && joined.admits(entry, user)
            };
            total += count_after(&*self.store, &joined, position, is_owed).await?.0 as u64;
        }
        Ok(total)
    }

    pub(crate) async fn is_delivered(
        &self,
        app: &App,
        user: &UserName,
        id: MessageId,
    ) -> Result<bool, ChatError> {
        let Some((entry, _)) = self.find_for(app, user, id).await? else { return Ok(true) };
        let positions = self.positions.load(app.tenant, user.as_str()).await?;
        let acknowledged = positions.get(&entry.conversation).copied().unwrap_or_default();
        Ok(&entry.sender == user || entry.seq <= acknowledged.seq)
    }
}

fn send_error(error: &SendError) -> ChatError {
    match error {
        SendError::TooLarge { limit } => ChatError::MessageTooLarge { limit: *limit },
        SendError::GroupNotFound => ChatError::Muc(MucError::NotFound),
        SendError::GroupDisabled => ChatError::Muc(MucError::Disabled),
        SendError::DirectedLimit { limit } => ChatError::Muc(MucError::DirectedLimit { limit: *limit }),
        SendError::NotMember => ChatError::Muc(MucError::NotPermitted { needed: Role::Member }),
        SendError::Blocked => ChatError::Blocked,
        SendError::Muted => ChatError::Muted,
        SendError::Busy => ChatError::Busy,
        SendError::StorageFull => ChatError::StorageFull,
        SendError::Unavailable => ChatError::Unavailable("the log cannot commit now".into()),
        _ => ChatError::MalformedMessage,
    }
}
