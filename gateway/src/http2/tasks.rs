//! The tasks of one HTTP/2 connection, which end with it.

use super::stream_stall;
use hyper::rt::Executor;
use std::{
    convert::Infallible,
    future::poll_fn,
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{task::JoinSet, time::Instant};

/// Owns tasks; dropped, it aborts them.
#[derive(Debug)]
pub(super) struct Tasks(Arc<Mutex<Running>>);

#[derive(Debug)]
struct Running {
    tasks: JoinSet<()>,
    /// When a task last began or ended.
    changed_at: Instant,
}

/// Starts tasks of their owner. Weak, because tasks hold it too.
#[derive(Clone, Debug)]
pub(super) struct Spawner {
    tasks: Weak<Mutex<Running>>,
    write_timeout: Duration,
}

impl Tasks {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Running { tasks: JoinSet::new(), changed_at: Instant::now() })))
    }

    pub(super) fn spawner(&self, write_timeout: Duration) -> Spawner {
        Spawner { tasks: Arc::downgrade(&self.0), write_timeout }
    }

    /// Frees what has ended, for as long as it is polled.
    pub(super) async fn reap(&self) -> Infallible {
        poll_fn(|cx| {
            let _ = self.poll_empty(cx);
            Poll::Pending
        })
        .await
    }

    /// Ready once nothing runs.
    pub(super) fn poll_empty(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Poll::Ready(ended) = running.tasks.poll_join_next(cx) {
            // An ended task, or a panic in one, which the runtime has reported.
            match ended {
                Some(_) => running.changed_at = Instant::now(),
                None => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }

    /// Since when nothing has run; `None` while something does.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.tasks.is_empty().then_some(running.changed_at)
    }
}

impl Spawner {
    /// Starts a task, unless the owner is gone.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(running) = self.tasks.upgrade() {
            let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
            running.tasks.spawn(task);
            running.changed_at = Instant::now();
        }
    }
}

/// For what hyper starts: one future per stream.
impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Spawner {
    fn execute(&self, stream: F) {
        self.spawn(stream_stall::until_stalled(stream, self.write_timeout));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn tasks_end_with_their_owner() {
        let tasks = Tasks::new();
        let spawner = tasks.spawner(Duration::from_secs(1));
        let (alive, gone) = oneshot::channel::<()>();
        let inner = spawner.clone();
        spawner.spawn(async move {
            let _held = (alive, inner);
            pending::<()>().await;
        });
        assert_eq!(tasks.idle_since(), None);
        drop(tasks);
        assert!(gone.await.is_err());
        let (alive, gone) = oneshot::channel::<()>();
        spawner.spawn(async move { drop(alive) });
        assert!(gone.await.is_err(), "what comes too late is dropped");
    }

    #[tokio::test]
    async fn what_has_ended_is_freed_and_counted_out() {
        let tasks = Tasks::new();
        let spawner = tasks.spawner(Duration::from_secs(1));
        for _ in 0..10 {
            spawner.spawn(async {});
        }
        poll_fn(|cx| tasks.poll_empty(cx)).await;
        assert!(tasks.idle_since().is_some());
    }
}
