//! Shared state in the memory of one process.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::shared::{Member, Notice, Subscription};
use crate::{Result, SharedState};

/// The shared state of a single node, in its memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryState {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    keys: Expiring,
    locks: Expiring,
    sets: HashMap<String, Expiring>,
    sweep_sets_at: usize,
    topics: HashMap<String, broadcast::Sender<Notice>>,
}

/// Smaller maps are not swept.
const SMALL: usize = 64;

/// Entries that expire. Expired ones are removed when the map has doubled since the last sweep, so that it has never more
/// than twice as many entries as are alive.
#[derive(Debug, Default)]
struct Expiring {
    entries: HashMap<String, (Bytes, Instant)>,
    sweep_at: usize,
}

impl Expiring {
    fn get(&self, key: &str) -> Option<&Bytes> {
        self.entries.get(key).filter(|(_, end)| *end > Instant::now()).map(|(value, _)| value)
    }

    fn set(&mut self, key: &str, value: Bytes, ttl: Duration) {
        if self.entries.len() >= self.sweep_at.max(SMALL) {
            let now = Instant::now();
            self.entries.retain(|_, (_, end)| *end > now);
            self.sweep_at = self.entries.len() * 2;
        }
        self.entries.insert(key.to_owned(), (value, Instant::now() + ttl));
    }

    fn touch(&mut self, key: &str, ttl: Duration) -> bool {
        let now = Instant::now();
        match self.entries.get_mut(key) {
            Some((_, end)) if *end > now => {
                *end = now + ttl;
                true
            }
            _ => false,
        }
    }

    fn is_expired(&self) -> bool {
        let now = Instant::now();
        self.entries.values().all(|(_, end)| *end <= now)
    }

    fn remove(&mut self, key: &str) -> bool {
        self.entries.remove(key).is_some_and(|(_, end)| end > Instant::now())
    }
}

impl MemoryState {
    pub fn new() -> Self {
        Self::default()
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        let inner = self.inner.lock();
        inner.keys.entries.len() + inner.sets.len()
    }
}

#[async_trait]
impl SharedState for MemoryState {
    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        Ok(self.inner.lock().keys.get(key).cloned())
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<()> {
        self.inner.lock().keys.set(key, value, ttl);
        Ok(())
    }

    async fn set_if_absent(&self, key: &str, value: Bytes, ttl: Duration) -> Result<bool> {
        let keys = &mut self.inner.lock().keys;
        if keys.get(key).is_some() {
            return Ok(false);
        }
        keys.set(key, value, ttl);
        Ok(true)
    }

    async fn touch(&self, key: &str, ttl: Duration) -> Result<bool> {
        Ok(self.inner.lock().keys.touch(key, ttl))
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        Ok(self.inner.lock().keys.remove(key))
    }

    async fn lock(&self, name: &str, owner: &str, ttl: Duration) -> Result<bool> {
        let locks = &mut self.inner.lock().locks;
        if locks.get(name).is_some_and(|holder| holder != owner.as_bytes()) {
            return Ok(false);
        }
        locks.set(name, Bytes::copy_from_slice(owner.as_bytes()), ttl);
        Ok(true)
    }

    async fn renew(&self, name: &str, owner: &str, ttl: Duration) -> Result<bool> {
        let locks = &mut self.inner.lock().locks;
        Ok(locks.get(name).is_some_and(|holder| holder == owner.as_bytes()) && locks.touch(name, ttl))
    }

    async fn unlock(&self, name: &str, owner: &str) -> Result<bool> {
        let locks = &mut self.inner.lock().locks;
        Ok(locks.get(name).is_some_and(|holder| holder == owner.as_bytes()) && locks.remove(name))
    }

    async fn join(&self, set: &str, member: &str, value: Bytes, ttl: Duration) -> Result<()> {
        let mut inner = self.inner.lock();
        if inner.sets.len() >= inner.sweep_sets_at.max(SMALL) {
            inner.sets.retain(|_, members| !members.is_expired());
            inner.sweep_sets_at = inner.sets.len() * 2;
        }
        inner.sets.entry(set.to_owned()).or_default().set(member, value, ttl);
        Ok(())
    }

    async fn leave(&self, set: &str, member: &str) -> Result<bool> {
        let sets = &mut self.inner.lock().sets;
        let Some(members) = sets.get_mut(set) else { return Ok(false) };
        let removed = members.remove(member);
        if members.entries.is_empty() {
            sets.remove(set);
        }
        Ok(removed)
    }

    async fn members(&self, set: &str) -> Result<Vec<Member>> {
        let now = Instant::now();
        let inner = self.inner.lock();
        let Some(members) = inner.sets.get(set) else { return Ok(Vec::new()) };
        let present = members.entries.iter().filter(|(_, (_, end))| *end > now);
        Ok(present.map(|(name, (value, _))| Member { name: name.clone(), value: value.clone() }).collect())
    }

    async fn publish(&self, topic: &str, message: Bytes) -> Result<()> {
        let topics = &mut self.inner.lock().topics;
        if let Some(sender) = topics.get(topic)
            && sender.send(Notice::Message(message)).is_err()
        {
            // The last subscriber has gone.
            topics.remove(topic);
        }
        Ok(())
    }

    async fn subscribe(&self, topic: &str) -> Result<Subscription> {
        let topics = &mut self.inner.lock().topics;
        let sender = topics.entry(topic.to_owned()).or_insert_with(|| broadcast::channel(Subscription::BACKLOG).0);
        Ok(Subscription(sender.subscribe()))
    }
}
