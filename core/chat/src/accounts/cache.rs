//! Accounts in memory. A read that began before a write ended is never kept, so a revoked token cannot come back.

use crate::accounts::Account;
use lru::LruCache;
use meridian_types::{TenantId, UserName};
use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

/// About 400 bytes each.
const CACHED: NonZeroUsize = NonZeroUsize::new(100_000).expect("not zero");

#[derive(Debug)]
pub(crate) struct AccountCache {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    accounts: LruCache<(TenantId, UserName), Arc<Account>>,
    writes: u64,
}

/// Shows that no write has come since it was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadMark(u64);

impl AccountCache {
    pub(crate) fn new() -> Self {
        Self { inner: Mutex::new(Inner { accounts: LruCache::new(CACHED), writes: 0 }) }
    }

    pub(crate) fn get(&self, tenant: TenantId, name: &UserName) -> Result<Arc<Account>, ReadMark> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let found = inner.accounts.get(&(tenant, name.clone())).cloned();
        found.ok_or(ReadMark(inner.writes))
    }

    /// Keeps what was read from the store, unless something was written meanwhile.
    pub(crate) fn keep(&self, tenant: TenantId, account: &Arc<Account>, mark: ReadMark) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.writes == mark.0 {
            inner.accounts.put((tenant, account.username.clone()), account.clone());
        }
    }

    /// Others may have written anything.
    pub(crate) fn forget_all(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.writes += 1;
        inner.accounts.clear();
    }

    /// Called before and after every write of an account.
    pub(crate) fn forget(&self, tenant: TenantId, name: &UserName) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.writes += 1;
        inner.accounts.pop(&(tenant, name.clone()));
    }
}
