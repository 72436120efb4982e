//! Keys for plugins under development.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use crate::{Error, ErrorKind, Result, SharedState};

/// More than one try is needed only if the key expires, or is replaced, between two commands.
const TRIES: u32 = 8;

/// The keys with which plugins under development connect: one per tenant, valid for two hours after it was last asked
/// for (cluster-serverless-observability 3.1).
///
/// Names and encoding are the reference's, so that a key stays valid when the other daemon takes over the same Redis.
#[derive(Clone, Debug)]
pub struct DebugKeys {
    state: Arc<dyn SharedState>,
}

impl DebugKeys {
    /// Lifetime of a key after it was last asked for.
    pub const LIFETIME: Duration = Duration::from_hours(2);

    pub fn new(state: Arc<dyn SharedState>) -> Self {
        Self { state }
    }

    /// The tenant's key, a UUID: the existing one, or a new one.
    pub async fn get_or_create(&self, tenant_id: Uuid) -> Result<Uuid> {
        let by_tenant = id_to_key(tenant_id);
        let fresh = Uuid::new_v4();
        // A reader that finds the key through the tenant must be able to resolve it: so its other half comes first.
        self.state.set(&key_to_id(fresh), encode("tenant_id", tenant_id), Self::LIFETIME).await?;
        for _ in 0..TRIES {
            if self.state.set_if_absent(&by_tenant, encode("key", fresh), Self::LIFETIME).await? {
                return Ok(fresh);
            }
            let Some(value) = self.state.get(&by_tenant).await? else { continue };
            let Some(existing) = decode("key", &value) else {
                // No client can connect with a value that cannot be read.
                self.state.delete(&by_tenant).await?;
                continue;
            };
            self.state.set(&key_to_id(existing), encode("tenant_id", tenant_id), Self::LIFETIME).await?;
            if self.state.touch(&by_tenant, Self::LIFETIME).await? {
                self.state.delete(&key_to_id(fresh)).await?;
                return Ok(existing);
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "the debugging key of the tenant kept changing"))
    }

    /// Gives a tenant the key that it had before a restart, for the rest of its lifetime; not if it has one already.
    pub async fn restore(&self, tenant_id: Uuid, key: Uuid, lifetime: Duration) -> Result<()> {
        let lifetime = lifetime.min(Self::LIFETIME);
        if self.state.set_if_absent(&id_to_key(tenant_id), encode("key", key), lifetime).await? {
            self.state.set(&key_to_id(key), encode("tenant_id", tenant_id), lifetime).await?;
        }
        Ok(())
    }

    /// The tenant that a key belongs to, if the key is valid.
    pub async fn resolve(&self, key: &str) -> Result<Option<Uuid>> {
        let Ok(key) = Uuid::try_parse(key) else { return Ok(None) };
        Ok(self.state.get(&key_to_id(key)).await?.and_then(|value| decode("tenant_id", &value)))
    }
}

fn id_to_key(tenant_id: Uuid) -> String {
    format!("{{remote:key:manager}}:id2key:{tenant_id}")
}

fn key_to_id(key: Uuid) -> String {
    format!("{{remote:key:manager}}:key2id:{key}")
}

/// The CBOR map `{field: id}`, its id as text of 36 characters.
fn encode(field: &str, id: Uuid) -> Bytes {
    let mut cbor = head(field);
    cbor.extend_from_slice(id.to_string().as_bytes());
    cbor.into()
}

fn decode(field: &str, value: &[u8]) -> Option<Uuid> {
    let id = value.strip_prefix(head(field).as_slice())?;
    Uuid::try_parse_ascii(id).ok()
}

fn head(field: &str) -> Vec<u8> {
    const MAP_OF_ONE: u8 = 0xa1;
    const TEXT: u8 = 0x60;
    const TEXT_WITH_LENGTH_BYTE: u8 = 0x78;
    const ID_LENGTH: u8 = 36;
    // Field names are shorter than 24 bytes, so their length fits into the type byte.
    let length = u8::try_from(field.len()).unwrap_or(0);
    let mut head = vec![MAP_OF_ONE, TEXT | length];
    head.extend_from_slice(field.as_bytes());
    head.extend_from_slice(&[TEXT_WITH_LENGTH_BYTE, ID_LENGTH]);
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding_is_the_references() {
        let id = Uuid::nil();
        assert_eq!(encode("key", id).as_ref(), [b"\xa1\x63key\x78\x24".as_slice(), id.to_string().as_bytes()].concat());
        assert_eq!(decode("tenant_id", &encode("tenant_id", id)), Some(id));
        assert_eq!(decode("key", &encode("tenant_id", id)), None);
        assert_eq!(decode("key", b""), None);
    }
}
