//! When not to notify a person: for all conversations and for one.

use crate::{App, Chat, ChatError, Page, conversation::NoticeToSelf, people::SetFields};
use meridian_ports::RelationPage;
use meridian_types::{
    Kind, Notice, Resource, UserName,
    notice::{ConversationName, SilentMode},
};
use serde_json::Value;

pub(crate) const SILENT: Kind = Kind::new("silent");
/// The field of what holds for all conversations; no conversation has such a key.
const ALL: &str = "*";

fn field_of(conversation: Option<&ConversationName>) -> String {
    conversation.map_or_else(|| ALL.to_owned(), ConversationName::key)
}

impl Chat {
    /// Changes what is given; an empty interval and an end in the past are taken away, as is the kind `DEFAULT`. Gives what holds
    /// then, and tells the person's other devices.
    pub async fn set_silent_mode(
        &self,
        app: &App,
        user: &UserName,
        conversation: Option<ConversationName>,
        change: SilentMode,
        device: Option<Resource>,
    ) -> Result<SilentMode, ChatError> {
        self.inner.existing(app, user).await?;
        let field = field_of(conversation.as_ref());
        let now = self.inner.clock.now().0;
        let mut settings: SilentMode =
            self.inner.field(app.tenant, &SILENT, user, &field).await?.unwrap_or_default();
        if let Some(kind) = change.kind {
            settings.kind = Some(kind).filter(|kind| kind != "DEFAULT");
        }
        if let Some(interval) = change.interval {
            settings.interval = Some(interval).filter(|interval| !interval.is_empty());
        }
        if let Some(until) = change.until {
            settings.until = Some(until).filter(|until| *until > now);
        }
        let value = (!settings.is_empty()).then(|| serde_json::to_value(&settings).unwrap_or(Value::Null));
        self.inner.set_fields(app.tenant, SetFields::new(user, SILENT, [(field, value)])).await?;
        let notice = Notice::SilentMode { conversation, settings: settings.clone() };
        let told = NoticeToSelf { user: user.clone(), device, notice: notice.encode() };
        self.inner.logs.execute(self.inner.placement.home(app.tenant, user.as_str()), told).await?;
        Ok(settings)
    }

    pub async fn silent_mode(
        &self,
        app: &App,
        user: &UserName,
        conversation: Option<&ConversationName>,
    ) -> Result<SilentMode, ChatError> {
        let field = field_of(conversation);
        let stored: Option<SilentMode> = self.inner.field(app.tenant, &SILENT, user, &field).await?;
        let now = self.inner.clock.now().0;
        let settings = stored.unwrap_or_default();
        Ok(SilentMode { until: settings.until.filter(|until| *until > now), ..settings })
    }

    /// Conversations with a kind of their own, in order of their keys.
    pub async fn silent_kinds(
        &self,
        app: &App,
        user: &UserName,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<(ConversationName, String)>, ChatError> {
        const PAGE: usize = 500;
        let log = self.inner.placement.regional(app.tenant);
        let (mut items, mut after) = (Vec::new(), cursor.map(str::to_owned));
        loop {
            let page = RelationPage::new(after.take(), PAGE);
            let found = self.inner.store.relations(&[log], &SILENT, user.as_str(), page).await?;
            let end = found.len() < PAGE;
            after = found.last().map(|(_, relation)| relation.to.clone());
            for (_, relation) in found {
                let settings: Option<SilentMode> = serde_json::from_slice(&relation.body).ok();
                let kind = settings.and_then(|settings| settings.kind);
                if let (Some(name), Some(kind)) = (ConversationName::from_key(&relation.to), kind) {
                    items.push((name, kind));
                }
            }
            if end || items.len() > limit {
                break;
            }
        }
        let more = items.len() > limit;
        items.truncate(limit);
        let cursor = items.last().filter(|_| more).map(|(name, _)| name.key());
        Ok(Page { items, cursor })
    }
}
