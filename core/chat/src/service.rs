//! The way in to the chat logic.

use crate::{
    App, AppSettings, ChatConfig, ChatError, DeviceInfo, FileRecord, Identity, IssuedToken, NewFile, NewUser,
    OutgoingMessage, Page, RecallOutcome, RecallRequest, TokenError, User,
    accounts::{AccountCache, Passwords},
    clock::{Clock, MessageIds},
    cluster::{Cluster, Hints, Presence, Region, RemoteSeat, Request, listen},
    log::{Logs, Placement, Shared},
    muc::{Reminders, tell_authors},
    people::PresenceFeed,
    sessions::{Attached, Hub, PositionKeeper, tell_rooms},
    tenants::Apps,
    tokens::{self, Claims},
};
use bytes::Bytes;
use meridian_ports::{BlobStream, Blobs, Store};
use meridian_types::{
    AppKey, MessageId, Millis, RegionId, Resource, TenantId, UserName,
    session::{CloseReason, Login, Refusal},
};
use std::{
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::task::{JoinHandle, JoinSet};

type Result<T> = std::result::Result<T, ChatError>;

/// What the parts of the chat logic share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) clock: Clock,
    pub(crate) placement: Placement,
    pub(crate) logs: Arc<Logs>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) positions: Arc<PositionKeeper>,
    pub(crate) apps: Apps,
    pub(crate) accounts: Arc<AccountCache>,
    pub(crate) passwords: Passwords,
    pub(crate) cluster: Arc<Cluster>,
    /// `None` when there is no other core.
    pub(crate) presence: Option<Arc<Presence>>,
    pub(crate) presence_feed: PresenceFeed,
    pub(crate) ids: Arc<MessageIds>,
    pub(crate) hints: Arc<Hints>,
    flusher: Mutex<Option<JoinHandle<()>>>,
    /// What runs as long as the core is one of several.
    upkeep: Mutex<JoinSet<()>>,
}

/// The chat logic of one core. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Chat {
    pub(crate) inner: Arc<Inner>,
}

impl Chat {
    /// Reads the apps and starts the writers' upkeep. The only core of its store.
    pub async fn open(config: ChatConfig, store: Arc<dyn Store>, blobs: Arc<dyn Blobs>) -> Result<Self> {
        Self::start(config, store, blobs, None).await
    }

    /// One of several cores over one store. [`Chat::serve_peer`] must be reachable at the region's address when this is
    /// called or soon after.
    pub async fn join(
        config: ChatConfig,
        store: Arc<dyn Store>,
        blobs: Arc<dyn Blobs>,
        region: Region,
    ) -> Result<Self> {
        Self::start(config, store, blobs, Some(region)).await
    }

    async fn start(
        config: ChatConfig,
        store: Arc<dyn Store>,
        blobs: Arc<dyn Blobs>,
        others: Option<Region>,
    ) -> Result<Self> {
        let clock = Clock;
        let region = RegionId(config.region & 63);
        let placement = Placement { region };
        let hub = Arc::new(Hub::new(config.session_events));
        let ids = Arc::new(MessageIds::new(clock, region, 0));
        let accounts = Arc::new(AccountCache::new());
        let mut upkeep = JoinSet::new();
        let (cluster, hints, presence) = match others {
            None => (Arc::new(Cluster::alone()), Hints::none(), None),
            Some(others) => {
                let (bus, soft) = (others.bus.clone(), others.soft.clone());
                let cluster = Arc::new(Cluster::joined(others, ids.clone(), accounts.clone()));
                let (hints, sending) = Hints::start(bus.clone(), cluster.clone());
                upkeep.spawn(sending);
                upkeep.spawn(listen(bus, cluster.me(), hub.clone()));
                let (presence, keeping) = Presence::start(soft, cluster.clone(), hub.clone());
                upkeep.spawn(keeping);
                cluster.renew().await?;
                (cluster, hints, Some(presence))
            }
        };
        let hints = Arc::new(hints);
        let (reminders, reminded) = Reminders::new();
        let shared = Shared {
            store: store.clone(),
            clock,
            ids: ids.clone(),
            hub: hub.clone(),
            cluster: cluster.clone(),
            hints: hints.clone(),
            reminders,
        };
        let logs = Arc::new(Logs::new(shared, config.writer_queue.max(1), config.writer_batch.max(1)));
        let positions = Arc::new(PositionKeeper::new(store.clone(), placement, cluster.clone()));
        let interval = Duration::from_millis(config.position_flush_ms.max(10));
        let flusher = tokio::spawn(positions.clone().run(logs.clone(), interval));
        let inner = Inner {
            apps: Apps::load(&*store, placement).await?,
            store,
            blobs,
            clock,
            placement,
            logs,
            hub,
            positions,
            accounts,
            passwords: Passwords::new(config.password_workers),
            cluster,
            presence,
            presence_feed: PresenceFeed::default(),
            ids,
            hints,
            flusher: Mutex::new(Some(flusher)),
            upkeep: Mutex::new(upkeep),
        };
        let inner = Arc::new(inner);
        {
            let mut upkeep = inner.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
            upkeep.spawn(inner.clone().keep_membership());
            upkeep.spawn(inner.clone().announce_presence());
            upkeep.spawn(tell_authors(inner.logs.clone(), reminded));
            upkeep.spawn(tell_rooms(inner.hub.clone()));
            let period = Duration::from_millis(config.room_sweep_ms.max(10));
            upkeep.spawn(inner.clone().watch_rooms(period));
        }
        inner.cluster.announce_change().await;
        Ok(Self { inner })
    }

    /// Serves a request of another core, that its [`Peers`](crate::Peers) brought here.
    pub async fn serve_peer(&self, request: &[u8]) -> Bytes {
        self.inner.serve_peer(request).await
    }

    /// Tells every session that the core goes away. New logins are the caller's to refuse.
    pub fn end_sessions(&self) {
        self.inner.hub.close_all(&CloseReason::Draining);
    }

    /// Writes the positions, takes no more commands, and waits until the log writers have committed what they have.
    pub async fn close(&self) {
        // The next core begins while this one finishes what it has.
        self.inner.cluster.hand_over().await;
        let flusher = self.inner.flusher.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(flusher) = flusher {
            self.inner.positions.stop();
            if let Err(error) = flusher.await {
                tracing::error!(%error, "the position writer ended badly");
            }
        }
        self.inner.positions.flush(&self.inner.logs).await;
        self.inner.logs.close().await;
        self.inner.cluster.leave().await;
        let mut upkeep =
            std::mem::take(&mut *self.inner.upkeep.lock().unwrap_or_else(PoisonError::into_inner));
        upkeep.shutdown().await;
    }

    /// Logs a device in.
    pub async fn attach(&self, login: Login) -> std::result::Result<Attached, Refusal> {
        self.inner.attach(login).await
    }
}

/// Apps.
impl Chat {
    pub async fn app(&self, key: &AppKey) -> Result<Arc<App>> {
        self.inner.apps.get(key).ok_or(ChatError::AppNotFound)
    }

    pub async fn create_app(&self, key: &AppKey, settings: AppSettings) -> Result<Arc<App>> {
        let inner = &self.inner;
        let created = inner.apps.create(&inner.logs, inner.placement, key, settings).await;
        if matches!(created, Err(ChatError::AppExists)) {
            // Another core may have made it a moment ago.
            inner.apps.read_again(&*inner.store, inner.placement, key).await?;
        }
        let app = created?;
        inner.cluster.tell_all(&Request::AppChanged { key: key.clone() }).await;
        Ok(app)
    }

    pub async fn set_app_settings(&self, key: &AppKey, settings: AppSettings) -> Result<Arc<App>> {
        let inner = &self.inner;
        let app = inner.apps.set_settings(&inner.logs, inner.placement, key, settings).await?;
        inner.cluster.tell_all(&Request::AppChanged { key: key.clone() }).await;
        Ok(app)
    }

    /// Every app, oldest first.
    pub async fn apps(&self) -> Result<Vec<Arc<App>>> {
        Ok(self.inner.apps.all())
    }
}

/// Tokens. `ttl_s`: `None` = the app's setting, `Some(0)` = never expires.
impl Chat {
    /// Who a bearer token speaks for.
    pub async fn identify(&self, app: &App, bearer: &str) -> std::result::Result<Identity, TokenError> {
        let claims = self.inner.read_token(app, bearer)?;
        self.inner.identify(app, &claims).await
    }

    /// When a token of this app ends, in epoch milliseconds; the year 2100 for one that never does.
    pub async fn token_expiry(&self, app: &App, token: &str) -> std::result::Result<u64, TokenError> {
        const YEAR_2100: Millis = Millis(4_102_444_800_000);
        let claims = self.inner.read_token(app, token)?;
        self.inner.identify(app, &claims).await?;
        Ok(claims.expires_at.unwrap_or(YEAR_2100).0)
    }

    pub async fn app_token(
        &self,
        app: &App,
        client_id: &str,
        client_secret: &str,
        ttl_s: Option<u64>,
    ) -> Result<IssuedToken> {
        use subtle::ConstantTimeEq;
        if client_id != app.client_id {
            return Err(ChatError::WrongClientId);
        }
        if !bool::from(client_secret.as_bytes().ct_eq(app.client_secret.as_bytes())) {
            return Err(ChatError::WrongClientSecret);
        }
        let expires_in_s = ttl_s.unwrap_or(app.settings.token_ttl_s);
        let token = tokens::sign(app, None, self.inner.clock.now(), expires_in_s);
        Ok(IssuedToken { token, expires_in_s, user: None })
    }

    pub async fn user_token_by_password(
        &self,
        app: &App,
        user: &UserName,
        password: &str,
        ttl_s: Option<u64>,
    ) -> Result<IssuedToken> {
        let account = self.inner.existing(app, user).await?;
        if !self.inner.passwords.verify(account.password.as_deref(), password).await? {
            return Err(ChatError::WrongPassword);
        }
        self.inner.issue(app, &account, ttl_s)
    }

    /// The `inherit` grant: the caller has checked the app token.
    pub async fn user_token(
        &self,
        app: &App,
        user: &UserName,
        auto_create: bool,
        ttl_s: Option<u64>,
    ) -> Result<IssuedToken> {
        let account = match self.inner.account(app, user).await? {
            Some(account) => account,
            None if auto_create => {
                let new = NewUser { username: user.clone(), password: None, nickname: None };
                Arc::new(self.inner.register(app, new).await?)
            }
            None => return Err(ChatError::UserNotFound),
        };
        self.inner.issue(app, &account, ttl_s)
    }
}

impl Inner {
    /// The connected devices of a person, on every core, and whether these are surely all.
    pub(crate) async fn connected(&self, tenant: TenantId, name: &UserName) -> (Vec<DeviceInfo>, bool) {
        let slots = self.hub.slots(tenant, name);
        let info = |slot: &Arc<crate::sessions::Slot>| DeviceInfo {
            resource: slot.device.resource.clone(),
            uuid: slot.device.uuid.clone(),
            name: slot.device.name.clone(),
        };
        let mut devices: Vec<_> = slots.iter().map(info).collect();
        let mut are_all = true;
        if let Some(presence) = &self.presence {
            let (others, known) = presence.known_others(tenant, name).await;
            are_all = known;
            for RemoteSeat { resource, uuid, name, .. } in others {
                if devices.iter().all(|device| device.resource != resource) {
                    devices.push(DeviceInfo { resource, uuid, name });
                }
            }
        }
        (devices, are_all)
    }

    /// Keeps the lease, and makes good what this core may have missed.
    async fn keep_membership(self: Arc<Self>) {
        let mending = async {
            loop {
                let had_lapsed = self.cluster.missed().await;
                self.make_good(had_lapsed).await;
            }
        };
        tokio::select! {
            () = self.cluster.keep() => {}
            () = mending => {}
        }
    }

    async fn make_good(&self, had_lapsed: bool) {
        if had_lapsed && let Err(error) = self.apps.read_all_again(&*self.store, self.placement).await {
            tracing::warn!(%error, "apps are not read anew");
        }
        if had_lapsed {
            for (tenant, user, _) in self.hub.all() {
                self.mute_sessions(tenant, &user).await;
            }
        }
        self.hub.lag_all();
    }

    pub(crate) fn read_token(&self, app: &App, token: &str) -> std::result::Result<Claims, TokenError> {
        tokens::read(app, token, self.clock.now())
    }

    async fn identify(&self, app: &App, claims: &Claims) -> std::result::Result<Identity, TokenError> {
        let Some(user) = &claims.user else { return Ok(Identity::App) };
        let account = self.account(app, user).await.map_err(|error| {
            tracing::warn!(error = ?error, "token cannot be checked");
            TokenError::Unavailable
        })?;
        let account = account.filter(|account| account.activated).ok_or(TokenError::Revoked)?;
        claims.check(&account)?;
        Ok(Identity::User(user.clone()))
    }

    fn issue(
        &self,
        app: &App,
        account: &crate::accounts::Account,
        ttl_s: Option<u64>,
    ) -> Result<IssuedToken> {
        if !account.activated {
            return Err(ChatError::UserBanned);
        }
        let expires_in_s = ttl_s.unwrap_or(app.settings.token_ttl_s);
        let user = Some((&account.username, account.token_epoch));
        let token = tokens::sign(app, user, self.clock.now(), expires_in_s);
        Ok(IssuedToken { token, expires_in_s, user: Some(account.to_user()) })
    }
}

/// Users.
impl Chat {
    pub async fn register(&self, app: &App, user: NewUser) -> Result<User> {
        Ok(self.inner.register(app, user).await?.to_user())
    }

    pub async fn user(&self, app: &App, name: &UserName) -> Result<User> {
        Ok(self.inner.existing(app, name).await?.to_user())
    }

    pub async fn user_by_uuid(&self, app: &App, uuid: &str) -> Result<User> {
        Ok(self.inner.user_by_uuid(app, uuid).await?.to_user())
    }

    /// In order of creation. A cursor that is not one of ours starts from the beginning.
    pub async fn users(&self, app: &App, cursor: Option<&str>, limit: usize) -> Result<Page<User>> {
        self.inner.users(app, cursor, limit).await
    }

    pub async fn delete_user(&self, app: &App, name: &UserName) -> Result<User> {
        self.inner.delete_user(app, name).await
    }

    /// Ends all sessions and revokes all tokens.
    pub async fn set_password(&self, app: &App, name: &UserName, password: &str) -> Result<()> {
        self.inner.set_password(app, name, password).await
    }

    /// Whether this is the user's password; for changes by the user themself.
    pub async fn check_password(&self, app: &App, name: &UserName, password: &str) -> Result<bool> {
        let account = self.inner.existing(app, name).await?;
        self.inner.passwords.verify(account.password.as_deref(), password).await
    }

    /// Shown in push notifications; empty takes it away.
    pub async fn set_nickname(&self, app: &App, name: &UserName, nickname: &str) -> Result<User> {
        Ok(self.inner.set_nickname(app, name, nickname).await?.to_user())
    }

    /// Bans (false) or lifts a ban (true). A ban ends all sessions and revokes all tokens.
    pub async fn set_activated(&self, app: &App, name: &UserName, activated: bool) -> Result<User> {
        Ok(self.inner.set_activated(app, name, activated).await?.to_user())
    }

    /// Ends all sessions and revokes all tokens. False when nothing was connected.
    pub async fn force_offline(&self, app: &App, name: &UserName) -> Result<bool> {
        self.inner.force_offline(app, name).await
    }

    /// Ends one session. False when that device is not connected.
    pub async fn disconnect(&self, app: &App, name: &UserName, device: &Resource) -> Result<bool> {
        self.inner.existing(app, name).await?;
        Ok(self.inner.close_sessions(app.tenant, name, Some(device), CloseReason::Kicked).await > 0)
    }

    pub async fn is_online(&self, app: &App, name: &UserName) -> bool {
        let inner = &self.inner;
        let elsewhere = match &inner.presence {
            Some(presence) if !inner.hub.is_online(app.tenant, name) => {
                presence.others(app.tenant, name).await
            }
            _ => Vec::new(),
        };
        !elsewhere.is_empty() || inner.hub.is_online(app.tenant, name)
    }

    /// The connected devices.
    pub async fn devices(&self, app: &App, name: &UserName) -> Vec<DeviceInfo> {
        self.inner.connected(app.tenant, name).await.0
    }

    /// Adds to a count that all cores of the region share, and gives the sum. `None`: there are no other cores, or what
    /// they share is away.
    pub async fn count(&self, counter: &str, by: i64, ttl: Duration) -> Option<i64> {
        self.inner.presence.as_ref()?.count(counter, by, ttl).await
    }

    /// Messages that no device of the user has received, at most 500 per conversation.
    pub async fn offline_count(&self, app: &App, name: &UserName) -> Result<u64> {
        self.inner.existing(app, name).await?;
        self.inner.offline_count(app, name).await
    }

    /// Whether a message has reached a device of the user; unknown ids count as delivered.
    pub async fn is_delivered(&self, app: &App, name: &UserName, message: MessageId) -> Result<bool> {
        self.inner.existing(app, name).await?;
        self.inner.is_delivered(app, name, message).await
    }
}

/// Messages.
impl Chat {
    pub async fn send(&self, app: &App, message: OutgoingMessage) -> Result<MessageId> {
        self.inner.send_from_rest(app, message).await
    }

    pub async fn recall(&self, app: &App, request: RecallRequest) -> Result<RecallOutcome> {
        self.inner.recall_from_rest(app, request).await
    }
}

/// Files.
impl Chat {
    pub async fn store_file(&self, app: &App, file: NewFile, content: BlobStream) -> Result<FileRecord> {
        self.inner.store_file(app, file, content).await
    }

    /// `None` when there is no such file.
    pub async fn file(&self, app: &App, uuid: &str) -> Result<Option<FileRecord>> {
        self.inner.file(app, uuid).await
    }

    pub async fn read_file(
        &self,
        app: &App,
        file: &FileRecord,
        range: Option<Range<u64>>,
    ) -> Result<Option<BlobStream>> {
        self.inner.read_file(app, file, range).await
    }

    /// The thumbnail kept beside a file, if one was made.
    pub async fn read_thumbnail(&self, app: &App, file: &FileRecord) -> Result<Option<BlobStream>> {
        self.inner.read_thumbnail(app, file).await
    }

    pub async fn store_thumbnail(&self, app: &App, file: &FileRecord, content: BlobStream) -> Result<()> {
        self.inner.store_thumbnail(app, file, content).await
    }
}
