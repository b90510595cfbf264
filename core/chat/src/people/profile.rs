//! A person's own attributes: texts by name.

use crate::{
    App, Chat, ChatError,
    people::{
        SetFields,
        fields::{COUNTER, PROFILE_BYTES, read_counter},
        in_order,
    },
    service::Inner,
};
use futures_util::FutureExt;
use meridian_types::{Kind, UserName};
use serde_json::Value;
use std::collections::BTreeMap;

pub(crate) const PROFILE: Kind = Kind::new("profile");

pub(crate) type Attributes = BTreeMap<String, String>;

fn texts(fields: BTreeMap<String, Value>) -> Attributes {
    let text = |(name, value)| match value {
        Value::String(text) => Some((name, text)),
        _ => None,
    };
    fields.into_iter().filter_map(text).collect()
}

impl Inner {
    pub(crate) async fn delete_profile(&self, app: &App, user: &UserName) -> Result<(), ChatError> {
        let names = self.fields(app.tenant, &PROFILE, user).await?;
        if names.is_empty() {
            return Ok(());
        }
        let changes = names.into_keys().map(|name| (name, None));
        let set = SetFields::new(user, PROFILE, changes).within(usize::MAX, u64::MAX);
        self.set_fields(app.tenant, set).await
    }
}

impl Chat {
    /// Sets some attributes and leaves the others.
    pub async fn set_profile(
        &self,
        app: &App,
        user: &UserName,
        attributes: &Attributes,
    ) -> Result<(), ChatError> {
        self.inner.existing(app, user).await?;
        let changes = attributes.iter().map(|(name, text)| (name.clone(), Some(Value::from(text.as_str()))));
        let settings = &app.settings;
        let set =
            SetFields::new(user, PROFILE, changes).within(settings.profile_limit, settings.profiles_limit);
        self.inner.set_fields(app.tenant, set).await
    }

    /// Every attribute; none for a user who does not exist.
    pub async fn profile(&self, app: &App, user: &UserName) -> Result<Attributes, ChatError> {
        Ok(texts(self.inner.fields(app.tenant, &PROFILE, user).await?))
    }

    /// The profiles of several people, in their order.
    pub async fn profiles(&self, app: &App, users: &[UserName]) -> Result<Vec<Attributes>, ChatError> {
        let mut reads = Vec::with_capacity(users.len());
        for user in users {
            reads.push(self.profile(app, user).boxed());
        }
        in_order(reads).await
    }

    pub async fn delete_profile(&self, app: &App, user: &UserName) -> Result<(), ChatError> {
        self.inner.delete_profile(app, user).await
    }

    /// Bytes of all profiles of the app.
    pub async fn profiles_size(&self, app: &App) -> Result<u64, ChatError> {
        let log = self.inner.placement.regional(app.tenant);
        let counter = self.inner.store.object(log, &COUNTER, PROFILE_BYTES).await?;
        Ok(counter.as_ref().map_or(0, read_counter))
    }
}
