//! The cores of the region as this edge sees them, and which of them takes the next session.

use super::{Patience, connection::Connection, member::Member, session::EdgeSession};
use crate::{peer::Secret, tasks::Tasks, tls::Tls};
use futures_util::{StreamExt, stream};
use rand::{Rng, seq::IndexedRandom};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep},
};

/// Sessions of one core that look for another at the same time.
const MOVING: usize = 64;
const RECONNECT: Duration = Duration::from_millis(100);
const LONGEST_RECONNECT: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(super) struct Pool {
    keys: (Secret, Tls),
    patience: Patience,
    members: Mutex<Vec<Member>>,
    changed: Notify,
    tasks: Tasks,
}

impl Pool {
    pub(super) fn new(keys: (Secret, Tls), patience: Patience) -> Arc<Self> {
        let (members, changed) = (Mutex::default(), Notify::new());
        Arc::new(Self { keys, patience, members, changed, tasks: Tasks::default() })
    }

    pub(super) fn patience(&self) -> Patience {
        self.patience
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_ready(&self) -> bool {
        self.lock().iter().any(|member| member.ready().is_some())
    }

    /// The less loaded of two cores, taken by chance from those that are ready. Waits while there is none.
    pub(super) async fn choose(&self) -> Arc<Connection> {
        loop {
            let changed = self.changed.notified();
            if let Some(core) = self.pick() {
                return core;
            }
            changed.await;
        }
    }

    pub(super) fn pick(&self) -> Option<Arc<Connection>> {
        let now = Instant::now();
        let members = self.lock();
        let well = |member: &&Member| !member.is_ejected(now);
        let mut ready: Vec<_> = members.iter().filter(well).filter_map(Member::ready).collect();
        if ready.is_empty() {
            // A core that fails is better than none.
            ready = members.iter().filter_map(Member::ready).collect();
        }
        let two = ready.choose_multiple(&mut rand::rng(), 2);
        two.min_by_key(|core| core.load()).map(|core| Arc::clone(core))
    }

    pub(super) fn well(&self, core: &Arc<Connection>) {
        self.with(core, Member::well);
    }

    pub(super) fn unwell(&self, core: &Arc<Connection>) {
        self.with(core, |member| member.unwell(Instant::now()));
    }

    fn with(&self, core: &Arc<Connection>, change: impl FnOnce(&mut Member)) {
        let is_this = |member: &&mut Member| {
            member.connection.as_ref().is_some_and(|connection| Arc::ptr_eq(connection, core))
        };
        if let Some(member) = self.lock().iter_mut().find(is_this) {
            change(member);
        }
    }

    /// Finds cores for sessions that have none.
    pub(super) fn rehouse(self: Arc<Self>, sessions: Vec<Arc<EdgeSession>>) {
        let tasks = self.tasks.clone();
        tasks.spawn(async move {
            stream::iter(sessions).for_each_concurrent(MOVING, EdgeSession::find_home).await;
        });
    }

    /// Moves the sessions of a core that drains, while there is another.
    fn move_off(self: &Arc<Self>, core: Arc<Connection>) {
        let pool = Arc::downgrade(self);
        self.tasks.spawn(async move {
            let sessions = core.all_sessions();
            tracing::info!(address = core.address, sessions = sessions.len(), "a core drains");
            stream::iter(sessions)
                .for_each_concurrent(MOVING, |session| {
                    let (pool, core) = (pool.clone(), core.clone());
                    async move {
                        // Waits until some core takes sessions; that may be this one again.
                        let Some(pool) = pool.upgrade() else { return };
                        drop(pool.choose().await);
                        if !core.is_ready() && !core.is_down() && session.take_off(&core) {
                            core.leave(session.id(), false);
                            session.find_home().await;
                        }
                    }
                })
                .await;
        });
    }
}

/// Half to one and a half times as long, so that many do not try at the same time.
pub(super) fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..1.5))
}

/// Keeps a connection to every address of the list, as it is now.
pub(super) async fn keep(pool: Arc<Pool>, mut addresses: watch::Receiver<Vec<String>>) {
    loop {
        let wanted = addresses.borrow_and_update().clone();
        {
            let mut members = pool.lock();
            members.retain(|member| {
                let stays = wanted.contains(&member.address);
                if !stays {
                    member.keeper.abort();
                }
                stays
            });
            for address in wanted {
                if members.iter().all(|member| member.address != address) {
                    let keeping = keep_one(Arc::downgrade(&pool), address.clone());
                    members.push(Member::new(address, pool.tasks.spawn(keeping)));
                }
            }
        }
        if addresses.changed().await.is_err() {
            // The list is as it is for good.
            std::future::pending::<()>().await;
        }
    }
}

/// Connects to one core, again and again.
async fn keep_one(pool: Weak<Pool>, address: String) {
    let mut pause = RECONNECT;
    loop {
        let Some(keys) = pool.upgrade().map(|pool| pool.keys.clone()) else { return };
        match Connection::open(&address, &keys).await {
            Ok((connection, body)) => {
                let begun = Instant::now();
                let up = Up { pool: pool.clone(), connection };
                up.run(body).await;
                if begun.elapsed() > LONGEST_RECONNECT {
                    pause = RECONNECT;
                }
            }
            Err(error) => tracing::debug!(address, %error, "core not reached"),
        }
        sleep(jittered(pause)).await;
        pause = (pause * 2).min(LONGEST_RECONNECT);
    }
}

/// A connection that is up; its sessions look for another core when it ends, however that happens.
struct Up {
    pool: Weak<Pool>,
    connection: Arc<Connection>,
}

impl Up {
    async fn run(&self, body: hyper::body::Incoming) {
        let Some(pool) = self.pool.upgrade() else { return };
        let (address, patience) = (self.connection.address.clone(), pool.patience);
        if let Some(member) = pool.lock().iter_mut().find(|member| member.address == address) {
            member.connection = Some(self.connection.clone());
            member.well();
        }
        drop(pool);
        tracing::info!(address, "connected to a core");
        let changed = |ready: bool| {
            let Some(pool) = self.pool.upgrade() else { return };
            if ready {
                pool.changed.notify_waiters();
            } else {
                pool.move_off(self.connection.clone());
            }
        };
        let ended = self.connection.run(body, (patience.ping, patience.silence), changed).await;
        let reason = ended.err().map_or("closed", |bad| bad.0);
        tracing::warn!(address, reason, "connection to a core ended");
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let Some(pool) = self.pool.upgrade() else { return };
        pool.with(&self.connection, |member| member.connection = None);
        metrics::counter!("link_core_lost_total").increment(1);
        let sessions = self.connection.take_down();
        let homeless = sessions.into_iter().filter(|session| session.take_off(&self.connection)).collect();
        pool.rehouse(homeless);
    }
}
