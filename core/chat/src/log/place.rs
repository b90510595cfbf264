//! Where things live: which log holds a name.

use meridian_types::{ConversationKey, LogClass, LogId, MucId, RegionId, TenantId};
use sha2::{Digest, Sha256};

/// Owned logs of a tenant in its home region. Stored data depends on it: changing it means moving data.
pub(crate) const LOGS_PER_TENANT: u16 = 16;

/// Finds logs. One tenant has one home region for now: the region of this node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    pub(crate) region: RegionId,
}

impl Placement {
    /// The log of the apps themselves.
    pub(crate) fn system(self) -> LogId {
        LogId::new(TenantId(0), LogClass::Owned, self.region, 0)
    }

    /// The home log of a name inside a tenant.
    pub(crate) fn home(self, tenant: TenantId, name: &str) -> LogId {
        let digest = Sha256::digest(name.as_bytes());
        let index = u16::from_be_bytes([digest[0], digest[1]]) % LOGS_PER_TENANT;
        LogId::new(tenant, LogClass::Owned, self.region, index)
    }

    /// A conversation of two lives in the home log of the lower-sorted one, a group, thread or room where its id says.
    pub(crate) fn conversation(self, tenant: TenantId, conversation: &ConversationKey) -> LogId {
        match (conversation.people(), conversation.muc().and_then(MucId::place)) {
            (Some((low, _)), _) => self.home(tenant, low.as_str()),
            (None, Some((_, index))) => self.owned(tenant, index),
            (None, None) => self.home(tenant, conversation.as_str()),
        }
    }

    /// Some owned log, for what may live in any.
    pub(crate) fn any_owned(self, tenant: TenantId) -> LogId {
        self.owned(tenant, rand::random())
    }

    /// The owned log with this index.
    pub(crate) fn owned(self, tenant: TenantId, index: u16) -> LogId {
        LogId::new(tenant, LogClass::Owned, self.region, index % LOGS_PER_TENANT)
    }

    /// Every owned log of a tenant.
    pub(crate) fn all_owned(self, tenant: TenantId) -> Vec<LogId> {
        (0..LOGS_PER_TENANT).map(|index| self.owned(tenant, index)).collect()
    }

    /// The tenant's log of commutative state in this region.
    pub(crate) fn regional(self, tenant: TenantId) -> LogId {
        LogId::new(tenant, LogClass::Regional, self.region, 0)
    }
}
