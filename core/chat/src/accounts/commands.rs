//! What the home log's writer can do to an account.

use crate::{
    ChatError,
    accounts::{Account, MUTED, Mutes, USER, USER_UUID},
    log::{Command, Draft},
    people::{COUNTER, USERS, read_counter},
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
            mutes: Mutes::default(),
            version: 1,
        };
        count_users(draft, 1).await?;
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
    Nickname(String),
    Mute(Mutes),
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
            Change::Nickname(nickname) => {
                revoke = false;
                account.nickname = Some(nickname.clone()).filter(|nickname| !nickname.is_empty());
            }
            Change::Mute(mutes) => {
                revoke = false;
                account.mutes = account.mutes.changed(*mutes);
                let (from, to, rank) = (String::new(), self.username.to_string(), 0);
                draft.put_relation(Relation { kind: MUTED, from, to, rank, body: Bytes::new() });
            }
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
        let (from, to) = (String::new(), self.username.to_string());
        draft.push(Effect::DeleteRelation { kind: MUTED, from, to });
        count_users(draft, -1).await?;
        draft.push(Effect::DeleteRelation {
            kind: USER_UUID,
            from: self.uuid.clone(),
            to: self.username.to_string(),
        });
        Ok(())
    }
}

/// Accounts of one log, those being deleted included.
async fn count_users(draft: &mut Draft<'_>, by: i64) -> Result<(), ChatError> {
    let stored = draft.object(&COUNTER, USERS).await?;
    let count = stored.as_ref().map_or(0, read_counter).saturating_add_signed(by);
    let version = stored.map_or(0, |object| object.version);
    draft.put_object(&COUNTER, USERS, 0, version, Bytes::from(count.to_string()));
    Ok(())
}
