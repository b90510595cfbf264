//! Who may not send anywhere in the app, by kind of chat and for how long.

use crate::{App, Chat, ChatError, Target, accounts::commands::Change};
use meridian_ports::RelationPage;
use meridian_types::{Kind, Millis, MucKind, UserName};
use serde::{Deserialize, Serialize};

/// "" → person, in the person's home log: everybody who was ever muted.
pub(crate) const MUTED: Kind = Kind::new("muted");

/// Until when, in milliseconds since 1970: absent = never muted, [`Mutes::FOR_EVER`] = without end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mutes {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groupchat: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chatroom: Option<u64>,
}

/// A muted person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MuteRecord {
    pub user: UserName,
    pub mutes: Mutes,
}

impl Mutes {
    pub const FOR_EVER: u64 = u64::MAX;

    pub(crate) fn is_empty(&self) -> bool {
        self == &Self::default()
    }

    /// What is given in `change` replaces what was.
    pub(crate) fn changed(self, change: Self) -> Self {
        Self {
            chat: change.chat.or(self.chat),
            groupchat: change.groupchat.or(self.groupchat),
            chatroom: change.chatroom.or(self.chatroom),
        }
    }

    pub(crate) fn until(&self, kind: ChatKind) -> u64 {
        let until = match kind {
            ChatKind::Single => self.chat,
            ChatKind::Group => self.groupchat,
            ChatKind::Room => self.chatroom,
        };
        until.unwrap_or(0)
    }

    pub(crate) fn holds(&self, kind: ChatKind, now: Millis) -> bool {
        self.until(kind) > now.0
    }
}

/// What a person can be muted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChatKind {
    Single,
    Group,
    Room,
}

impl ChatKind {
    pub(crate) const ALL: [Self; 3] = [Self::Single, Self::Group, Self::Room];

    pub(crate) fn of(target: &Target) -> Self {
        match target {
            Target::User(_) => Self::Single,
            Target::Muc(id) if id.kind() == MucKind::Room => Self::Room,
            Target::Muc(_) => Self::Group,
        }
    }
}

impl Chat {
    /// Changes the kinds of chat that are given.
    pub async fn set_mutes(&self, app: &App, user: &UserName, change: Mutes) -> Result<(), ChatError> {
        self.inner.change(app, user, Change::Mute(change)).await.map(drop)
    }

    pub async fn mutes(&self, app: &App, user: &UserName) -> Result<Mutes, ChatError> {
        Ok(self.inner.existing(app, user).await?.mutes)
    }

    /// People who were ever muted, in order of names: `limit` of them behind the first `skip`.
    pub async fn muted(&self, app: &App, skip: usize, limit: usize) -> Result<Vec<MuteRecord>, ChatError> {
        const PAGE: usize = 500;
        let logs = self.inner.placement.all_owned(app.tenant);
        let (mut names, mut after, mut passed) = (Vec::new(), None, 0);
        while names.len() < limit {
            let page = RelationPage::new(after.take(), PAGE);
            let found = self.inner.store.relations(&logs, &MUTED, "", page).await?;
            let end = found.len() < PAGE;
            after = found.last().map(|(_, relation)| relation.to.clone());
            let behind = skip.saturating_sub(passed).min(found.len());
            passed += found.len();
            let wanted = found.into_iter().skip(behind).take(limit - names.len());
            names.extend(wanted.map(|(_, relation)| relation.to));
            if end {
                break;
            }
        }
        let mut records = Vec::with_capacity(names.len());
        for name in names {
            let user = UserName::parse(&name)?;
            if let Some(account) = self.inner.account(app, &user).await? {
                records.push(MuteRecord { user, mutes: account.mutes });
            }
        }
        Ok(records)
    }
}
