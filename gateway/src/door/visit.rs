//! What a connection and its requests tell each other.

use crate::protocols::Caller;
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What the connection of a request, and the request itself, leave for each other. HTTP/1 has one for the connection,
/// HTTP/2 one for each request.
#[derive(Debug, Default)]
pub(crate) struct Visit {
    begun: AtomicBool,
    room: Option<Arc<Room>>,
    upgrade: Mutex<Option<Upgrade>>,
}

/// A connection, or a stream of one, that becomes a WebSocket once its handshake is answered.
#[derive(Debug)]
pub(crate) struct Upgrade {
    pub(crate) stream: hyper::upgrade::OnUpgrade,
    pub(crate) caller: Caller,
    /// Held as long as the WebSocket lives.
    pub(crate) places: Option<Places>,
}

/// How many WebSockets one HTTP/2 connection may hold.
#[derive(Debug)]
pub(crate) struct Room {
    own: Arc<Semaphore>,
    gateway: Arc<Semaphore>,
}

/// A place in a [`Room`].
#[derive(Debug)]
pub(crate) struct Places {
    _own: OwnedSemaphorePermit,
    _gateway: OwnedSemaphorePermit,
}

impl Room {
    pub(crate) fn new(places: usize, gateway: Arc<Semaphore>) -> Self {
        Self { own: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))), gateway }
    }

    fn take(&self) -> Option<Places> {
        let own = self.own.clone().try_acquire_owned().ok()?;
        let gateway = self.gateway.clone().try_acquire_owned().ok()?;
        Some(Places { _own: own, _gateway: gateway })
    }
}

impl Visit {
    /// Of a request that shares its connection.
    pub(crate) fn within(room: Arc<Room>) -> Self {
        Self { room: Some(room), ..Self::default() }
    }

    /// A request head has arrived.
    pub(crate) fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// Room for one more WebSocket; `Ok(None)`: the connection becomes the WebSocket, and needs none.
    pub(super) fn take_places(&self) -> Result<Option<Places>, Full> {
        self.room.as_ref().map(|room| room.take().ok_or(Full)).transpose()
    }

    pub(super) fn leave_upgrade(&self, upgrade: Upgrade) {
        *self.upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgrade);
    }

    pub(crate) fn take_upgrade(&self) -> Option<Upgrade> {
        self.upgrade.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// There are as many WebSockets as there may be.
#[derive(Debug)]
pub(super) struct Full;
