//! What the home log's writer can do to an account.

use crate::{
    ChatError,
    accounts::{Account, USER, USER_UUID},
    log::{Command, Draft, JOINED},
};
use async_trait::async_trait;
use bytes::Bytes;
use meridian_types::{Effect, Millis, Relation, UserName};

/// Registers a user.
pub(super) struct Create {
    pub(super) username: UserName,
    pub(super) uuid: String,
    /// Hashed already.
    pub(super) password: Option<String>,
    pub(super) nickname: Option<String>,
}

#[async_trait]
impl Command for Create {
    type Output = Account;
    type Error = ChatError;

    fn name(&self) -> &'static str {
        "user.create"
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
            password: self.password.take(),
            nickname: self.nickname.take(),
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
pub(super) enum Change {
    /// A new password, hashed already.
    Password(String),
    Activated(bool),
    /// Revokes all tokens and changes nothing else.
    RevokeTokens,
    /// Makes the account unusable; its remains can then be removed.
    BeginDelete,
}

/// Changes an account.
pub(super) struct Update {
    pub(super) username: UserName,
    pub(super) change: Change,
}

#[async_trait]
impl Command for Update {
    type Output = Account;
    type Error = ChatError;

    fn name(&self) -> &'static str {
        "user.update"
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
pub(super) struct EndDelete {
    pub(super) username: UserName,
    pub(super) uuid: String,
}

#[async_trait]
impl Command for EndDelete {
    type Output = ();
    type Error = ChatError;

    fn name(&self) -> &'static str {
        "user.delete"
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
pub(super) struct LeaveConversations {
    pub(super) username: UserName,
}

#[async_trait]
impl Command for LeaveConversations {
    /// Whether there may be more.
    type Output = bool;
    type Error = ChatError;

    fn name(&self) -> &'static str {
        "conversation.leave"
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
