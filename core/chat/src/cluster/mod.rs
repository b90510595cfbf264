//! Several cores in one region: who lives, who writes which log, what one core tells another.
//!
//! A log is written by one core at a time. Which one follows from the list of living cores (`members`); two cores that
//! disagree for a moment do no harm, since the store fences writers. Everything else here keeps the cores' memories
//! together: caches are dropped everywhere before a change is answered (`control`), sessions are listed (`presence`),
//! and what was committed is hinted (`hints`).

mod control;
mod hints;
mod members;
mod peers;
mod presence;

pub(crate) use control::{Answer, Request};
pub(crate) use hints::{Hints, listen};
pub(crate) use members::{Cluster, Owner};
pub use peers::{PeerError, Peers};
pub(crate) use presence::{Presence, RemoteSeat};

use meridian_ports::{Bus, Directory, SoftState};
use std::{sync::Arc, time::Duration};

/// What a core shares with the others of its region.
#[derive(Clone, Debug)]
pub struct Region {
    pub directory: Arc<dyn Directory>,
    pub soft: Arc<dyn SoftState>,
    pub bus: Arc<dyn Bus>,
    pub peers: Arc<dyn Peers>,
    /// Where other cores reach this one, `host:port`.
    pub address: String,
    /// How long a core that is silent counts as alive. Its logs are taken over after that.
    pub lease: Duration,
}
