//! Soft state in this process.

use async_trait::async_trait;
use bytes::Bytes;
use meridian_ports::{Error, ErrorKind, Result, SoftState};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

const NAME_LIMIT: usize = 512;
const VALUE_LIMIT: usize = 64 * 1024;
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Writes between two walks over everything, which drop what has expired.
const SWEEP_EVERY: usize = 4096;

/// Soft state for the cores of one process.
#[derive(Debug, Default)]
pub struct MemorySoftState {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    values: HashMap<String, (Bytes, Instant)>,
    counters: HashMap<String, (i64, Instant)>,
    sets: HashMap<String, BTreeMap<String, (Bytes, Instant)>>,
    writes: usize,
}

impl MemorySoftState {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.writes += 1;
        if state.writes.is_multiple_of(SWEEP_EVERY) {
            let now = Instant::now();
            state.values.retain(|_, (_, ends)| *ends > now);
            state.counters.retain(|_, (_, ends)| *ends > now);
            state.sets.retain(|_, members| {
                members.retain(|_, (_, ends)| *ends > now);
                !members.is_empty()
            });
        }
        state
    }
}

fn invalid(verb: &'static str, what: &str) -> Error {
    Error::new(ErrorKind::Invalid, verb, what)
}

fn check_name(verb: &'static str, name: &str) -> Result<()> {
    if name.is_empty() || name.len() > NAME_LIMIT {
        return Err(invalid(verb, "a key or member is 1 to 512 bytes long"));
    }
    Ok(())
}

fn check_value(verb: &'static str, value: &Bytes) -> Result<()> {
    if value.len() > VALUE_LIMIT { Err(invalid(verb, "a value is at most 64 KiB long")) } else { Ok(()) }
}

fn end_of(verb: &'static str, ttl: Duration) -> Result<Instant> {
    if ttl < Duration::from_millis(1) || ttl > LONGEST {
        return Err(invalid(verb, "a time to live is 1 ms to 24 h"));
    }
    Ok(Instant::now() + ttl)
}

fn alive<T>(entry: Option<&(T, Instant)>) -> Option<&T> {
    entry.filter(|(_, ends)| *ends > Instant::now()).map(|(value, _)| value)
}

#[async_trait]
impl SoftState for MemorySoftState {
    fn describe(&self) -> String {
        "memory".into()
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<()> {
        check_name("set", key)?;
        check_value("set", &value)?;
        let ends = end_of("set", ttl)?;
        self.writing().values.insert(key.to_owned(), (value, ends));
        Ok(())
    }

    async fn set_if_absent(&self, key: &str, value: Bytes, ttl: Duration) -> Result<bool> {
        check_name("set_if_absent", key)?;
        check_value("set_if_absent", &value)?;
        let ends = end_of("set_if_absent", ttl)?;
        let mut state = self.writing();
        if alive(state.values.get(key)).is_some() {
            return Ok(false);
        }
        state.values.insert(key.to_owned(), (value, ends));
        Ok(true)
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        check_name("get", key)?;
        Ok(alive(self.state().values.get(key)).cloned())
    }

    async fn remove(&self, key: &str) -> Result<()> {
        check_name("remove", key)?;
        self.writing().values.remove(key);
        Ok(())
    }

    async fn add(&self, counter: &str, by: i64, ttl: Duration) -> Result<i64> {
        check_name("add", counter)?;
        let ends = end_of("add", ttl)?;
        let mut state = self.writing();
        let (old, ends) = match state.counters.get(counter) {
            Some((old, window_ends)) if *window_ends > Instant::now() => (*old, *window_ends),
            _ => (0, ends),
        };
        let sum = old.checked_add(by).ok_or_else(|| invalid("add", "the sum does not fit"))?;
        state.counters.insert(counter.to_owned(), (sum, ends));
        Ok(sum)
    }

    async fn join(&self, set: &str, member: &str, value: Bytes, ttl: Duration) -> Result<()> {
        check_name("join", set)?;
        check_name("join", member)?;
        check_value("join", &value)?;
        let ends = end_of("join", ttl)?;
        self.writing().sets.entry(set.to_owned()).or_default().insert(member.to_owned(), (value, ends));
        Ok(())
    }

    async fn leave(&self, set: &str, member: &str) -> Result<()> {
        check_name("leave", set)?;
        check_name("leave", member)?;
        let mut state = self.writing();
        if let Some(members) = state.sets.get_mut(set) {
            members.remove(member);
            if members.is_empty() {
                state.sets.remove(set);
            }
        }
        Ok(())
    }

    async fn members(&self, set: &str) -> Result<Vec<(String, Bytes)>> {
        check_name("members", set)?;
        let state = self.state();
        let Some(members) = state.sets.get(set) else { return Ok(Vec::new()) };
        let living =
            members.iter().filter_map(|(name, entry)| Some((name.clone(), alive(Some(entry))?.clone())));
        Ok(living.collect())
    }
}
