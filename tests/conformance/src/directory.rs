//! Cases over [`Directory`]. Adopt them with [`directory_suite!`](crate::directory_suite).

use crate::Outcome;
use futures_util::future::join_all;
use meridian_ports::{Directory, ErrorKind, NodeId, NodeInfo};
use std::{
    any::Any,
    collections::BTreeSet,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(20);

/// A fresh, empty directory, for one case.
pub struct DirectoryFixture {
    pub directory: Arc<dyn Directory>,
    _guard: Option<Box<dyn Any + Send + Sync>>,
}

impl DirectoryFixture {
    pub fn new(directory: impl Directory) -> Self {
        Self { directory: Arc::new(directory), _guard: None }
    }

    /// Keeps something alive until the case ends.
    #[must_use]
    pub fn with_guard(self, guard: impl Any + Send + Sync) -> Self {
        Self { _guard: Some(Box::new(guard)), ..self }
    }
}

impl fmt::Debug for DirectoryFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectoryFixture").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// One test per case. `$factory` is a future of a fresh [`DirectoryFixture`], evaluated once per case.
#[macro_export]
macro_rules! directory_suite {
    ($factory:expr $(, skip: [$($skip:ident),* $(,)?])?) => {
        $crate::__suite!(
            directory_suite, $factory, [$($($skip),*)?],
            $crate::directory::an_announced_node_is_seen_as_it_says => an_announced_node_is_seen_as_it_says,
            $crate::directory::living_nodes_are_in_order_with_slots_of_their_own
                => living_nodes_are_in_order_with_slots_of_their_own,
            $crate::directory::renewing_keeps_the_slot_and_tells_news => renewing_keeps_the_slot_and_tells_news,
            $crate::directory::a_lease_ends_and_not_too_soon => a_lease_ends_and_not_too_soon,
            $crate::directory::a_withdrawn_node_is_gone_at_once => a_withdrawn_node_is_gone_at_once,
            $crate::directory::racing_nodes_get_different_slots => racing_nodes_get_different_slots,
            $crate::directory::a_full_directory_says_so_and_serves_who_is_in => a_full_directory_says_so_and_serves_who_is_in,
            $crate::directory::an_address_has_limits => an_address_has_limits,
        );
    };
}

fn node(id: u64) -> NodeInfo {
    NodeInfo { id: NodeId(id), address: format!("10.0.0.{id}:7000"), writes: true }
}

pub async fn an_announced_node_is_seen_as_it_says(fixture: DirectoryFixture) -> Outcome {
    let directory = &*fixture.directory;
    assert_eq!(directory.nodes().await.unwrap(), []);
    let reader = NodeInfo { id: NodeId(u64::MAX), address: "host.example:1".into(), writes: false };
    let told = directory.announce(&reader, LONG).await.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].node, reader);
    assert!(told[0].slot < 64);
    assert_eq!(directory.nodes().await.unwrap(), told);
    Outcome::Ran
}

pub async fn living_nodes_are_in_order_with_slots_of_their_own(fixture: DirectoryFixture) -> Outcome {
    let directory = &*fixture.directory;
    // Above 2^63 too: ids are unsigned.
    for id in [5, 1 << 63, 1, u64::MAX, 0] {
        directory.announce(&node(id), LONG).await.unwrap();
    }
    let leases = directory.nodes().await.unwrap();
    let ids: Vec<u64> = leases.iter().map(|lease| lease.node.id.0).collect();
    assert_eq!(ids, [0, 1, 5, 1 << 63, u64::MAX]);
    let slots: BTreeSet<u8> = leases.iter().map(|lease| lease.slot).collect();
    assert_eq!(slots.len(), 5);
    Outcome::Ran
}

pub async fn renewing_keeps_the_slot_and_tells_news(fixture: DirectoryFixture) -> Outcome {
    let directory = &*fixture.directory;
    let before = directory.announce(&node(1), LONG).await.unwrap()[0].slot;
    directory.announce(&node(2), LONG).await.unwrap();
    let changed = NodeInfo { writes: false, address: "elsewhere:2".into(), ..node(1) };
    let told = directory.announce(&changed, LONG).await.unwrap();
    assert_eq!((told.len(), &told[0].node, told[0].slot), (2, &changed, before));
    Outcome::Ran
}

pub async fn a_lease_ends_and_not_too_soon(fixture: DirectoryFixture) -> Outcome {
    let directory = &*fixture.directory;
    directory.announce(&node(1), LONG).await.unwrap();
    let begun = Instant::now();
    directory.announce(&node(2), SHORT).await.unwrap();
    while directory.nodes().await.unwrap().len() == 2 {
        assert!(begun.elapsed() < PATIENCE, "the lease does not end");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(begun.elapsed() >= SHORT, "ended after {:?}", begun.elapsed());
    assert_eq!(directory.announce(&node(1), LONG).await.unwrap().len(), 1);
    Outcome::Ran
}

pub async fn a_withdrawn_node_is_gone_at_once(fixture: DirectoryFixture) -> Outcome {
    let directory = &*fixture.directory;
    for id in [1, 2] {
        directory.announce(&node(id), LONG).await.unwrap();
    }
    directory.withdraw(NodeId(1)).await.unwrap();
    directory.withdraw(NodeId(1)).await.unwrap();
    let left = directory.nodes().await.unwrap();
    assert_eq!(left.iter().map(|lease| lease.node.id.0).collect::<Vec<_>>(), [2]);
    Outcome::Ran
}

pub async fn racing_nodes_get_different_slots(fixture: DirectoryFixture) -> Outcome {
    let racing = (0..32).map(|id| {
        let directory = fixture.directory.clone();
        tokio::spawn(async move { directory.announce(&node(id), LONG).await.unwrap() })
    });
    join_all(racing).await.into_iter().for_each(|told| drop(told.unwrap()));
    let leases = fixture.directory.nodes().await.unwrap();
    let slots: BTreeSet<u8> = leases.iter().map(|lease| lease.slot).collect();
    assert_eq!((leases.len(), slots.len()), (32, 32));
    Outcome::Ran
}

pub async fn a_full_directory_says_so_and_serves_who_is_in(fixture: DirectoryFixture) -> Outcome {
    let directory = &*fixture.directory;
    for id in 0..64 {
        directory.announce(&node(id), LONG).await.unwrap();
    }
    assert_eq!(directory.announce(&node(99), LONG).await.unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(directory.announce(&node(7), LONG).await.unwrap().len(), 64);
    let freed = directory.nodes().await.unwrap()[3].slot;
    directory.withdraw(NodeId(3)).await.unwrap();
    let told = directory.announce(&node(99), LONG).await.unwrap();
    let new = told.iter().find(|lease| lease.node.id.0 == 99).unwrap();
    assert_eq!(new.slot, freed);
    Outcome::Ran
}

pub async fn an_address_has_limits(fixture: DirectoryFixture) -> Outcome {
    let directory = &*fixture.directory;
    for address in [String::new(), "a".repeat(256)] {
        let bad = NodeInfo { address, ..node(1) };
        assert_eq!(directory.announce(&bad, LONG).await.unwrap_err().kind(), ErrorKind::Invalid);
    }
    let longest = NodeInfo { address: "a".repeat(255), ..node(1) };
    directory.announce(&longest, LONG).await.unwrap();
    Outcome::Ran
}
