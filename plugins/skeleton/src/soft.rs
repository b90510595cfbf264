//! `SoftState` in three maps.

use crate::{SkeletonConfig, error};
use meridian_sdk::{Bytes, Result, async_trait, ports::SoftState};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Soft state in process memory. What has expired is dropped when its shape is next written to.
#[derive(Debug, Default)]
pub struct SkeletonSoftState {
    config: SkeletonConfig,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    values: HashMap<String, Expiring<Bytes>>,
    counters: HashMap<String, Expiring<i64>>,
    sets: HashMap<String, BTreeMap<String, Expiring<Bytes>>>,
}

#[derive(Debug)]
struct Expiring<T> {
    value: T,
    until: Instant,
}

impl<T> Expiring<T> {
    fn new(value: T, ttl: Duration) -> Self {
        Self { value, until: Instant::now() + ttl }
    }

    fn lives(&self) -> bool {
        Instant::now() < self.until
    }
}

impl SkeletonSoftState {
    #[must_use]
    pub fn new(config: SkeletonConfig) -> Self {
        Self { config, held: Mutex::default() }
    }

    /// The maps, without what has expired. A sweep at every write is linear: a real engine expires by itself.
    fn swept(&self) -> MutexGuard<'_, Held> {
        let mut held = self.locked();
        held.values.retain(|_, value| value.lives());
        held.counters.retain(|_, counter| counter.lives());
        held.sets.retain(|_, members| {
            members.retain(|_, member| member.lives());
            !members.is_empty()
        });
        held
    }

    fn locked(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_room(&self, verb: &'static str, held: &Held, more: usize) -> Result<()> {
        let members = held.sets.values().flat_map(BTreeMap::values);
        let used: usize = held.values.values().chain(members).map(|held| held.value.len()).sum();
        if (used + more) as u64 > self.config.capacity {
            return Err(error::full(verb, self.config.capacity));
        }
        Ok(())
    }
}

#[async_trait]
impl SoftState for SkeletonSoftState {
    fn describe(&self) -> String {
        concat!("skeleton ", env!("CARGO_PKG_VERSION")).to_owned()
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<()> {
        check("set", key, Some(&value), Some(ttl))?;
        let mut held = self.swept();
        self.check_room("set", &held, value.len())?;
        held.values.insert(key.to_owned(), Expiring::new(value, ttl));
        Ok(())
    }

    async fn set_if_absent(&self, key: &str, value: Bytes, ttl: Duration) -> Result<bool> {
        check("set_if_absent", key, Some(&value), Some(ttl))?;
        let mut held = self.swept();
        if held.values.contains_key(key) {
            return Ok(false);
        }
        self.check_room("set_if_absent", &held, value.len())?;
        held.values.insert(key.to_owned(), Expiring::new(value, ttl));
        Ok(true)
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        check("get", key, None, None)?;
        let held = self.locked();
        Ok(held.values.get(key).filter(|value| value.lives()).map(|value| value.value.clone()))
    }

    async fn remove(&self, key: &str) -> Result<()> {
        check("remove", key, None, None)?;
        self.locked().values.remove(key);
        Ok(())
    }

    async fn add(&self, counter: &str, by: i64, ttl: Duration) -> Result<i64> {
        check("add", counter, None, Some(ttl))?;
        let mut held = self.swept();
        let before = held.counters.get(counter).map_or(0, |counter| counter.value);
        let sum =
            before.checked_add(by).ok_or_else(|| error::invalid("add", "the sum does not fit 64 bits"))?;
        held.counters.entry(counter.to_owned()).or_insert_with(|| Expiring::new(0, ttl)).value = sum;
        Ok(sum)
    }

    async fn join(&self, set: &str, member: &str, value: Bytes, ttl: Duration) -> Result<()> {
        check("join", set, Some(&value), Some(ttl))?;
        error::check_name("join", member)?;
        let mut held = self.swept();
        self.check_room("join", &held, value.len())?;
        held.sets.entry(set.to_owned()).or_default().insert(member.to_owned(), Expiring::new(value, ttl));
        Ok(())
    }

    async fn leave(&self, set: &str, member: &str) -> Result<()> {
        check("leave", set, None, None)?;
        error::check_name("leave", member)?;
        if let Some(members) = self.locked().sets.get_mut(set) {
            members.remove(member);
        }
        Ok(())
    }

    async fn members(&self, set: &str) -> Result<Vec<(String, Bytes)>> {
        check("members", set, None, None)?;
        let held = self.locked();
        let members = held.sets.get(set).into_iter().flatten().filter(|(_, member)| member.lives());
        Ok(members.map(|(name, member)| (name.clone(), member.value.clone())).collect())
    }
}

fn check(verb: &'static str, key: &str, value: Option<&Bytes>, ttl: Option<Duration>) -> Result<()> {
    error::check_name(verb, key)?;
    value.map_or(Ok(()), |value| error::check_value(verb, value.len()))?;
    ttl.map_or(Ok(()), |ttl| error::check_ttl(verb, ttl))
}
