//! Shared state in Redis.

mod clients;
mod diagnosis;
mod link;
mod listener;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use redis::{Cmd, cmd};
use tokio::sync::Mutex;

use self::link::Link;
use self::listener::Listener;
use super::{Member, RedisConfig, Subscription};
use crate::{Result, SharedState};

const DEFAULT_PREFIX: &str = "plugin_daemon";

/// Sets KEYS[1] to the owner ARGV[1] for ARGV[2] ms unless another owner holds it.
const LOCK: &str = "
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1";

/// Lets KEYS[1] live for ARGV[2] ms if the owner ARGV[1] holds it.
const RENEW: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])";

/// Deletes KEYS[1] if the owner ARGV[1] holds it.
const UNLOCK: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])";

/// Milliseconds by the server's clock, which alone decides what has expired.
macro_rules! with_clock {
    ($script:literal) => {
        concat!(
            "local clock = redis.call('TIME')\n",
            "local now = clock[1] * 1000 + math.floor(clock[2] / 1000)\n",
            // A member's value is `<end in ms>:<value>`.
            "local function lives(value) return tonumber(string.match(value, '^%d+')) > now end\n",
            $script
        )
    };
}

/// Sets member ARGV[1] of KEYS[1] to ARGV[2] for ARGV[3] ms. The set lives as long as its longest-lived member.
const JOIN: &str = with_clock!(
    "
local ttl = tonumber(ARGV[3])
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f:', now + ttl) .. ARGV[2])
if redis.call('PTTL', KEYS[1]) < ttl then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1"
);

/// Removes member ARGV[1] of KEYS[1].
const LEAVE: &str = with_clock!(
    "
local value = redis.call('HGET', KEYS[1], ARGV[1])
if not value then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
return lives(value) and 1 or 0"
);

/// Names and values of the members of KEYS[1]; those that have expired are removed.
const MEMBERS: &str = with_clock!(
    "
local all = redis.call('HGETALL', KEYS[1])
local living = {}
for i = 1, #all, 2 do
  if lives(all[i + 1]) then
    living[#living + 1] = all[i]
    living[#living + 1] = string.sub(all[i + 1], string.find(all[i + 1], ':', 1, true) + 1)
  else
    redis.call('HDEL', KEYS[1], all[i])
  end
end
return living"
);

/// Shared state in a Redis: one server, the master of sentinels, or a cluster.
#[derive(Clone)]
pub struct RedisState {
    prefix: Arc<str>,
    link: Arc<Link>,
    listeners: Arc<Mutex<HashMap<String, Listener>>>,
}

impl RedisState {
    /// Connects. Redis must answer, and let the user write below the prefix.
    pub async fn open(config: &RedisConfig) -> Result<Self> {
        let prefix = match config.prefix.trim() {
            "" => DEFAULT_PREFIX,
            prefix => prefix,
        };
        let state =
            Self { prefix: prefix.into(), link: Arc::new(Link::open(config).await?), listeners: Arc::default() };
        let mut write = state.on("SET", "start");
        write.arg("").arg("PX").arg(1);
        state.link.check(&write).await?;
        Ok(state)
    }

    fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.prefix)
    }

    fn on(&self, command: &str, name: &str) -> Cmd {
        let mut command = cmd(command);
        command.arg(self.key(name));
        command
    }

    fn script(&self, script: &str, name: &str) -> Cmd {
        let mut command = cmd("EVAL");
        command.arg(script).arg(1).arg(self.key(name));
        command
    }
}

impl fmt::Debug for RedisState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisState").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// Whole milliseconds, at least 1, since Redis refuses 0.
fn milliseconds(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).clamp(1, u64::from(u32::MAX))
}

#[async_trait]
impl SharedState for RedisState {
    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let value: Option<Vec<u8>> = self.link.ask(&self.on("GET", key)).await?;
        Ok(value.map(Bytes::from))
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<()> {
        self.link.ask(self.on("SET", key).arg(&value[..]).arg("PX").arg(milliseconds(ttl))).await
    }

    async fn set_if_absent(&self, key: &str, value: Bytes, ttl: Duration) -> Result<bool> {
        let mut command = self.on("SET", key);
        command.arg(&value[..]).arg("NX").arg("PX").arg(milliseconds(ttl));
        let set: Option<String> = self.link.ask(&command).await?;
        Ok(set.is_some())
    }

    async fn touch(&self, key: &str, ttl: Duration) -> Result<bool> {
        self.link.ask(self.on("PEXPIRE", key).arg(milliseconds(ttl))).await
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        self.link.ask(&self.on("DEL", key)).await
    }

    async fn lock(&self, name: &str, owner: &str, ttl: Duration) -> Result<bool> {
        self.link.ask(self.script(LOCK, name).arg(owner).arg(milliseconds(ttl))).await
    }

    async fn renew(&self, name: &str, owner: &str, ttl: Duration) -> Result<bool> {
        self.link.ask(self.script(RENEW, name).arg(owner).arg(milliseconds(ttl))).await
    }

    async fn unlock(&self, name: &str, owner: &str) -> Result<bool> {
        self.link.ask(self.script(UNLOCK, name).arg(owner)).await
    }

    async fn join(&self, set: &str, member: &str, value: Bytes, ttl: Duration) -> Result<()> {
        let mut command = self.script(JOIN, set);
        command.arg(member).arg(&value[..]).arg(milliseconds(ttl));
        self.link.ask::<i64>(&command).await.map(|_| ())
    }

    async fn leave(&self, set: &str, member: &str) -> Result<bool> {
        self.link.ask(self.script(LEAVE, set).arg(member)).await
    }

    async fn members(&self, set: &str) -> Result<Vec<Member>> {
        let members: Vec<(String, Vec<u8>)> = self.link.ask(&self.script(MEMBERS, set)).await?;
        Ok(members.into_iter().map(|(name, value)| Member { name, value: value.into() }).collect())
    }

    async fn publish(&self, topic: &str, message: Bytes) -> Result<()> {
        self.link.ask::<i64>(self.on("PUBLISH", topic).arg(&message[..])).await.map(|_| ())
    }

    async fn subscribe(&self, topic: &str) -> Result<Subscription> {
        let channel = self.key(topic);
        let mut listeners = self.listeners.lock().await;
        if let Some(listener) = listeners.get(&channel) {
            return Ok(listener.subscribe());
        }
        let listener = Listener::start(Arc::clone(&self.link), channel.clone()).await?;
        let subscription = listener.subscribe();
        listeners.insert(channel, listener);
        Ok(subscription)
    }
}
