//! User accounts: objects of kind `user` in the user's home log, with a cache for the checks that every login and every
//! REST call makes.

mod cache;
mod commands;
mod manage;
mod mutes;
mod password;

pub(crate) use cache::AccountCache;
pub(crate) use commands::{Create, EndDelete, Update};
pub(crate) use mutes::{ChatKind, MUTED};
pub use mutes::{MuteRecord, Mutes};
pub(crate) use password::Passwords;

use crate::{ChatError, User};
use meridian_ports::{Error, ErrorKind};
use meridian_types::{Kind, Millis, Object, UserName};
use serde::{Deserialize, Serialize};
use std::fmt;

pub(crate) const USER: Kind = Kind::new("user");
/// uuid → user name, in the same log as the user.
pub(crate) const USER_UUID: Kind = Kind::new("user_uuid");

/// A user account.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) uuid: String,
    pub(crate) username: UserName,
    pub(crate) created: Millis,
    pub(crate) modified: Millis,
    /// Argon2 in PHC form.
    pub(crate) password: Option<String>,
    pub(crate) nickname: Option<String>,
    pub(crate) activated: bool,
    /// Random; a new one revokes every token that was issued before.
    pub(crate) token_epoch: u64,
    /// Dynamic tokens made before are revoked.
    pub(crate) tokens_from: Millis,
    /// Deletion has begun: the account is gone for everybody, what hangs on it is still being removed.
    pub(crate) deleting: bool,
    pub(crate) mutes: Mutes,
    pub(crate) version: u64,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("username", &self.username).finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
struct AccountBody {
    uuid: String,
    created: u64,
    modified: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nickname: Option<String>,
    activated: bool,
    token_epoch: u64,
    tokens_from: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    deleting: bool,
    #[serde(default, skip_serializing_if = "Mutes::is_empty")]
    mutes: Mutes,
}

impl Account {
    pub(crate) fn read(object: &Object) -> Result<Self, Error> {
        let corrupt =
            || Error::new(ErrorKind::Corrupt, "object", format!("user {} cannot be read", object.id));
        let body: AccountBody = serde_json::from_slice(&object.body).map_err(|_| corrupt())?;
        Ok(Self {
            uuid: body.uuid,
            username: UserName::parse(&object.id).map_err(|_| corrupt())?,
            created: Millis(body.created),
            modified: Millis(body.modified),
            password: body.password,
            nickname: body.nickname,
            activated: body.activated,
            token_epoch: body.token_epoch,
            tokens_from: Millis(body.tokens_from),
            deleting: body.deleting,
            mutes: body.mutes,
            version: object.version,
        })
    }

    fn write(&self) -> Result<bytes::Bytes, ChatError> {
        let body = AccountBody {
            uuid: self.uuid.clone(),
            created: self.created.0,
            modified: self.modified.0,
            password: self.password.clone(),
            nickname: self.nickname.clone(),
            activated: self.activated,
            token_epoch: self.token_epoch,
            tokens_from: self.tokens_from.0,
            deleting: self.deleting,
            mutes: self.mutes,
        };
        let json = serde_json::to_vec(&body)
            .map_err(|_| Error::new(ErrorKind::Invalid, "object", "user cannot be written"))?;
        Ok(json.into())
    }

    pub(crate) fn rank(&self) -> i64 {
        i64::try_from(self.created.0).unwrap_or(i64::MAX)
    }

    pub(crate) fn to_user(&self) -> User {
        User {
            uuid: self.uuid.clone(),
            username: self.username.clone(),
            created: self.created,
            modified: self.modified,
            activated: self.activated,
            nickname: self.nickname.clone(),
        }
    }
}
