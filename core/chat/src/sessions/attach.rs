//! Logging a device in: who it is, whether it may, and its seat.

use crate::{
    OverLimit, TokenError,
    accounts::Account,
    cluster::{RemoteSeat, Request},
    error::ChatError,
    log::LogError,
    model::App,
    service::Inner,
    sessions::{Attached, Room, Session, devices},
};
use meridian_types::{
    AppKey, Millis, TenantId, UserName,
    session::{CloseReason, Credential, Login, Refusal},
};
use std::sync::Arc;

/// Longest login extension, in bytes.
const EXTENSION_LIMIT: usize = 1024;

impl Inner {
    pub(crate) async fn attach(self: &Arc<Self>, login: Login) -> Result<Attached, Refusal> {
        if login.extension.len() > EXTENSION_LIMIT {
            return Err(Refusal::Malformed);
        }
        let key = AppKey::parse(&login.app_key).map_err(|_| Refusal::AppNotFound)?;
        let user = UserName::parse(&login.user).map_err(|_| Refusal::UserNotFound)?;
        let app = self.apps.get(&key).ok_or(Refusal::AppNotFound)?;
        let (account, token_expires_at) = self.check_credential(&app, &user, &login.credential).await?;

        let refuse = app.settings.over_limit == OverLimit::Refuse;
        let limit = app.settings.device_limit(login.device.platform).max(1);
        let now = self.clock.now();
        // A resumed session keeps its place among the person's devices.
        let since = match &login.credential {
            Credential::Resume(resume) => resume.attached_at,
            _ => now,
        };
        let elsewhere = match &self.presence {
            Some(presence) => presence.others(app.tenant, &user).await,
            None => Vec::new(),
        };
        let registered = devices::register(
            (&*self.store, &self.logs, &self.hub, &self.positions),
            (self.placement, &elsewhere),
            app.tenant,
            &user,
            &login.device,
            now,
        );
        match registered.await {
            Ok(Ok(())) => {}
            Ok(Err(LogError::Busy)) => return Err(Refusal::Busy),
            Ok(Err(error)) => return Err(unavailable(&error)),
            Err(error) => return Err(unavailable(&error)),
        }
        let resource = login.device.resource.clone();
        if elsewhere.iter().any(|seat| seat.resource == resource && seat.at > since.0) {
            return Err(Refusal::Replaced);
        }
        // Each platform's devices on other cores take their part of the limit.
        let is_other =
            |seat: &&RemoteSeat| seat.resource != resource && seat.platform == login.device.platform;
        let mut others: Vec<_> = elsewhere.iter().filter(is_other).collect();
        others.sort_by_key(|seat| seat.at);
        let platform = login.device.platform;
        let here = self.hub.slots(app.tenant, &user);
        let here = here.iter().filter(|slot| slot.device.platform == platform);
        let here: Vec<u64> =
            here.filter(|slot| slot.device.resource != resource).map(|slot| slot.seated_at).collect();
        let excess = (others.len() + here.len() + 1).saturating_sub(limit);
        if refuse && excess > 0 {
            return Err(Refusal::TooManyDevices);
        }
        let mut seated: Vec<u64> = here.iter().copied().chain(others.iter().map(|seat| seat.at)).collect();
        seated.sort_unstable();
        // Who has sat longest leaves, on whichever core.
        let until = excess.checked_sub(1).and_then(|last| seated.get(last)).copied();
        let (leaving, staying): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|seat| until.is_some_and(|until| seat.at <= until));
        let leaving: Vec<_> = leaving.into_iter().cloned().collect();
        let here = limit.saturating_sub(staying.len()).max(1);
        let device = login.device.clone();
        let seat = self.hub.seat(
            app.tenant,
            &user,
            device,
            &login.extension,
            Room { limit: here, refuse },
            since.0,
        )?;
        let session = Session { chat: self.clone(), app: app.clone(), user: user.clone(), slot: seat.slot };
        // A ban, a mute or a new password may have come between the check and the seat.
        let still = self.account(&app, &user).await.map_err(|error| refusal(&error))?;
        let still = still.filter(|still| still.token_epoch == account.token_epoch);
        session.slot.mute(still.ok_or(Refusal::CredentialMismatch)?.mutes);
        if let Some(presence) = &self.presence {
            presence.seated(app.tenant, &user, &login.device, since.0).await;
            // The edge of a resumed session has let go of the seat that it had; that core may hang.
            let same = elsewhere.iter().filter(|seat| seat.resource == resource && seat.at != since.0);
            for seat in same.chain(&leaving) {
                let reason = CloseReason::Replaced { extension: login.extension.clone() };
                let device = Some(seat.resource.clone());
                let close = Request::Close { tenant: app.tenant, user: user.clone(), device, reason };
                self.cluster.tell(&seat.node, &close).await;
            }
        }
        self.presence_feed.changed(&app, &user);
        // Rooms say nothing twice: they are heard from now on.
        self.follow_rooms(app.tenant, &user).await.map_err(|error| unavailable(&error))?;
        let (events, closed) = (seat.events, seat.closed);
        let (app, token_epoch) = (app.key.clone(), account.token_epoch);
        let attached_at = since;
        Ok(Attached {
            app,
            user,
            resource,
            attached_at,
            token_expires_at,
            token_epoch,
            session,
            events,
            closed,
        })
    }

    /// Reads which rooms a person is in who is attached here.
    pub(crate) async fn follow_rooms(&self, tenant: TenantId, user: &UserName) -> meridian_ports::Result<()> {
        let reading = self.hub.read_rooms(tenant, user);
        let rooms = self.room_ids(tenant, user).await?;
        reading.finds_all(&rooms);
        Ok(())
    }

    async fn check_credential(
        &self,
        app: &App,
        user: &UserName,
        credential: &Credential,
    ) -> Result<(Arc<Account>, Option<Millis>), Refusal> {
        let account = self.account(app, user).await.map_err(|error| refusal(&error))?;
        let expires = match credential {
            Credential::Token(token) => {
                let claims = self.read_token(app, token).map_err(token_refusal)?;
                if claims.user.as_ref() != Some(user) {
                    return Err(Refusal::CredentialMismatch);
                }
                let account = account.as_ref().ok_or(Refusal::UserNotFound)?;
                if !account.activated {
                    return Err(Refusal::Forbidden);
                }
                claims.check(account).map_err(token_refusal)?;
                claims.expires_at
            }
            Credential::Password(password) => {
                let account = account.as_ref().ok_or(Refusal::UserNotFound)?;
                let right = self.passwords.verify(account.password.as_deref(), password).await;
                if !right.map_err(|error| refusal(&error))? {
                    return Err(Refusal::CredentialMismatch);
                }
                None
            }
            Credential::Resume(resume) => {
                let account = account.as_ref().ok_or(Refusal::UserNotFound)?;
                if account.token_epoch != resume.token_epoch {
                    return Err(Refusal::CredentialMismatch);
                }
                resume.token_expires_at
            }
        };
        let account = account.ok_or(Refusal::UserNotFound)?;
        if !account.activated {
            return Err(Refusal::Forbidden);
        }
        Ok((account, expires))
    }
}

fn unavailable(error: &dyn std::error::Error) -> Refusal {
    tracing::warn!(%error, "login failed");
    Refusal::Unavailable
}

fn refusal(error: &ChatError) -> Refusal {
    match error {
        ChatError::Busy => Refusal::Busy,
        other => unavailable(other),
    }
}

fn token_refusal(error: TokenError) -> Refusal {
    match error {
        TokenError::Expired => Refusal::TokenExpired,
        TokenError::Corrupt | TokenError::Revoked => Refusal::CredentialMismatch,
        TokenError::Unavailable => Refusal::Unavailable,
    }
}
