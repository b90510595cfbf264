//! Apps, the tenants. They are objects of the system log; every core keeps all of them in memory.

use crate::{
    App, AppSettings, ChatError,
    log::{Command, Draft, Logs, Placement},
};
use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use meridian_ports::{ObjectPage, Store};
use meridian_types::{AppKey, Kind, Millis, Object, TenantId};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

const APP: Kind = Kind::new("app");
const COUNTER: Kind = Kind::new("counter");
const TENANTS: &str = "tenants";

/// An app as it is stored.
#[derive(Clone, Serialize, Deserialize)]
struct AppBody {
    tenant: u32,
    uuid: String,
    client_id: String,
    client_secret: String,
    /// Signs this app's tokens; hex.
    token_key: String,
    created: u64,
    settings: AppSettings,
}

/// What a command on an app gives.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredApp {
    body: AppBody,
    version: u64,
}

/// Every app, by key.
#[derive(Debug, Default)]
pub(crate) struct Apps {
    by_key: RwLock<HashMap<AppKey, Arc<App>>>,
}

impl Apps {
    /// Reads every app.
    pub(crate) async fn load(store: &dyn Store, placement: Placement) -> Result<Self, ChatError> {
        const PAGE: usize = 500;
        let (mut apps, mut after) = (HashMap::new(), None);
        loop {
            let page = ObjectPage::new(after.take(), PAGE);
            let objects = store.objects(&[placement.system()], &APP, page).await?;
            let full = objects.len() == PAGE;
            after = objects.last().map(|(_, object)| (object.rank, object.id.clone()));
            for (_, object) in objects {
                match read_app(&object) {
                    Some(app) => drop(apps.insert(app.key.clone(), Arc::new(app))),
                    None => tracing::error!(app = object.id, "stored app cannot be read"),
                }
            }
            if !full {
                return Ok(Self { by_key: RwLock::new(apps) });
            }
        }
    }

    /// Takes in what another core has made or changed.
    pub(crate) async fn read_again(
        &self,
        store: &dyn Store,
        placement: Placement,
        key: &AppKey,
    ) -> meridian_ports::Result<()> {
        let object = store.object(placement.system(), &APP, key.as_str()).await?;
        if let Some(app) = object.as_ref().and_then(read_app) {
            self.keep(app);
        }
        Ok(())
    }

    /// Takes in all that other cores have made or changed.
    pub(crate) async fn read_all_again(
        &self,
        store: &dyn Store,
        placement: Placement,
    ) -> Result<(), ChatError> {
        let read = Self::load(store, placement).await?;
        read.all().into_iter().for_each(|app| drop(self.keep(App::clone(&app))));
        Ok(())
    }

    pub(crate) fn get(&self, key: &AppKey) -> Option<Arc<App>> {
        self.by_key.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<App>> {
        let mut apps: Vec<_> =
            self.by_key.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        apps.sort_by_key(|app| app.tenant);
        apps
    }

    pub(crate) async fn create(
        &self,
        logs: &Logs,
        placement: Placement,
        key: &AppKey,
        settings: AppSettings,
    ) -> Result<Arc<App>, ChatError> {
        let app = logs.execute(placement.system(), CreateApp { key: key.clone(), settings }).await?;
        self.keep_stored(key, app)
    }

    pub(crate) async fn set_settings(
        &self,
        logs: &Logs,
        placement: Placement,
        key: &AppKey,
        settings: AppSettings,
    ) -> Result<Arc<App>, ChatError> {
        let app = logs.execute(placement.system(), SetSettings { key: key.clone(), settings }).await?;
        self.keep_stored(key, app)
    }

    fn keep_stored(&self, key: &AppKey, app: StoredApp) -> Result<Arc<App>, ChatError> {
        let app = to_app(key.clone(), app.body, app.version).ok_or_else(|| corrupt("token key"))?;
        Ok(self.keep(app))
    }

    /// Two writes may return in the other order than they committed: the higher version stays.
    fn keep(&self, app: App) -> Arc<App> {
        let mut by_key = self.by_key.write().unwrap_or_else(PoisonError::into_inner);
        let app = Arc::new(app);
        let kept = by_key.entry(app.key.clone()).or_insert_with(|| app.clone());
        if kept.version < app.version {
            *kept = app.clone();
        }
        app
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct CreateApp {
    key: AppKey,
    settings: AppSettings,
}

#[async_trait]
impl Command for CreateApp {
    type Output = StoredApp;
    type Error = ChatError;

    const NAME: &'static str = "app.create";

    fn is_repeatable(&self) -> bool {
        false
    }

    async fn decide(&mut self, draft: &mut Draft<'_>) -> Result<StoredApp, ChatError> {
        if draft.object(&APP, self.key.as_str()).await?.is_some() {
            return Err(ChatError::AppExists);
        }
        let counter = draft.object(&COUNTER, TENANTS).await?;
        let last: u32 = counter
            .as_ref()
            .and_then(|object| std::str::from_utf8(&object.body).ok()?.parse().ok())
            .unwrap_or_default();
        let tenant = last + 1;
        let version = counter.map_or(0, |object| object.version);
        draft.put_object(&COUNTER, TENANTS, 0, version, tenant.to_string().into_bytes().into());
        let body = AppBody {
            tenant,
            uuid: uuid::Uuid::new_v4().to_string(),
            client_id: format!("YXA6{}", random_text(16)),
            client_secret: format!("YXA6{}", random_text(24)),
            token_key: hex::encode(rand::random::<[u8; 32]>()),
            created: draft.now().0,
            settings: self.settings.clone(),
        };
        put_app(draft, &self.key, body, 0)
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct SetSettings {
    key: AppKey,
    settings: AppSettings,
}

#[async_trait]
impl Command for SetSettings {
    type Output = StoredApp;
    type Error = ChatError;

    const NAME: &'static str = "app.settings";

    fn is_repeatable(&self) -> bool {
        true
    }

    async fn decide(&mut self, draft: &mut Draft<'_>) -> Result<StoredApp, ChatError> {
        let object = draft.object(&APP, self.key.as_str()).await?.ok_or(ChatError::AppNotFound)?;
        let mut body: AppBody =
            serde_json::from_slice(&object.body).map_err(|_| corrupt("stored app cannot be read"))?;
        body.settings = self.settings.clone();
        put_app(draft, &self.key, body, object.version)
    }
}

fn put_app(draft: &mut Draft<'_>, key: &AppKey, body: AppBody, version: u64) -> Result<StoredApp, ChatError> {
    let json = serde_json::to_vec(&body).map_err(|_| corrupt("app cannot be written"))?;
    draft.put_object(&APP, key.as_str(), i64::from(body.tenant), version, json.into());
    Ok(StoredApp { body, version: version + 1 })
}

fn read_app(object: &Object) -> Option<App> {
    let key = AppKey::parse(&object.id).ok()?;
    to_app(key, serde_json::from_slice(&object.body).ok()?, object.version)
}

fn to_app(key: AppKey, body: AppBody, version: u64) -> Option<App> {
    let token_key = hex::decode(&body.token_key).ok()?.try_into().ok()?;
    Some(App {
        tenant: TenantId(body.tenant),
        key,
        uuid: body.uuid,
        client_id: body.client_id,
        client_secret: body.client_secret,
        created: Millis(body.created),
        settings: body.settings,
        token_key,
        version,
    })
}

fn corrupt(what: &str) -> ChatError {
    meridian_ports::Error::new(meridian_ports::ErrorKind::Corrupt, "object", what).into()
}

/// Random URL-safe text of so many bytes of entropy.
pub(crate) fn random_text(bytes: usize) -> String {
    let random: Vec<u8> = (0..bytes).map(|_| rand::random()).collect();
    BASE64_URL_SAFE_NO_PAD.encode(random)
}
