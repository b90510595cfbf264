//! Fields of a person: relations of the tenant's regional log, from the person to the field's name, whose rank is the time of
//! writing and whose body is the value as JSON. The last writer wins, in whatever order regions hear of it; a field that was
//! taken away leaves an empty body.

use crate::{
    ChatError,
    log::{Command, Draft},
    service::Inner,
};
use async_trait::async_trait;
use bytes::Bytes;
use meridian_ports::{RelationPage, Store};
use meridian_types::{Effect, Kind, LogId, Object, Relation, TenantId, UserName};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeMap;

pub(crate) const COUNTER: Kind = Kind::new("counter");
/// Bytes of all profiles that this region has written.
pub(crate) const PROFILE_BYTES: &str = "profile_bytes";
/// Accounts of a log.
pub(crate) const USERS: &str = "users";
/// Fields of one kind that one person may have, with those taken away.
const FIELDS: usize = 5000;

/// Writes fields of a person.
#[derive(Serialize, Deserialize)]
pub(crate) struct SetFields {
    user: UserName,
    kind: String,
    /// As JSON text: the link between cores has no free values.
    changes: Vec<(String, Option<String>)>,
    /// Most bytes of names and values that the person, and the app, may then have.
    limits: Option<(usize, u64)>,
}

impl SetFields {
    pub(crate) fn new(
        user: &UserName,
        kind: Kind,
        changes: impl IntoIterator<Item = (String, Option<Value>)>,
    ) -> Self {
        let text = |(name, value): (String, Option<Value>)| (name, value.map(|value| value.to_string()));
        let changes = changes.into_iter().map(text).collect();
        Self { user: user.clone(), kind: kind.as_str().to_owned(), changes, limits: None }
    }

    pub(crate) fn within(mut self, person: usize, app: u64) -> Self {
        self.limits = Some((person, app));
        self
    }
}

#[async_trait]
impl Command for SetFields {
    type Output = ();
    type Error = ChatError;

    const NAME: &'static str = "fields.set";

    fn is_repeatable(&self) -> bool {
        true
    }

    async fn decide(&mut self, draft: &mut Draft<'_>) -> Result<(), ChatError> {
        if let Some(limits) = self.limits {
            self.count(draft, limits).await?;
        }
        let kind = Kind::from_stored(&self.kind);
        let rank = i64::try_from(draft.stamp().0).unwrap_or(i64::MAX);
        for (name, value) in &self.changes {
            let body = Bytes::copy_from_slice(value.as_deref().unwrap_or_default().as_bytes());
            let (from, to) = (self.user.to_string(), name.clone());
            draft.push(Effect::RaiseRelation(Relation { kind: kind.clone(), from, to, rank, body }));
        }
        Ok(())
    }
}

impl SetFields {
    async fn count(&self, draft: &mut Draft<'_>, (person, app): (usize, u64)) -> Result<(), ChatError> {
        let mut fields: BTreeMap<String, usize> = BTreeMap::new();
        let kind = Kind::from_stored(&self.kind);
        for relation in draft.relations(&kind, self.user.as_str(), FIELDS).await? {
            if !relation.body.is_empty() {
                fields.insert(relation.to, relation.body.len());
            }
        }
        let before = size(&fields);
        for (name, value) in &self.changes {
            match value {
                Some(value) => drop(fields.insert(name.clone(), value.len())),
                None => drop(fields.remove(name)),
            }
        }
        let after = size(&fields);
        if after > person && after > before {
            return Err(ChatError::ProfileTooLarge { limit: person });
        }
        let stored = draft.object(&COUNTER, PROFILE_BYTES).await?;
        let total = stored.as_ref().map_or(0, read_counter);
        let total_after = (total + after as u64).saturating_sub(before as u64);
        if total_after > app && after > before {
            return Err(ChatError::ProfilesTooLarge { limit: app });
        }
        let version = stored.map_or(0, |object| object.version);
        draft.put_object(&COUNTER, PROFILE_BYTES, 0, version, Bytes::from(total_after.to_string()));
        Ok(())
    }
}

/// Names and values, without the quotes of the values.
fn size(fields: &BTreeMap<String, usize>) -> usize {
    fields.iter().map(|(name, value)| name.len() + value.saturating_sub(2)).sum()
}

pub(crate) fn read_counter(object: &Object) -> u64 {
    std::str::from_utf8(&object.body).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The fields of a person that are set.
pub(crate) async fn fields(
    store: &dyn Store,
    log: LogId,
    kind: &Kind,
    user: &UserName,
) -> Result<BTreeMap<String, Value>, ChatError> {
    let relations = store.relations(&[log], kind, user.as_str(), RelationPage::new(None, FIELDS)).await?;
    let set = relations.into_iter().map(|(_, relation)| relation).filter(|row| !row.body.is_empty());
    Ok(set.filter_map(|row| Some((row.to, serde_json::from_slice(&row.body).ok()?))).collect())
}

impl Inner {
    pub(crate) async fn fields(
        &self,
        tenant: TenantId,
        kind: &Kind,
        user: &UserName,
    ) -> Result<BTreeMap<String, Value>, ChatError> {
        fields(&*self.store, self.placement.regional(tenant), kind, user).await
    }

    /// One field; `None` when it is not set or cannot be read.
    pub(crate) async fn field<T: DeserializeOwned>(
        &self,
        tenant: TenantId,
        kind: &Kind,
        user: &UserName,
        name: &str,
    ) -> Result<Option<T>, ChatError> {
        let log = self.placement.regional(tenant);
        let relation = self.store.relation(log, kind, user.as_str(), name).await?;
        Ok(relation.and_then(|row| serde_json::from_slice(&row.body).ok()))
    }

    pub(crate) async fn set_fields(&self, tenant: TenantId, set: SetFields) -> Result<(), ChatError> {
        self.logs.execute(self.placement.regional(tenant), set).await
    }
}
