//! Leases in this process.

use async_trait::async_trait;
use meridian_ports::{Directory, Error, ErrorKind, Lease, NodeId, NodeInfo, Result};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

const SLOTS: u8 = 64;
const ADDRESS_LIMIT: usize = 255;

/// A directory for the cores of one process.
#[derive(Debug, Default)]
pub struct MemoryDirectory {
    leases: Mutex<BTreeMap<NodeId, (Lease, Instant)>>,
}

impl MemoryDirectory {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The leases that have not run out.
    fn living(&self) -> MutexGuard<'_, BTreeMap<NodeId, (Lease, Instant)>> {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        leases.retain(|_, (_, ends)| *ends > now);
        leases
    }
}

#[async_trait]
impl Directory for MemoryDirectory {
    fn describe(&self) -> String {
        "memory".into()
    }

    async fn announce(&self, node: &NodeInfo, ttl: Duration) -> Result<Vec<Lease>> {
        if node.address.is_empty() || node.address.len() > ADDRESS_LIMIT {
            return Err(Error::new(ErrorKind::Invalid, "announce", "an address is 1 to 255 bytes long"));
        }
        let mut leases = self.living();
        let slot = match leases.get(&node.id) {
            Some((lease, _)) => lease.slot,
            None => {
                let is_free = |slot: &u8| leases.values().all(|(lease, _)| lease.slot != *slot);
                let full = || Error::new(ErrorKind::Full, "announce", "every slot is taken");
                (0..SLOTS).find(is_free).ok_or_else(full)?
            }
        };
        leases.insert(node.id, (Lease { node: node.clone(), slot }, Instant::now() + ttl));
        Ok(leases.values().map(|(lease, _)| lease.clone()).collect())
    }

    async fn withdraw(&self, node: NodeId) -> Result<()> {
        self.living().remove(&node);
        Ok(())
    }

    async fn nodes(&self) -> Result<Vec<Lease>> {
        Ok(self.living().values().map(|(lease, _)| lease.clone()).collect())
    }
}
