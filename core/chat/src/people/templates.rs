//! Texts of push notifications, by name: objects in the log that the name hashes to.

use crate::{
    App, Chat, ChatError,
    log::{Command, Draft},
};
use async_trait::async_trait;
use bytes::Bytes;
use meridian_types::{Kind, Object};
use serde::{Deserialize, Serialize};

const TEMPLATE: Kind = Kind::new("push_template");

/// A template. `{0}`, `{1}`… stand for what a message brings along.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushTemplate {
    pub name: String,
    pub title_pattern: String,
    pub content_pattern: String,
    /// In milliseconds since 1970.
    pub created: u64,
    pub updated: u64,
}

impl PushTemplate {
    fn read(object: &Object) -> Result<Self, ChatError> {
        serde_json::from_slice(&object.body).map_err(|error| ChatError::Unavailable(error.into()))
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct PutTemplate {
    name: String,
    title_pattern: String,
    content_pattern: String,
    must_exist: bool,
}

#[async_trait]
impl Command for PutTemplate {
    type Output = PushTemplate;
    type Error = ChatError;

    const NAME: &'static str = "push_template.put";

    fn is_repeatable(&self) -> bool {
        true
    }

    async fn decide(&mut self, draft: &mut Draft<'_>) -> Result<PushTemplate, ChatError> {
        let stored = draft.object(&TEMPLATE, &self.name).await?;
        if self.must_exist && stored.is_none() {
            return Err(ChatError::TemplateNotFound);
        }
        let now = draft.now().0;
        let created = stored.as_ref().map(PushTemplate::read).transpose()?.map_or(now, |old| old.created);
        let template = PushTemplate {
            name: self.name.clone(),
            title_pattern: self.title_pattern.clone(),
            content_pattern: self.content_pattern.clone(),
            created,
            updated: now,
        };
        let body = serde_json::to_vec(&template).map_err(|error| ChatError::Unavailable(error.into()))?;
        let version = stored.map_or(0, |object| object.version);
        draft.put_object(&TEMPLATE, &self.name, 0, version, Bytes::from(body));
        Ok(template)
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct DeleteTemplate {
    name: String,
}

#[async_trait]
impl Command for DeleteTemplate {
    type Output = PushTemplate;
    type Error = ChatError;

    const NAME: &'static str = "push_template.delete";

    fn is_repeatable(&self) -> bool {
        false
    }

    async fn decide(&mut self, draft: &mut Draft<'_>) -> Result<PushTemplate, ChatError> {
        let stored = draft.object(&TEMPLATE, &self.name).await?.ok_or(ChatError::TemplateNotFound)?;
        draft.delete_object(&TEMPLATE, &self.name);
        PushTemplate::read(&stored)
    }
}

impl Chat {
    pub async fn put_template(
        &self,
        app: &App,
        name: &str,
        (title, content): (&str, &str),
        must_exist: bool,
    ) -> Result<PushTemplate, ChatError> {
        let put = PutTemplate {
            name: name.to_owned(),
            title_pattern: title.to_owned(),
            content_pattern: content.to_owned(),
            must_exist,
        };
        self.inner.logs.execute(self.inner.placement.home(app.tenant, name), put).await
    }

    pub async fn template(&self, app: &App, name: &str) -> Result<PushTemplate, ChatError> {
        let log = self.inner.placement.home(app.tenant, name);
        let stored = self.inner.store.object(log, &TEMPLATE, name).await?;
        PushTemplate::read(&stored.ok_or(ChatError::TemplateNotFound)?)
    }

    pub async fn delete_template(&self, app: &App, name: &str) -> Result<PushTemplate, ChatError> {
        let delete = DeleteTemplate { name: name.to_owned() };
        self.inner.logs.execute(self.inner.placement.home(app.tenant, name), delete).await
    }
}
