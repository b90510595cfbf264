//! Soft state: one command or script per verb.

use crate::{
    config::RedisConfig,
    error::{invalid, unexpected},
    link::Link,
};
use async_trait::async_trait;
use bytes::Bytes;
use meridian_ports::{Result, SoftState};
use redis::{Cmd, Value, cmd};
use std::time::Duration;

const NAME_LIMIT: usize = 512;
const VALUE_LIMIT: usize = 64 * 1024;
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Gives the sum as text (a number of Lua loses bits), nil when it does not fit.
const ADD: &str = "
local made = redis.call('EXISTS', KEYS[1]) == 0
local sum = redis.pcall('INCRBY', KEYS[1], ARGV[1])
if type(sum) == 'table' and sum.err then
  if string.find(sum.err, 'overflow', 1, true) then return false end
  return sum
end
if made then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('GET', KEYS[1])";

/// The keys outlive their last member by a little, and each join drops some members that have expired: a set that
/// nobody reads stays small.
const JOIN: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now), 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[2], gone)
  redis.call('HDEL', KEYS[1], gone)
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], string.format('%.0f', now + ARGV[3] * 1000), ARGV[1])
local keep = ARGV[3] + 1000
for _, key in ipairs(KEYS) do
  if redis.call('PTTL', key) < keep then redis.call('PEXPIRE', key, string.format('%.0f', keep)) end
end
return 1";

const LEAVE: &str = "
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('HDEL', KEYS[1], ARGV[1])";

/// Gives names and values in turn. In pieces: Lua's stack is bounded.
const MEMBERS: &str = "
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000000 + time[2])
local names = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. now, '+inf')
local found = {}
for first = 1, #names, 1000 do
  local last = math.min(first + 999, #names)
  local values = redis.call('HMGET', KEYS[1], unpack(names, first, last))
  for i = 1, #values do
    if values[i] then
      found[#found + 1] = names[first + i - 1]
      found[#found + 1] = values[i]
    end
  end
end
return found";

/// Soft state in Redis.
#[derive(Debug)]
pub struct RedisSoftState {
    link: Link,
    prefix: String,
}

impl RedisSoftState {
    /// Fails with `Invalid` when the configuration is wrong, never because Redis is away.
    pub async fn open(config: RedisConfig) -> Result<Self> {
        let place = config.place()?;
        Ok(Self { link: Link::open(place).await, prefix: config.prefix })
    }

    fn value_key(&self, key: &str) -> String {
        format!("{}v:{key}", self.prefix)
    }

    /// The keys of a set's values and ends, on one shard of a cluster by their tag.
    fn set_keys(&self, set: &str) -> (String, String) {
        // A brace within the tag would end it early.
        let tag = set.replace('%', "%25").replace('{', "%7B").replace('}', "%7D");
        (format!("{}h:{{{tag}}}", self.prefix), format!("{}e:{{{tag}}}", self.prefix))
    }

    fn set_script(&self, script: &str, set: &str) -> Cmd {
        let (values, ends) = self.set_keys(set);
        let mut command = cmd("EVAL");
        command.arg(script).arg(2).arg(values).arg(ends);
        command
    }
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

/// Whole milliseconds, never shorter.
fn millis(verb: &'static str, ttl: Duration) -> Result<u64> {
    if ttl < Duration::from_millis(1) || ttl > LONGEST {
        return Err(invalid(verb, "a time to live is 1 ms to 24 h"));
    }
    Ok(ttl.as_nanos().div_ceil(1_000_000) as u64)
}

fn bytes(verb: &'static str, value: Value) -> Result<Bytes> {
    match value {
        Value::BulkString(bytes) => Ok(bytes.into()),
        _ => Err(unexpected(verb)),
    }
}

#[async_trait]
impl SoftState for RedisSoftState {
    fn describe(&self) -> String {
        self.link.describe()
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<()> {
        check_name("set", key)?;
        check_value("set", &value)?;
        let ttl = millis("set", ttl)?;
        let mut command = cmd("SET");
        command.arg(self.value_key(key)).arg(&value[..]).arg("PX").arg(ttl);
        self.link.run("set", &command).await.map(drop)
    }

    async fn set_if_absent(&self, key: &str, value: Bytes, ttl: Duration) -> Result<bool> {
        check_name("set_if_absent", key)?;
        check_value("set_if_absent", &value)?;
        let ttl = millis("set_if_absent", ttl)?;
        let mut command = cmd("SET");
        command.arg(self.value_key(key)).arg(&value[..]).arg("PX").arg(ttl).arg("NX");
        match self.link.run("set_if_absent", &command).await? {
            Value::Okay => Ok(true),
            Value::Nil => Ok(false),
            _ => Err(unexpected("set_if_absent")),
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        check_name("get", key)?;
        match self.link.run("get", cmd("GET").arg(self.value_key(key))).await? {
            Value::Nil => Ok(None),
            value => bytes("get", value).map(Some),
        }
    }

    async fn remove(&self, key: &str) -> Result<()> {
        check_name("remove", key)?;
        self.link.run("remove", cmd("DEL").arg(self.value_key(key))).await.map(drop)
    }

    async fn add(&self, counter: &str, by: i64, ttl: Duration) -> Result<i64> {
        check_name("add", counter)?;
        let ttl = millis("add", ttl)?;
        let key = format!("{}c:{counter}", self.prefix);
        let mut command = cmd("EVAL");
        command.arg(ADD).arg(1).arg(key).arg(by).arg(ttl);
        match self.link.run("add", &command).await? {
            Value::Nil => Err(invalid("add", "the sum does not fit")),
            value => {
                let text = bytes("add", value)?;
                let sum = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
                sum.ok_or_else(|| unexpected("add"))
            }
        }
    }

    async fn join(&self, set: &str, member: &str, value: Bytes, ttl: Duration) -> Result<()> {
        check_name("join", set)?;
        check_name("join", member)?;
        check_value("join", &value)?;
        let ttl = millis("join", ttl)?;
        let mut command = self.set_script(JOIN, set);
        command.arg(member).arg(&value[..]).arg(ttl);
        self.link.run("join", &command).await.map(drop)
    }

    async fn leave(&self, set: &str, member: &str) -> Result<()> {
        check_name("leave", set)?;
        check_name("leave", member)?;
        let mut command = self.set_script(LEAVE, set);
        command.arg(member);
        self.link.run("leave", &command).await.map(drop)
    }

    async fn members(&self, set: &str) -> Result<Vec<(String, Bytes)>> {
        check_name("members", set)?;
        let Value::Array(found) = self.link.run("members", &self.set_script(MEMBERS, set)).await? else {
            return Err(unexpected("members"));
        };
        let mut members = Vec::with_capacity(found.len() / 2);
        let mut found = found.into_iter();
        while let (Some(name), Some(value)) = (found.next(), found.next()) {
            let name =
                String::from_utf8(bytes("members", name)?.into()).map_err(|_| unexpected("members"))?;
            members.push((name, bytes("members", value)?));
        }
        members.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Ok(members)
    }
}
