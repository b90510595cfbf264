//! What the home log's writer can do to an account.

use crate::{
    ChatError,
    accounts::{Account, USER, USER_UUID},
    log::{Command, Draft, JOINED},
};
use async_trait::async_trait;
use bytes::Bytes;
use meridian_types::{Effect, Millis, Relation, UserName};
use serde::{Deserialize, Serialize};

/// Registers a user.
#[derive(Serialize, Deserialize)]
pub(crate) struct Create {
    pub(crate) username: UserName,
    pub(crate) uuid: String,
    /// Hashed already.
    pub(crate) password: Option<String>,
    pub(crate) nickname: Option<String>,
}

#[async_trait]
impl Command for Create {
    type Output = Account;
    type Error = ChatError;

    const NAME: &'static str = "user.create";

    fn is_repeatable(&self) -> bool {
        false
    }

    async fn decide(&mut self, draft: &mut Draft<'_>) -> Result<Account, ChatError> {
        if draft.object(&USER, self.username.as_str()).await?.is_some() {
            return Err(ChatError::UserExists);
        }
        let now = draft.now();
        let account = Account {
            uuid: self.uuid.clone(),
            username: self.username.clone(),
            created: now,
            modified: now,
            password: self.password.clone(),
            nickname: self.nickname.clone(),
            activated: true,
            token_epoch: rand::random(),
            // A dynamic token may have been made a moment before its user, by another clock.
            tokens_from: Millis(0),
            deleting: false,
            version: 1,
        };
        draft.put_object(&USER, self.username.as_str(), account.rank(), 0, account.write()?);
        draft.put_relation(Relation {
            kind: USER_UUID,
            from: self.uuid.clone(),
            to: self.username.to_string(),
            rank: 0,
            body: Bytes::new(),
        });
        Ok(account)
    }
}

/// What changes in an account.
#[derive(Serialize, Deserialize)]
pub(crate) enum Change {
    /// A new password, hashed already.
    Password(String),
    Activated(bool),
    /// Revokes all tokens and changes nothing else.
    RevokeTokens,
    /// Makes the account unusable; its remains can then be removed.
    BeginDelete,
}

/// Changes an account.
#[derive(Serialize, Deserialize)]
pub(crate) struct Update {
    pub(crate) username: UserName,
    pub(crate) change: Change,
}

#[async_trait]
impl Command for Update {
    type Output = Account;
    type Error = ChatError;

    const NAME: &'static str = "user.update";

    fn is_repeatable(&self) -> bool {
        true
    }

    async fn decide(&mut self, draft: &mut Draft<'_>) -> Result<Account, ChatError> {
        let object = draft.object(&USER, self.username.as_str()).await?.ok_or(ChatError::UserNotFound)?;
        let mut account = Account::read(&object)?;
        let begins_delete = matches!(self.change, Change::BeginDelete);
        if account.deleting && !begins_delete {
            return Err(ChatError::UserNotFound);
        }
        let now = draft.now();
        let mut revoke = true;
        match &self.change {
            Change::Password(hash) => account.password = Some(hash.clone()),
            Change::Activated(activated) => {
                revoke = !activated;
                account.activated = *activated;
            }
            Change::RevokeTokens => {}
            Change::BeginDelete => account.deleting = true,
        }
        if revoke {
            account.token_epoch = rand::random();
            account.tokens_from = now;
        }
        account.modified = now;
        draft.put_object(&USER, self.username.as_str(), account.rank(), object.version, account.write()?);
        account.version = object.version + 1;
        Ok(account)
    }
}

/// Removes an account whose deletion has begun and whose remains are gone.
#[derive(Serialize, Deserialize)]
pub(crate) struct EndDelete {
    pub(crate) username: UserName,
    pub(crate) uuid: String,
}

#[async_trait]
impl Command for EndDelete {
    type Output = ();
    type Error = ChatError;

    const NAME: &'static str = "user.delete";

    fn is_repeatable(&self) -> bool {
        true
    }

    async fn decide(&mut self, draft: &mut Draft<'_>) -> Result<(), ChatError> {
        let Some(object) = draft.object(&USER, self.username.as_str()).await? else { return Ok(()) };
        if Account::read(&object)?.uuid != self.uuid {
            return Ok(());
        }
        draft.delete_object(&USER, self.username.as_str());
        draft.push(Effect::DeleteRelation {
            kind: USER_UUID,
            from: self.uuid.clone(),
            to: self.username.to_string(),
        });
        Ok(())
    }
}

/// Takes a person out of the conversations of one log.
#[derive(Serialize, Deserialize)]
pub(crate) struct LeaveConversations {
    pub(crate) username: UserName,
}

#[async_trait]
impl Command for LeaveConversations {
    /// Whether there may be more.
    type Output = bool;
    type Error = ChatError;

    const NAME: &'static str = "conversation.leave";

    fn is_repeatable(&self) -> bool {
        true
    }

    async fn decide(&mut self, draft: &mut Draft<'_>) -> Result<bool, ChatError> {
        const AT_ONCE: usize = 500;
        let joined = draft.relations(&JOINED, self.username.as_str(), AT_ONCE).await?;
        for relation in &joined {
            let (from, to) = (relation.from.clone(), relation.to.clone());
            draft.push(Effect::DeleteRelation { kind: JOINED, from, to });
        }
        Ok(joined.len() == AT_ONCE)
    }
}
