//! The directory: which cores of a region are alive.

use crate::Result;
use async_trait::async_trait;
use std::{fmt::Debug, time::Duration};

/// Leases of nodes, judged by one clock: the directory's. Which core writes a log follows from the list of living
/// nodes; two nodes that see different lists for a moment are harmless, because the store fences writers.
#[async_trait]
pub trait Directory: Debug + Send + Sync + 'static {
    /// The backend's name and version, for the boot table.
    fn describe(&self) -> String;

    /// Takes or renews this node's lease for `ttl` from now, writes what it says of itself, and gives all living nodes,
    /// itself included, in order of id. The first call, and one after the lease has run out, gives the node a free
    /// slot, 0..=63, that no other living node has; renewing keeps it. Atomic. `Full` when every slot is taken.
    async fn announce(&self, node: &NodeInfo, ttl: Duration) -> Result<Vec<Lease>>;

    /// Ends the lease of a node at once; without one it is no error.
    async fn withdraw(&self, node: NodeId) -> Result<()>;

    /// All living nodes, in order of id.
    async fn nodes(&self) -> Result<Vec<Lease>>;
}

/// One run of a node: random at every start, so that a node that comes back is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u64);

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    pub id: NodeId,
    /// Where other cores reach it, `host:port`; at most 255 bytes.
    pub address: String,
    /// Whether it wants to write logs. A node that drains does not, while it still lives.
    pub writes: bool,
}

/// A living node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub node: NodeInfo,
    /// Different for all living nodes: the worker number in message ids.
    pub slot: u8,
}
