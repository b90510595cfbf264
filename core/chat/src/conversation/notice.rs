//! What a person's own devices are told, in the conversation that the person has with themself.

use crate::{
    ChatError,
    log::{Command, Draft, NewEntry},
};
use async_trait::async_trait;
use bytes::Bytes;
use meridian_types::{Audience, EntryKind, Resource, UserName, notice::own_conversation};
use serde::{Deserialize, Serialize};

/// Tells every device of a person but the one that did it.
#[derive(Serialize, Deserialize)]
pub(crate) struct NoticeToSelf {
    pub(crate) user: UserName,
    pub(crate) device: Option<Resource>,
    pub(crate) notice: Bytes,
}

#[async_trait]
impl Command for NoticeToSelf {
    type Output = ();
    type Error = ChatError;

    const NAME: &'static str = "notice";

    fn is_repeatable(&self) -> bool {
        true
    }

    async fn decide(&mut self, draft: &mut Draft<'_>) -> Result<(), ChatError> {
        let conversation = own_conversation(&self.user);
        draft.load(&conversation).await?;
        draft.join(&conversation, &self.user).await?;
        draft.append(NewEntry {
            conversation,
            kind: EntryKind::Notice,
            sender: self.user.clone(),
            sender_device: self.device.clone(),
            audience: Audience::Own,
            target: None,
            idempotency: None,
            ext: Bytes::new(),
            body: self.notice.clone(),
            at: None,
        });
        Ok(())
    }
}
