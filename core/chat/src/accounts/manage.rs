//! Registering, finding, changing and deleting users.

use crate::{
    App, ChatError, NewUser, Page, User,
    accounts::{
        Account, USER, USER_UUID,
        commands::{Change, Create, EndDelete, Update},
    },
    log::Apply,
    people::{COUNTER, ForgetPerson, PERSONAL, SEEN, USERS, read_counter},
    service::Inner,
    sessions::forget_devices,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use meridian_ports::{ObjectPage, RelationPage};
use meridian_types::{Effect, Relation, TenantId, UserName, session::CloseReason};
use std::sync::Arc;

const NICKNAME_CHARS: usize = 100;

impl Inner {
    /// The account, also a banned one; `None` when there is none, or when it is being deleted.
    pub(crate) async fn account(
        &self,
        app: &App,
        name: &UserName,
    ) -> Result<Option<Arc<Account>>, ChatError> {
        let mark = match self.accounts.get(app.tenant, name) {
            // A core that has lost touch was not told of changes.
            Ok(account) if self.cluster.is_current() => return Ok(Some(account)),
            Ok(_) => None,
            Err(mark) => Some(mark),
        };
        let Some(account) = self.stored_account(app.tenant, name).await? else { return Ok(None) };
        if let Some(mark) = mark {
            self.accounts.keep(app.tenant, &account, mark);
        }
        Ok(Some(account))
    }

    /// The account as the store has it.
    pub(crate) async fn stored_account(
        &self,
        tenant: TenantId,
        name: &UserName,
    ) -> Result<Option<Arc<Account>>, ChatError> {
        let log = self.placement.home(tenant, name.as_str());
        let object = self.store.object(log, &USER, name.as_str()).await?;
        let account = object.as_ref().map(Account::read).transpose()?;
        Ok(account.filter(|account| !account.deleting).map(Arc::new))
    }

    pub(crate) async fn existing(&self, app: &App, name: &UserName) -> Result<Arc<Account>, ChatError> {
        self.account(app, name).await?.ok_or(ChatError::UserNotFound)
    }

    pub(crate) async fn register(&self, app: &App, new: NewUser) -> Result<Account, ChatError> {
        check_nickname(new.nickname.as_deref())?;
        // Before the costly hash; the writer checks again.
        if self.account(app, &new.username).await?.is_some() {
            return Err(ChatError::UserExists);
        }
        let limit = app.settings.max_users;
        if limit > 0 && self.count_users(app).await? >= limit {
            return Err(ChatError::UserLimit { limit });
        }
        let password = match &new.password {
            Some(password) => Some(self.passwords.hash(password).await?),
            None => None,
        };
        let log = self.placement.home(app.tenant, new.username.as_str());
        let create = || Create {
            username: new.username.clone(),
            uuid: uuid_in(log.index()),
            password: password.clone(),
            nickname: new.nickname.clone(),
        };
        let mut created = self.logs.execute(log, create()).await;
        if matches!(created, Err(ChatError::UserExists)) && self.finish_delete(app, &new.username).await? {
            created = self.logs.execute(log, create()).await;
        }
        self.accounts.forget(app.tenant, &new.username);
        created
    }

    pub(crate) async fn user_by_uuid(&self, app: &App, uuid: &str) -> Result<Arc<Account>, ChatError> {
        let index = uuid.get(..2).and_then(|byte| u16::from_str_radix(byte, 16).ok());
        let log = self.placement.owned(app.tenant, index.ok_or(ChatError::UserNotFound)?);
        let page = RelationPage::new(None, 1);
        let found = self.store.relations(&[log], &USER_UUID, uuid, page).await?.pop();
        let (_, relation) = found.ok_or(ChatError::UserNotFound)?;
        self.existing(app, &UserName::parse(&relation.to)?).await
    }

    pub(crate) async fn users(
        &self,
        app: &App,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<User>, ChatError> {
        let logs = self.placement.all_owned(app.tenant);
        let mut after = cursor.and_then(read_cursor);
        let mut items: Vec<User> = Vec::with_capacity(limit);
        loop {
            // One more than asked for tells whether another page follows.
            let wanted = limit + 1 - items.len();
            let objects = self.store.objects(&logs, &USER, ObjectPage::new(after.take(), wanted)).await?;
            let end = objects.len() < wanted;
            after = objects.last().map(|(_, object)| (object.rank, object.id.clone()));
            for (_, object) in &objects {
                let account = Account::read(object)?;
                if !account.deleting {
                    items.push(account.to_user());
                }
            }
            if end || items.len() > limit {
                break;
            }
        }
        let more = items.len() > limit;
        items.truncate(limit);
        let cursor = items.last().filter(|_| more).map(write_cursor);
        Ok(Page { items, cursor })
    }

    pub(crate) async fn set_password(
        &self,
        app: &App,
        name: &UserName,
        password: &str,
    ) -> Result<(), ChatError> {
        self.existing(app, name).await?;
        let hash = self.passwords.hash(password).await?;
        self.change(app, name, Change::Password(hash)).await?;
        self.close_sessions(app.tenant, name, None, CloseReason::PasswordChanged).await;
        Ok(())
    }

    pub(crate) async fn set_activated(
        &self,
        app: &App,
        name: &UserName,
        activated: bool,
    ) -> Result<Account, ChatError> {
        let account = self.change(app, name, Change::Activated(activated)).await?;
        if !activated {
            self.close_sessions(app.tenant, name, None, CloseReason::Removed).await;
        }
        Ok(account)
    }

    pub(crate) async fn force_offline(&self, app: &App, name: &UserName) -> Result<bool, ChatError> {
        self.change(app, name, Change::RevokeTokens).await?;
        Ok(self.close_sessions(app.tenant, name, None, CloseReason::Kicked).await > 0)
    }

    pub(crate) async fn set_nickname(
        &self,
        app: &App,
        name: &UserName,
        nickname: &str,
    ) -> Result<Account, ChatError> {
        check_nickname(Some(nickname))?;
        self.change(app, name, Change::Nickname(nickname.to_owned())).await
    }

    /// Accounts of the app. Registrations under way on other cores may be missing.
    async fn count_users(&self, app: &App) -> Result<u64, ChatError> {
        let mut count = 0;
        for log in self.placement.all_owned(app.tenant) {
            let counter = self.store.object(log, &COUNTER, USERS).await?;
            count += counter.as_ref().map_or(0, read_counter);
        }
        Ok(count)
    }

    pub(super) async fn change(
        &self,
        app: &App,
        username: &UserName,
        change: Change,
    ) -> Result<Account, ChatError> {
        let log = self.placement.home(app.tenant, username.as_str());
        self.accounts.forget(app.tenant, username);
        let changed = self.logs.execute(log, Update { username: username.clone(), change }).await;
        self.account_changed(app.tenant, username).await;
        changed
    }

    /// Deletes in three steps, each of them durable, so that a crash in between only delays: the account becomes
    /// unusable; what hangs on it goes; the account goes. A registration of the same name finishes what is left.
    pub(crate) async fn delete_user(&self, app: &App, name: &UserName) -> Result<User, ChatError> {
        self.existing(app, name).await?;
        let account = self.change(app, name, Change::BeginDelete).await?;
        self.close_sessions(app.tenant, name, None, CloseReason::Removed).await;
        self.finish_delete(app, name).await?;
        Ok(account.to_user())
    }

    /// True when a deletion had begun and is now done.
    async fn finish_delete(&self, app: &App, name: &UserName) -> Result<bool, ChatError> {
        let home = self.placement.home(app.tenant, name.as_str());
        let Some(object) = self.store.object(home, &USER, name.as_str()).await? else { return Ok(true) };
        let account = Account::read(&object)?;
        if !account.deleting {
            return Ok(false);
        }
        let owned = self.owned_mucs(app, name).await?;
        for log in self.placement.all_owned(app.tenant) {
            let forget = || ForgetPerson { username: name.clone(), uuid: account.uuid.clone() };
            while self.logs.execute(log, forget()).await? {}
        }
        for id in owned {
            self.sweep(app, id).await?;
        }
        let mut effects =
            forget_devices(&*self.store, &self.positions, self.placement, app.tenant, name).await?;
        self.forget_fields(&mut effects, app, name).await?;
        if !effects.is_empty() {
            let apply = Apply::new("device.forget", effects);
            self.logs.execute(self.placement.regional(app.tenant), apply).await?;
        }
        self.logs.execute(home, EndDelete { username: name.clone(), uuid: account.uuid }).await?;
        Ok(true)
    }

    async fn forget_fields(
        &self,
        effects: &mut Vec<Effect>,
        app: &App,
        name: &UserName,
    ) -> Result<(), ChatError> {
        const AT_ONCE: usize = 1000;
        self.delete_profile(app, name).await?;
        let log = self.placement.regional(app.tenant);
        for kind in PERSONAL.into_iter().chain([SEEN]) {
            let mut after = None;
            loop {
                let page = RelationPage::new(after.take(), AT_ONCE);
                let found = self.store.relations(&[log], &kind, name.as_str(), page).await?;
                let end = found.len() < AT_ONCE;
                after = found.last().map(|(_, relation)| relation.to.clone());
                effects.extend(found.into_iter().map(|(_, relation)| {
                    let Relation { kind, from, to, .. } = relation;
                    Effect::DeleteRelation { kind, from, to }
                }));
                if end {
                    break;
                }
            }
        }
        Ok(())
    }
}

fn check_nickname(nickname: Option<&str>) -> Result<(), ChatError> {
    match nickname {
        Some(nickname) if nickname.chars().count() > NICKNAME_CHARS => Err(ChatError::NicknameLength),
        _ => Ok(()),
    }
}

/// A random uuid whose first byte tells the log, so that a user can be found by it.
fn uuid_in(log_index: u16) -> String {
    let mut bytes = uuid::Uuid::new_v4().into_bytes();
    bytes[0] = log_index.to_be_bytes()[1];
    uuid::Uuid::from_bytes(bytes).to_string()
}

fn write_cursor(last: &User) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{}/{}", last.created, last.username))
}

fn read_cursor(cursor: &str) -> Option<(i64, String)> {
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (rank, id) = text.split_once('/')?;
    Some((rank.parse().ok()?, id.to_owned()))
}
