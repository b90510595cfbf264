//! How a person is notified while away: stored and served; sending is another room's work.

use crate::{App, Chat, ChatError, people::SetFields};
use meridian_types::{Kind, UserName};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(crate) const PUSH: Kind = Kind::new("push");
/// person → device id; the value is the rest of the binding.
const BINDING: Kind = Kind::new("push_binding");
/// Bindings of one person.
const BINDINGS: usize = 32;

/// What is set of a person's push settings, by the names that REST has for them.
pub type PushSettings = BTreeMap<String, Value>;

/// A device that a push service knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushBinding {
    pub device_id: String,
    pub device_token: String,
    pub notifier_name: String,
}

impl Chat {
    /// Changes what is given and leaves the rest; `None` takes away.
    pub async fn set_push(
        &self,
        app: &App,
        user: &UserName,
        changes: Vec<(String, Option<Value>)>,
    ) -> Result<(), ChatError> {
        self.inner.existing(app, user).await?;
        self.inner.set_fields(app.tenant, SetFields::new(user, PUSH, changes)).await
    }

    pub async fn push(&self, app: &App, user: &UserName) -> Result<PushSettings, ChatError> {
        self.inner.fields(app.tenant, &PUSH, user).await
    }

    /// Binds a device; an empty token or notifier unbinds it.
    pub async fn bind_push(
        &self,
        app: &App,
        user: &UserName,
        binding: &PushBinding,
    ) -> Result<(), ChatError> {
        self.inner.existing(app, user).await?;
        let PushBinding { device_id, device_token, notifier_name } = binding;
        let is_bound = !device_token.is_empty() && !notifier_name.is_empty();
        if is_bound {
            let bound = self.push_bindings(app, user).await?;
            if bound.len() >= BINDINGS && bound.iter().all(|known| &known.device_id != device_id) {
                return Err(ChatError::BindingLimit { limit: BINDINGS });
            }
        }
        let value = json!({ "device_token": device_token, "notifier_name": notifier_name });
        let change = (device_id.clone(), Some(value).filter(|_| is_bound));
        self.inner.set_fields(app.tenant, SetFields::new(user, BINDING, [change])).await
    }

    pub async fn push_bindings(&self, app: &App, user: &UserName) -> Result<Vec<PushBinding>, ChatError> {
        let fields = self.inner.fields(app.tenant, &BINDING, user).await?;
        let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let binding = |(device_id, value): (String, Value)| PushBinding {
            device_token: text(&value, "device_token"),
            notifier_name: text(&value, "notifier_name"),
            device_id,
        };
        Ok(fields.into_iter().map(binding).collect())
    }
}
