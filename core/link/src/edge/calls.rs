//! Calls to one core that wait for their answer.

use super::{connection::Connection, session::EdgeSession};
use crate::wire::pb::to_edge::What as Up;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::sync::oneshot;

#[derive(Debug)]
enum Call {
    Ask(oneshot::Sender<Up>),
    Attach(Arc<EdgeSession>, oneshot::Sender<Up>),
    Send(Arc<EdgeSession>, u64),
}

/// Bounded by what sessions may have under way: 64 sends and one question each, by the gateway's limits.
#[derive(Debug, Default)]
pub(super) struct Calls {
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, Call>>,
    closed: AtomicBool,
}

impl Calls {
    pub(super) fn ask(&self, reply: oneshot::Sender<Up>) -> u64 {
        self.wait(Call::Ask(reply))
    }

    pub(super) fn attach(&self, session: Arc<EdgeSession>, reply: oneshot::Sender<Up>) -> u64 {
        self.wait(Call::Attach(session, reply))
    }

    pub(super) fn send(&self, session: Arc<EdgeSession>, number: u64) -> u64 {
        self.wait(Call::Send(session, number))
    }

    fn wait(&self, call: Call) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let mut waiting = self.lock();
        // After the end, nothing is kept: the asker sees its sender dropped.
        if !self.closed.load(Ordering::Relaxed) {
            waiting.insert(id, call);
        }
        id
    }

    pub(super) fn answer(&self, from: &Arc<Connection>, id: u64, answer: Up) {
        let Some(call) = self.lock().remove(&id) else { return };
        match call {
            // Whoever asked may have given up.
            Call::Ask(reply) => drop(reply.send(answer)),
            Call::Send(session, number) => session.sent(from, number, answer),
            Call::Attach(session, reply) => {
                if let Up::Attached(attached) = &answer {
                    session.seated(from, attached);
                }
                // Whose asker gave up has left already.
                let _ = reply.send(answer);
            }
        }
    }

    pub(super) fn drop_all(&self) {
        let mut waiting = self.lock();
        self.closed.store(true, Ordering::Relaxed);
        let dropped = std::mem::take(&mut *waiting);
        drop(waiting);
        drop(dropped);
    }

    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Call>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
