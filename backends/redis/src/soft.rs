//! Soft state on Redis.

use crate::{
    config::{DEADLINE, RedisConfig},
    error::{OpenError, failed, too_slow},
};
use async_trait::async_trait;
use bytes::Bytes;
use meridian_ports::{Error, ErrorKind, Result, SoftState};
use redis::{
    RedisResult, Script,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::time::timeout;

const NAME_LIMIT: usize = 512;
const VALUE_LIMIT: usize = 64 * 1024;
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// A window begins with its counter. The sum is read as a text: a script's own numbers have 53 bits.
const ADD: &str = r"
redis.call('INCRBY', KEYS[1], ARGV[1])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('GET', KEYS[1])";

/// `KEYS`: the hash of values, the sorted set of ends. `ARGV`: member, value, time to live. Both go with the last member.
const JOIN: &str = r"
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1])
local dead = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 1000)
if #dead > 0 then
  redis.call('HDEL', KEYS[1], unpack(dead))
  redis.call('ZREM', KEYS[2], unpack(dead))
end
local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[1], last[2])
redis.call('PEXPIREAT', KEYS[2], last[2])";

const LEAVE: &str = r"
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])";

/// Member, value, member, value…
const MEMBERS: &str = r"
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local answer = {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. now, '+inf')) do
  local value = redis.call('HGET', KEYS[1], member)
  if value then
    answer[#answer + 1] = member
    answer[#answer + 1] = value
  end
end
return answer";

struct Scripts {
    add: Script,
    join: Script,
    leave: Script,
    members: Script,
}

/// Soft state on one Redis server.
#[derive(Clone)]
pub struct RedisSoftState {
    connection: ConnectionManager,
    prefix: Arc<str>,
    scripts: Arc<Scripts>,
    version: Arc<OnceLock<String>>,
}

impl fmt::Debug for RedisSoftState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSoftState").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl RedisSoftState {
    /// Connects in the background; a server that is away is no error.
    pub async fn open(config: RedisConfig) -> std::result::Result<Self, OpenError> {
        let settings = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(DEADLINE))
            .set_response_timeout(Some(DEADLINE))
            .set_min_delay(Duration::from_millis(20))
            .set_max_delay(Duration::from_millis(500));
        let scripts = Scripts {
            add: Script::new(ADD),
            join: Script::new(JOIN),
            leave: Script::new(LEAVE),
            members: Script::new(MEMBERS),
        };
        let soft = Self {
            connection: ConnectionManager::new_lazy_with_config(config.client, settings)?,
            prefix: config.prefix.into(),
            scripts: Arc::new(scripts),
            version: Arc::default(),
        };
        if let Ok(info) = soft
            .in_time("info", redis::cmd("INFO").arg("server").query_async::<String>(&mut soft.connection()))
            .await
            && let Some(version) = info.lines().find_map(|line| line.strip_prefix("redis_version:"))
        {
            let _ = soft.version.set(version.trim().to_owned());
        }
        Ok(soft)
    }

    fn connection(&self) -> ConnectionManager {
        self.connection.clone()
    }

    async fn in_time<T>(
        &self,
        verb: &'static str,
        command: impl Future<Output = RedisResult<T>>,
    ) -> Result<T> {
        match timeout(DEADLINE, command).await {
            Ok(done) => done.map_err(|error| failed(verb, error)),
            Err(_) => Err(too_slow(verb)),
        }
    }

    fn value_key(&self, key: &str) -> String {
        format!("{}v/{key}", self.prefix)
    }

    /// The two keys of a set.
    fn set_keys(&self, set: &str) -> (String, String) {
        (format!("{}s/{set}", self.prefix), format!("{}e/{set}", self.prefix))
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

/// In milliseconds, never shorter than asked for.
fn millis(verb: &'static str, ttl: Duration) -> Result<u64> {
    if ttl < Duration::from_millis(1) || ttl > LONGEST {
        return Err(invalid(verb, "a time to live is 1 ms to 24 h"));
    }
    Ok(u64::try_from(ttl.as_micros().div_ceil(1000)).unwrap_or(u64::MAX))
}

#[async_trait]
impl SoftState for RedisSoftState {
    fn describe(&self) -> String {
        format!("redis {}", self.version.get().map_or("(away)", String::as_str))
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<()> {
        check_name("set", key)?;
        check_value("set", &value)?;
        let ttl = millis("set", ttl)?;
        let mut command = redis::cmd("SET");
        command.arg(self.value_key(key)).arg(&value[..]).arg("PX").arg(ttl);
        self.in_time("set", command.query_async(&mut self.connection())).await
    }

    async fn set_if_absent(&self, key: &str, value: Bytes, ttl: Duration) -> Result<bool> {
        check_name("set_if_absent", key)?;
        check_value("set_if_absent", &value)?;
        let ttl = millis("set_if_absent", ttl)?;
        let mut command = redis::cmd("SET");
        command.arg(self.value_key(key)).arg(&value[..]).arg("PX").arg(ttl).arg("NX");
        let written: Option<String> =
            self.in_time("set_if_absent", command.query_async(&mut self.connection())).await?;
        Ok(written.is_some())
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        check_name("get", key)?;
        let mut command = redis::cmd("GET");
        command.arg(self.value_key(key));
        let value: Option<Vec<u8>> = self.in_time("get", command.query_async(&mut self.connection())).await?;
        Ok(value.map(Bytes::from))
    }

    async fn remove(&self, key: &str) -> Result<()> {
        check_name("remove", key)?;
        let mut command = redis::cmd("DEL");
        command.arg(self.value_key(key));
        self.in_time("remove", command.query_async(&mut self.connection())).await
    }

    async fn add(&self, counter: &str, by: i64, ttl: Duration) -> Result<i64> {
        check_name("add", counter)?;
        let ttl = millis("add", ttl)?;
        let key = format!("{}c/{counter}", self.prefix);
        let mut connection = self.connection();
        let mut script = self.scripts.add.key(key);
        self.in_time("add", script.arg(by).arg(ttl).invoke_async(&mut connection)).await
    }

    async fn join(&self, set: &str, member: &str, value: Bytes, ttl: Duration) -> Result<()> {
        check_name("join", set)?;
        check_name("join", member)?;
        check_value("join", &value)?;
        let ttl = millis("join", ttl)?;
        let (values, ends) = self.set_keys(set);
        let mut connection = self.connection();
        let mut script = self.scripts.join.key(values);
        script.key(ends).arg(member).arg(&value[..]).arg(ttl);
        self.in_time("join", script.invoke_async(&mut connection)).await
    }

    async fn leave(&self, set: &str, member: &str) -> Result<()> {
        check_name("leave", set)?;
        check_name("leave", member)?;
        let (values, ends) = self.set_keys(set);
        let mut connection = self.connection();
        let mut script = self.scripts.leave.key(values);
        script.key(ends).arg(member);
        self.in_time("leave", script.invoke_async(&mut connection)).await
    }

    async fn members(&self, set: &str) -> Result<Vec<(String, Bytes)>> {
        check_name("members", set)?;
        let (values, ends) = self.set_keys(set);
        let mut connection = self.connection();
        let mut script = self.scripts.members.key(values);
        script.key(ends);
        let found: Vec<(String, Vec<u8>)> =
            self.in_time("members", script.invoke_async(&mut connection)).await?;
        let mut members: Vec<_> = found.into_iter().map(|(name, value)| (name, Bytes::from(value))).collect();
        members.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(members)
    }
}
