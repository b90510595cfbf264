//! Presence: which devices of a person are connected, in the person's own words, and who wants to hear of it.
//!
//! Who is connected comes from the sessions; the rest is kept. A change is announced by one task of the core that saw it: late
//! rather than in the way of a login, once for several changes, and never twice at a time for one person.

use crate::{
    App, Chat, ChatError,
    accounts::Account,
    log::{Apply, Publication},
    people::{AT_ONCE, FOLLOWED, FOLLOWS, SetFields, in_order, relate::Action},
    service::Inner,
};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use meridian_types::{
    Audience, ConversationKey, Effect, Entry, EntryKind, Kind, MessageId, Notice, Relation, Resource, Seq,
    TenantId, UserName,
    notice::{PresenceNotice, own_conversation},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

pub(crate) const PRESENCE: Kind = Kind::new("presence");
/// person → "", rank = when their presence last changed (s).
pub(crate) const SEEN: Kind = Kind::new("seen");
const EXT: &str = "ext";
/// The field of a device whose number is not the usual 1.
const STATUS: &str = "s/";
const CONNECTED: i64 = 1;

/// People whose change waits to be announced; more are not announced, and seen when somebody asks.
const WAITING: usize = 100_000;
const SEEN_ROWS: usize = 100;
/// Before what was not known is asked again.
const RETRY: Duration = Duration::from_secs(1);
/// Ended subscriptions that a new one clears away.
const CLEARED: usize = 100;

/// A person's presence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceRecord {
    pub user: UserName,
    /// The person's own words; empty when they never said any.
    pub ext: String,
    /// When it last changed, in seconds since 1970; 0 when it never did.
    pub last_time: u64,
    /// Connected device → 1, or a number that the application chose.
    pub status: BTreeMap<String, i64>,
    /// False while a core cannot know who is connected to the others.
    pub is_known: bool,
    /// When the asker's subscription ends, in seconds since 1970; 0 without one.
    pub expiry: u64,
}

/// Whose presence somebody hears of, and until when, in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub user: String,
    pub expiry: u64,
}

/// Whose presence has changed.
pub(crate) type Subject = (TenantId, UserName);

/// Changes that wait to be announced.
#[derive(Debug, Default)]
pub(crate) struct PresenceFeed {
    /// True where the person themself said something.
    waiting: Mutex<HashMap<Subject, bool>>,
    wake: Notify,
}

impl PresenceFeed {
    /// A device has come or gone. Never waits.
    pub(crate) fn changed(&self, app: &App, user: &UserName) {
        self.note(app, user, false);
    }

    fn note(&self, app: &App, user: &UserName, said: bool) {
        if !app.settings.presence_enabled {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let known = waiting.len() < WAITING || waiting.contains_key(&(app.tenant, user.clone()));
        if known {
            *waiting.entry((app.tenant, user.clone())).or_default() |= said;
        } else {
            metrics::counter!("presence_unannounced_total").increment(1);
        }
        drop(waiting);
        self.wake.notify_one();
    }

    fn put_back(&self, subjects: impl Iterator<Item = (Subject, bool)>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for (subject, said) in subjects {
            *waiting.entry(subject).or_default() |= said;
        }
    }

    fn take(&self) -> HashMap<Subject, bool> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    /// Writes down when people changed, and announces it. Never ends.
    pub(crate) async fn announce_presence(self: Arc<Self>) {
        // What could not be told for sure.
        let mut again = HashMap::new();
        loop {
            tokio::select! {
                () = self.presence_feed.wake.notified() => {}
                () = tokio::time::sleep(RETRY), if !again.is_empty() => self.presence_feed.put_back(again.drain()),
            }
            let subjects = self.presence_feed.take();
            let now = self.clock.now().0 / 1000;
            self.write_seen(subjects.keys(), now).await;
            let announced = stream::iter(subjects).map(|(subject, said)| self.announce(subject, said, now));
            let untold = announced.buffer_unordered(AT_ONCE).filter_map(std::future::ready);
            again.extend(untold.collect::<Vec<_>>().await);
        }
    }

    /// Gives back what must be announced again.
    async fn announce(&self, (tenant, user): Subject, said: bool, now: u64) -> Option<(Subject, bool)> {
        match self.tell_followers(tenant, &user, said, now).await {
            Ok(true) => None,
            Ok(false) => Some(((tenant, user), said)),
            Err(error) => {
                tracing::warn!(%error, "a presence is not announced yet");
                Some(((tenant, user), said))
            }
        }
    }

    /// False when nobody was told, because it is not known who is connected.
    async fn tell_followers(
        &self,
        tenant: TenantId,
        user: &UserName,
        said: bool,
        now: u64,
    ) -> Result<bool, ChatError> {
        let logs = self.placement.all_owned(tenant);
        let mut after = None;
        let mut record: Option<PresenceRecord> = None;
        loop {
            const PAGE: usize = 500;
            let page = meridian_ports::RelationPage::new(after.take(), PAGE);
            let followers = self.store.relations(&logs, &FOLLOWED, user.as_str(), page).await?;
            let end = followers.len() < PAGE;
            after = followers.last().map(|(_, relation)| relation.to.clone());
            if followers.is_empty() && !said {
                return Ok(true);
            }
            let record = match &mut record {
                Some(record) => record,
                None => {
                    let read = self.presence_of(tenant, user, Some(now)).await?;
                    if !read.is_known {
                        return Ok(false);
                    }
                    if said {
                        self.publish_presence(tenant, &read, user, 0);
                    }
                    record.insert(read)
                }
            };
            for (_, relation) in followers {
                let expiry = u64::try_from(relation.rank).unwrap_or(0);
                if expiry > now
                    && let Ok(follower) = UserName::parse(&relation.to)
                {
                    self.publish_presence(tenant, record, &follower, expiry);
                }
            }
            if end {
                return Ok(true);
            }
        }
    }

    /// To one reader, on whichever core.
    fn publish_presence(&self, tenant: TenantId, record: &PresenceRecord, reader: &UserName, expiry: u64) {
        let notice = PresenceNotice {
            ext: record.ext.clone(),
            last_time: record.last_time,
            expiry,
            status: record.status.clone(),
        };
        let is_own = &record.user == reader;
        let entry = Arc::new(Entry {
            conversation: match is_own {
                true => own_conversation(reader),
                false => ConversationKey::pair(&record.user, reader),
            },
            seq: Seq(0),
            message_id: self.ids.next_after(MessageId(0)),
            at: self.clock.now(),
            kind: EntryKind::Notice,
            sender: record.user.clone(),
            sender_device: None,
            audience: Audience::Others,
            target: None,
            idempotency: None,
            ext: Bytes::new(),
            body: Some(Notice::Presence(notice).encode()),
        });
        let publication = Publication { entry, position: None };
        self.hub.publish(tenant, &publication);
        self.hints.publish(self.placement.home(tenant, record.user.as_str()), vec![publication]);
    }

    /// `changed_at`: when that is known better than from what is written.
    pub(crate) async fn presence_of(
        &self,
        tenant: TenantId,
        user: &UserName,
        changed_at: Option<u64>,
    ) -> Result<PresenceRecord, ChatError> {
        let mut fields = self.fields(tenant, &PRESENCE, user).await?;
        let ext = match fields.remove(EXT) {
            Some(Value::String(ext)) => ext,
            _ => String::new(),
        };
        let last_time = match changed_at {
            Some(at) => at,
            None => {
                let log = self.placement.regional(tenant);
                let seen = self.store.relation(log, &SEEN, user.as_str(), "").await?;
                seen.map_or(0, |row| u64::try_from(row.rank).unwrap_or(0))
            }
        };
        let number = |resource: &str| {
            fields.get(&format!("{STATUS}{resource}")).and_then(Value::as_i64).unwrap_or(CONNECTED)
        };
        let (devices, is_known) = self.connected(tenant, user).await;
        let status =
            devices.iter().map(|device| (device.resource.to_string(), number(device.resource.as_str())));
        Ok(PresenceRecord {
            user: user.clone(),
            ext,
            last_time,
            status: status.collect(),
            is_known,
            expiry: 0,
        })
    }

    async fn write_seen(&self, subjects: impl Iterator<Item = &Subject>, now: u64) {
        let mut by_tenant: HashMap<TenantId, Vec<Effect>> = HashMap::new();
        for (tenant, user) in subjects {
            let (from, to, body) = (user.to_string(), String::new(), Bytes::new());
            let rank = i64::try_from(now).unwrap_or(i64::MAX);
            let raised = Relation { kind: SEEN, from, to, rank, body };
            by_tenant.entry(*tenant).or_default().push(Effect::RaiseRelation(raised));
        }
        for (tenant, effects) in by_tenant {
            for effects in effects.chunks(SEEN_ROWS) {
                let apply = Apply::new("presence.seen", effects.to_vec());
                // The time of a change is no promise.
                if let Err(error) = self.logs.execute(self.placement.regional(tenant), apply).await {
                    tracing::debug!(%error, "when people were seen is not written");
                }
            }
        }
    }

    /// Subscriptions of a person that have not ended, and those that have.
    async fn subscriptions_of(
        &self,
        app: &App,
        user: &UserName,
    ) -> Result<(Vec<Subscription>, Vec<String>), ChatError> {
        let now = self.clock.now().0 / 1000;
        let (relations, _) = self.list_relations(app, &FOLLOWS, user, None, usize::MAX - 1).await?;
        let (mut live, mut ended) = (Vec::new(), Vec::new());
        for relation in relations {
            let expiry = u64::try_from(relation.rank).unwrap_or(0);
            match expiry > now {
                true => live.push(Subscription { user: relation.to, expiry }),
                false => ended.push(relation.to),
            }
        }
        Ok((live, ended))
    }

    async fn unfollow(&self, app: &App, user: &UserName, names: &[String]) -> Result<(), ChatError> {
        let Some(actor) = self.account(app, user).await? else { return Ok(()) };
        for name in names {
            let Ok(name) = UserName::parse(name) else { continue };
            // Deleting an account ends its subscriptions too.
            let Some(other) = self.account(app, &name).await? else { continue };
            self.relate(app, &actor, &other, None, Action::Unfollow).await?;
        }
        Ok(())
    }
}

impl Chat {
    /// Says something about oneself, and a number for one device (1: connected, as usual).
    pub async fn publish_presence(
        &self,
        app: &App,
        user: &UserName,
        device: &Resource,
        status: i64,
        ext: &str,
    ) -> Result<(), ChatError> {
        self.inner.existing(app, user).await?;
        let number = (status != CONNECTED).then(|| Value::from(status));
        let mut changes = vec![(EXT.to_owned(), Some(Value::from(ext)))];
        let name = format!("{STATUS}{device}");
        if number.is_some() || self.inner.fields(app.tenant, &PRESENCE, user).await?.contains_key(&name) {
            changes.push((name, number));
        }
        self.inner.set_fields(app.tenant, SetFields::new(user, PRESENCE, changes)).await?;
        self.inner.presence_feed.note(app, user, true);
        Ok(())
    }

    /// Hears of changes of these people for so long. Gives how they are now; people who do not exist are away.
    pub async fn follow_presence(
        &self,
        app: &App,
        user: &UserName,
        names: &[UserName],
        seconds: u64,
    ) -> Result<Vec<PresenceRecord>, ChatError> {
        let inner = &self.inner;
        let actor = inner.existing(app, user).await?;
        if names.contains(user) {
            return Err(ChatError::Oneself);
        }
        let (live, ended) = inner.subscriptions_of(app, user).await?;
        let known: HashSet<&str> = live.iter().map(|subscription| subscription.user.as_str()).collect();
        let new = names.iter().filter(|name| !known.contains(name.as_str())).count();
        let limit = app.settings.max_subscriptions;
        if live.len() + new > limit {
            return Err(ChatError::SubscriptionLimit { limit });
        }
        inner.unfollow(app, user, &ended[..ended.len().min(CLEARED)]).await?;
        let until = inner.clock.now().0 / 1000 + seconds;
        let mut followed = Vec::with_capacity(names.len());
        for name in names {
            followed.push(self.follow_one(app, &actor, name, until, known.contains(name.as_str())).boxed());
        }
        in_order(followed).await
    }

    async fn follow_one(
        &self,
        app: &App,
        actor: &Account,
        name: &UserName,
        until: u64,
        is_known: bool,
    ) -> Result<PresenceRecord, ChatError> {
        let (inner, limit) = (&self.inner, app.settings.max_subscriptions);
        let mut record = inner.presence_of(app.tenant, name, None).await?;
        if let Some(other) = inner.account(app, name).await? {
            let followers = inner.count_relations(app, &FOLLOWED, name, limit).await?;
            if followers >= limit && !is_known {
                return Err(ChatError::SubscriptionLimit { limit });
            }
            inner.relate(app, actor, &other, None, Action::Follow(until)).await?;
            record.expiry = until;
            if !record.is_known {
                inner.presence_feed.changed(app, name);
            }
        }
        Ok(record)
    }

    pub async fn unfollow_presence(
        &self,
        app: &App,
        user: &UserName,
        names: &[String],
    ) -> Result<(), ChatError> {
        self.inner.existing(app, user).await?;
        self.inner.unfollow(app, user, names).await
    }

    /// In order of names.
    pub async fn presence_subscriptions(
        &self,
        app: &App,
        user: &UserName,
    ) -> Result<Vec<Subscription>, ChatError> {
        self.inner.existing(app, user).await?;
        Ok(self.inner.subscriptions_of(app, user).await?.0)
    }

    pub async fn presences(&self, app: &App, names: &[UserName]) -> Result<Vec<PresenceRecord>, ChatError> {
        let mut reads = Vec::with_capacity(names.len());
        for name in names {
            reads.push(self.inner.presence_of(app.tenant, name, None).boxed());
        }
        let records = in_order(reads).await?;
        // Better no answer than that somebody is away who is not.
        match records.iter().all(|record| record.is_known) {
            true => Ok(records),
            false => Err(ChatError::Busy),
        }
    }
}
