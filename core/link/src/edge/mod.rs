//! The edge's end of the link: the region's cores as if they were one. A session that is attached here outlives the core
//! that has it: when that core breaks, hangs or drains, the session goes on with another, what it sent without an answer
//! is sent again (a resend gets the first answer), and it asks what it is owed.

mod calls;
mod connection;
mod member;
mod outgoing;
mod pool;
mod rest;
mod session;

use crate::{Attached, Body, Core, Login, Refusal, peer::Secret, tasks::Tasks, tls::Tls};
use async_trait::async_trait;
use pool::Pool;
use rest::Rest;
use session::Hold;
use std::{fmt, sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};

/// What a login may wait for a core that can take it.
const ATTACH_DEADLINE: Duration = Duration::from_secs(8);

/// When a core counts as gone, and how long sessions wait for another.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Between two questions for a core's health.
    pub ping: Duration,
    /// A core that says nothing for so long is gone.
    pub silence: Duration,
    /// A session that finds no core for so long ends; its client comes back by itself.
    pub homeless: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            ping: Duration::from_millis(250),
            silence: Duration::from_millis(1500),
            homeless: Duration::from_secs(60),
        }
    }
}

/// The cores of a region.
pub struct Cores {
    pool: Arc<Pool>,
    rest: Rest,
    _tasks: Tasks,
}

impl fmt::Debug for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cores").finish_non_exhaustive()
    }
}

impl Cores {
    /// Connects to the cores at some addresses, which may change, and keeps connected until dropped.
    #[must_use]
    pub fn connect(
        addresses: watch::Receiver<Vec<String>>,
        secret: Secret,
        tls: Tls,
        patience: Patience,
    ) -> Self {
        let tasks = Tasks::default();
        let pool = Pool::new((secret, tls), patience);
        tasks.spawn(pool::keep(pool.clone(), addresses));
        Self { rest: Rest::new(pool.clone()), pool, _tasks: tasks }
    }
}

#[async_trait]
impl Core for Cores {
    async fn attach(&self, login: Login) -> Result<Attached, Refusal> {
        let until = Instant::now() + ATTACH_DEADLINE;
        let (hold, events, closed) = Hold::new(self.pool.clone(), login);
        let told = hold.attach_first(until).await?;
        hold.attached(told, events, closed)
    }

    async fn rest(&self, request: http::Request<Body>) -> http::Response<Body> {
        self.rest.call(request).await
    }

    fn is_ready(&self) -> bool {
        self.pool.is_ready()
    }
}
