//! Contacts, invitations and block lists as REST asks for them.

use crate::{
    App, Chat, ChatError, Page,
    accounts::Account,
    people::{
        BLOCK, CONTACT, Relate, in_order,
        relate::{Action, Party},
    },
    service::Inner,
};
use futures_util::FutureExt;
use meridian_ports::RelationPage;
use meridian_types::{ConversationKey, Kind, LogId, Relation, Resource, UserName};
use std::sync::Arc;

type Result<T> = std::result::Result<T, ChatError>;

/// Relations read at once.
const PAGE: usize = 1000;

/// Somebody's contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    pub username: UserName,
    pub remark: Option<String>,
}

/// What became of an import of contacts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    pub done: Vec<String>,
    pub not_found: Vec<String>,
    pub over_limit: Vec<String>,
    pub failed: Vec<String>,
}

impl Inner {
    /// The log of a pair.
    pub(super) fn pair_log(&self, app: &App, one: &UserName, other: &UserName) -> LogId {
        self.placement.conversation(app.tenant, &ConversationKey::pair(one, other))
    }

    pub(super) async fn relate(
        &self,
        app: &App,
        actor: &Account,
        peer: &Account,
        device: Option<Resource>,
        action: Action,
    ) -> Result<bool> {
        let party = |account: &Account| Party { name: account.username.clone(), uuid: account.uuid.clone() };
        let relate = Relate { actor: party(actor), device, peer: party(peer), action };
        self.logs.execute(self.pair_log(app, &actor.username, &peer.username), relate).await
    }

    /// Both accounts; nobody relates to themself.
    async fn both(
        &self,
        app: &App,
        one: &UserName,
        other: &UserName,
    ) -> Result<(Arc<Account>, Arc<Account>)> {
        if one == other {
            return Err(ChatError::Oneself);
        }
        Ok((self.existing(app, one).await?, self.existing(app, other).await?))
    }

    /// How many relations of a kind a person has, counted up to `limit`.
    pub(super) async fn count_relations(
        &self,
        app: &App,
        kind: &Kind,
        user: &UserName,
        limit: usize,
    ) -> Result<usize> {
        let mut count = 0;
        for log in self.placement.all_owned(app.tenant) {
            if count >= limit {
                break;
            }
            count += self.relations_in(log, kind, user, limit - count).await?.len();
        }
        Ok(count)
    }

    /// Relations of a person in one log, at most `limit`.
    async fn relations_in(
        &self,
        log: LogId,
        kind: &Kind,
        user: &UserName,
        limit: usize,
    ) -> Result<Vec<Relation>> {
        let mut all: Vec<Relation> = Vec::new();
        loop {
            let wanted = PAGE.min(limit - all.len());
            let after = all.last().map(|relation| relation.to.clone());
            let found =
                self.store.relations(&[log], kind, user.as_str(), RelationPage::new(after, wanted)).await?;
            let end = found.len() < wanted;
            all.extend(found.into_iter().map(|(_, relation)| relation));
            if end || all.len() >= limit {
                return Ok(all);
            }
        }
    }

    /// Relations of a person over all logs, at most `limit`, and whether there are more.
    pub(super) async fn list_relations(
        &self,
        app: &App,
        kind: &Kind,
        user: &UserName,
        after: Option<String>,
        limit: usize,
    ) -> Result<(Vec<Relation>, bool)> {
        let logs = self.placement.all_owned(app.tenant);
        let mut all: Vec<Relation> = Vec::new();
        if limit < PAGE {
            // One more than asked for tells whether another follows.
            let page = RelationPage::new(after, limit + 1);
            let found = self.store.relations(&logs, kind, user.as_str(), page).await?;
            all.extend(found.into_iter().map(|(_, relation)| relation));
        } else {
            // Each log on its own: merged pages would read most of it again for each page.
            for log in logs {
                all.extend(self.relations_in(log, kind, user, usize::MAX).await?);
            }
            all.retain(|relation| after.as_ref().is_none_or(|after| &relation.to > after));
            all.sort_by(|one, other| one.to.cmp(&other.to));
        }
        let more = all.len() > limit;
        all.truncate(limit);
        Ok((all, more))
    }

    /// Refuses when one of the two could not take another contact.
    async fn check_room(&self, app: &App, one: &UserName, other: &UserName) -> Result<()> {
        let limit = app.settings.max_contacts;
        for (user, is_actor) in [(one, true), (other, false)] {
            if self.count_relations(app, &CONTACT, user, limit).await? >= limit {
                return Err(ChatError::ContactLimit { is_actor });
            }
        }
        Ok(())
    }

    async fn names_of(&self, app: &App, kind: &Kind, user: &UserName, limit: usize) -> Result<Vec<String>> {
        self.existing(app, user).await?;
        let (relations, _) = self.list_relations(app, kind, user, None, limit).await?;
        Ok(relations.into_iter().map(|relation| relation.to).collect())
    }

    /// Which of these names a person is related to.
    async fn check_relations(
        &self,
        app: &App,
        kind: &Kind,
        user: &UserName,
        names: &[UserName],
    ) -> Result<Vec<bool>> {
        self.existing(app, user).await?;
        let mut looked_up = Vec::with_capacity(names.len());
        for name in names {
            let log = self.pair_log(app, user, name);
            let relation = self.store.relation(log, kind, user.as_str(), name.as_str());
            looked_up.push(async move { Ok(relation.await?.is_some()) }.boxed());
        }
        in_order(looked_up).await
    }
}

/// A cursor is the last name seen; names are safe in a URL.
fn page_of<T>(relations: Vec<Relation>, more: bool, item: impl Fn(Relation) -> Result<T>) -> Result<Page<T>> {
    let cursor = relations.last().filter(|_| more).map(|relation| relation.to.clone());
    let items = relations.into_iter().map(item).collect::<Result<_>>()?;
    Ok(Page { items, cursor })
}

fn contact(relation: Relation) -> Result<Contact> {
    let remark = String::from_utf8_lossy(&relation.body).into_owned();
    Ok(Contact {
        username: UserName::parse(&relation.to)?,
        remark: Some(remark).filter(|text| !text.is_empty()),
    })
}

/// Contacts.
impl Chat {
    /// Asks somebody to become a contact. False when they are one already. When they have asked too, both become contacts.
    pub async fn invite_contact(
        &self,
        app: &App,
        user: &UserName,
        peer: &UserName,
        reason: &str,
    ) -> Result<bool> {
        let (actor, other) = self.inner.both(app, user, peer).await?;
        self.inner.check_room(app, user, peer).await?;
        let action = Action::Invite { reason: reason.to_owned() };
        self.inner.relate(app, &actor, &other, None, action).await
    }

    /// False when they are contacts already.
    pub async fn accept_contact(&self, app: &App, user: &UserName, peer: &UserName) -> Result<bool> {
        let (actor, other) = self.inner.both(app, user, peer).await?;
        self.inner.check_room(app, user, peer).await?;
        self.inner.relate(app, &actor, &other, None, Action::Accept).await
    }

    /// False when there was no invitation.
    pub async fn decline_contact(&self, app: &App, user: &UserName, peer: &UserName) -> Result<bool> {
        let (actor, other) = self.inner.both(app, user, peer).await?;
        self.inner.relate(app, &actor, &other, None, Action::Decline).await
    }

    /// Ends the contact for both, or withdraws an invitation. False when they were no contacts.
    pub async fn remove_contact(
        &self,
        app: &App,
        user: &UserName,
        peer: &UserName,
        device: Option<Resource>,
    ) -> Result<bool> {
        let (actor, other) = self.inner.both(app, user, peer).await?;
        self.inner.relate(app, &actor, &other, device, Action::Remove).await
    }

    /// Makes two people contacts at once. False when they were.
    pub async fn add_contact(&self, app: &App, user: &UserName, peer: &UserName, told: bool) -> Result<bool> {
        let (actor, other) = self.inner.both(app, user, peer).await?;
        self.inner.check_room(app, user, peer).await?;
        self.inner.relate(app, &actor, &other, None, Action::Add { told }).await
    }

    /// An empty remark takes it away.
    pub async fn set_remark(&self, app: &App, user: &UserName, peer: &UserName, remark: &str) -> Result<()> {
        let (actor, other) = self.inner.both(app, user, peer).await?;
        let action = Action::Remark(remark.to_owned());
        self.inner.relate(app, &actor, &other, None, action).await.map(drop)
    }

    /// In order of names, at most `limit` (and what the app allows).
    pub async fn contacts(
        &self,
        app: &App,
        user: &UserName,
        cursor: Option<&str>,
        limit: Option<usize>,
    ) -> Result<Page<Contact>> {
        self.inner.existing(app, user).await?;
        let limit = limit.unwrap_or(app.settings.max_contacts).max(1);
        let after = cursor.map(str::to_owned);
        let (relations, more) = self.inner.list_relations(app, &CONTACT, user, after, limit).await?;
        page_of(relations, more, contact)
    }

    /// For each name whether it is a contact.
    pub async fn are_contacts(&self, app: &App, user: &UserName, names: &[UserName]) -> Result<Vec<bool>> {
        self.inner.check_relations(app, &CONTACT, user, names).await
    }

    /// Makes people contacts of one, as far as possible.
    pub async fn import_contacts(
        &self,
        app: &App,
        user: &UserName,
        names: &[String],
        told: bool,
    ) -> Result<Imported> {
        self.inner.existing(app, user).await?;
        let mut imported = Imported::default();
        for text in names {
            let added = match UserName::parse(text) {
                Ok(peer) => self.add_contact(app, user, &peer, told).await,
                Err(_) => Err(ChatError::UserNotFound),
            };
            let list = match added {
                Ok(_) => &mut imported.done,
                Err(ChatError::UserNotFound | ChatError::Oneself) => &mut imported.not_found,
                Err(ChatError::ContactLimit { .. }) => &mut imported.over_limit,
                Err(_) => &mut imported.failed,
            };
            list.push(text.clone());
        }
        Ok(imported)
    }

    /// Ends every contact of a person. Gives how many there were.
    pub async fn clear_contacts(&self, app: &App, user: &UserName) -> Result<usize> {
        let names = self.inner.names_of(app, &CONTACT, user, usize::MAX - 1).await?;
        let mut removals = Vec::with_capacity(names.len());
        for name in &names {
            let peer = UserName::parse(name)?;
            let removal = async move {
                match self.remove_contact(app, user, &peer, None).await {
                    // Deleted meanwhile, and the contact with it.
                    Err(ChatError::UserNotFound) => Ok(false),
                    other => other,
                }
            };
            removals.push(removal.boxed());
        }
        Ok(in_order(removals).await?.into_iter().filter(|removed| *removed).count())
    }
}

/// Block lists.
impl Chat {
    /// Blocks people who exist. Gives whom.
    pub async fn block(
        &self,
        app: &App,
        user: &UserName,
        names: &[UserName],
        device: Option<&Resource>,
    ) -> Result<Vec<UserName>> {
        self.inner.existing(app, user).await?;
        let limit = app.settings.max_blocks;
        let known = self.inner.check_relations(app, &BLOCK, user, names).await?;
        let new = known.iter().filter(|is_blocked| !**is_blocked).count();
        if new > 0 && self.inner.count_relations(app, &BLOCK, user, limit).await? + new > limit {
            return Err(ChatError::BlockLimit { limit });
        }
        let mut people = Vec::with_capacity(names.len());
        for name in names {
            people.push(self.inner.both(app, user, name).await?);
        }
        for (actor, other) in &people {
            self.inner.relate(app, actor, other, device.cloned(), Action::Block).await?;
        }
        Ok(people.into_iter().map(|(_, other)| other.username.clone()).collect())
    }

    pub async fn unblock(
        &self,
        app: &App,
        user: &UserName,
        names: &[UserName],
        device: Option<&Resource>,
    ) -> Result<()> {
        let actor = self.inner.existing(app, user).await?;
        for name in names {
            let other = self.inner.existing(app, name).await?;
            self.inner.relate(app, &actor, &other, device.cloned(), Action::Unblock).await?;
        }
        Ok(())
    }

    /// In order of names.
    pub async fn blocked(
        &self,
        app: &App,
        user: &UserName,
        cursor: Option<&str>,
        limit: Option<usize>,
    ) -> Result<Page<String>> {
        self.inner.existing(app, user).await?;
        let limit = limit.unwrap_or(app.settings.max_blocks).max(1);
        let after = cursor.map(str::to_owned);
        let (relations, more) = self.inner.list_relations(app, &BLOCK, user, after, limit).await?;
        page_of(relations, more, |relation| Ok(relation.to))
    }

    /// For each name whether the user blocks it.
    pub async fn are_blocked(&self, app: &App, user: &UserName, names: &[UserName]) -> Result<Vec<bool>> {
        self.inner.check_relations(app, &BLOCK, user, names).await
    }
}
