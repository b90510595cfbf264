//! What one core asks of another, and how it is served.

use crate::{accounts::AccountCache, log::EncodedCommand, service::Inner};
use bytes::Bytes;
use futures_util::future::join_all;
use meridian_types::{
    AppKey, ConversationKey, LogId, Position, Resource, TenantId, UserName, session::CloseReason,
};
use serde::{Deserialize, Serialize};

/// A question to another core. Named fields: a core of a later version may add some.
#[derive(Serialize, Deserialize)]
pub(crate) enum Request {
    /// Commands for a log that the other core writes, in order.
    Commands { log: LogId, commands: Vec<EncodedCommand> },
    /// An account was changed: forget what is known of it.
    AccountChanged { tenant: TenantId, user: UserName },
    /// An app was made or changed: read it again.
    AppChanged { key: AppKey },
    /// End sessions.
    Close { tenant: TenantId, user: UserName, device: Option<Resource>, reason: CloseReason },
    /// What is acknowledged and not written yet, of a device or person.
    Positions { tenant: TenantId, from: String },
    /// Hints were lost on their way: sessions should ask what they are owed.
    HintsLost,
    /// The asking core came or goes: the list of cores is to be read now.
    LookAgain,
}

/// The answer, of the same name.
#[derive(Serialize, Deserialize)]
pub(crate) enum Answer {
    /// One for each command, in order; `None` for one that was not tried because the core does not write the log.
    Commands(Vec<Option<Bytes>>),
    Done,
    /// How many sessions there were.
    Closed(usize),
    Positions(Vec<(ConversationKey, Position)>),
    /// The request could not be read or served.
    Refused,
}

impl Request {
    pub(crate) fn encode(&self) -> Option<Bytes> {
        rmp_serde::to_vec_named(self).ok().map(Bytes::from)
    }
}

impl Answer {
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        rmp_serde::from_slice(bytes).ok()
    }
}

impl Inner {
    /// Serves another core.
    pub(crate) async fn serve_peer(&self, request: &[u8]) -> Bytes {
        let answer = match rmp_serde::from_slice::<Request>(request) {
            Ok(request) => self.answer_peer(request).await,
            Err(error) => {
                tracing::warn!(%error, "a core asks what this one does not understand");
                Answer::Refused
            }
        };
        rmp_serde::to_vec_named(&answer).map(Bytes::from).unwrap_or_default()
    }

    async fn answer_peer(&self, request: Request) -> Answer {
        match request {
            Request::Commands { log, commands } => {
                let answers = commands.iter().map(|command| self.logs.submit_remote(log, command));
                // All are queued, in order, before the first is awaited.
                let answers: Vec<_> = answers.collect();
                Answer::Commands(join_all(answers).await)
            }
            Request::AccountChanged { tenant, user } => {
                AccountCache::forget(&self.accounts, tenant, &user);
                self.mute_sessions(tenant, &user).await;
                Answer::Done
            }
            Request::AppChanged { key } => {
                match self.apps.read_again(&*self.store, self.placement, &key).await {
                    Ok(()) => Answer::Done,
                    Err(error) => {
                        tracing::warn!(%error, "a changed app cannot be read");
                        Answer::Refused
                    }
                }
            }
            Request::Close { tenant, user, device, reason } => {
                Answer::Closed(self.hub.close(tenant, &user, device.as_ref(), &reason))
            }
            Request::Positions { tenant, from } => Answer::Positions(self.positions.waiting(tenant, &from)),
            Request::HintsLost => {
                self.hub.lag_all();
                Answer::Done
            }
            Request::LookAgain => match self.cluster.renew().await {
                Ok(()) => Answer::Done,
                Err(error) => {
                    tracing::warn!(%error, "the lease was not renewed");
                    Answer::Refused
                }
            },
        }
    }

    /// Makes a person's sessions on this core as muted as the person is.
    pub(crate) async fn mute_sessions(&self, tenant: TenantId, user: &UserName) {
        let slots = self.hub.slots(tenant, user);
        if slots.is_empty() {
            return;
        }
        match self.stored_account(tenant, user).await {
            Ok(Some(account)) => slots.iter().for_each(|slot| slot.mute(account.mutes)),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "whether a person is muted is not known"),
        }
    }

    /// Ends sessions on every core. Gives how many there were.
    pub(crate) async fn close_sessions(
        &self,
        tenant: TenantId,
        user: &UserName,
        device: Option<&Resource>,
        reason: CloseReason,
    ) -> usize {
        let here = self.hub.close(tenant, user, device, &reason);
        let request = Request::Close { tenant, user: user.clone(), device: device.cloned(), reason };
        let there = self.cluster.tell_all(&request).await;
        let count = |answer: &Answer| if let Answer::Closed(count) = answer { *count } else { 0 };
        here + there.iter().map(count).sum::<usize>()
    }

    /// Makes every core forget what it knows of an account. After this nobody acts on what it was before.
    pub(crate) async fn account_changed(&self, tenant: TenantId, user: &UserName) {
        self.accounts.forget(tenant, user);
        self.mute_sessions(tenant, user).await;
        self.cluster.tell_all(&Request::AccountChanged { tenant, user: user.clone() }).await;
    }
}
