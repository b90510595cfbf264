//! A device that is logged in.

use crate::{CloseReason, Events, Session};
use meridian_types::{AppKey, Millis, Resource, UserName};
use std::sync::Arc;
use tokio::sync::oneshot;

/// An attached device. Dropping it detaches.
#[derive(Debug)]
pub struct Attached {
    pub app: AppKey,
    pub user: UserName,
    pub resource: Resource,
    pub attached_at: Millis,
    /// When the token ends; `None` when it never does.
    pub token_expires_at: Option<Millis>,
    /// See [`crate::Resume`].
    pub token_epoch: u64,
    pub session: Arc<dyn Session>,
    /// Entries of the person's conversations, in commit order. Bounded: what does not fit is dropped and the next
    /// event after the gap is [`SessionEvent::Lagged`].
    pub events: Events,
    /// Fires once; a sender that is dropped without a word means that the core went away.
    pub closed: oneshot::Receiver<CloseReason>,
}
