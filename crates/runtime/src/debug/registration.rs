//! What a plugin says between its handshake and the end of its registration, message by message (plugin-protocol 2.2).
//!
//! Pure, and bounded in memory whatever is sent.

use std::borrow::Cow;
use std::collections::BTreeMap;

use plugin_manifest::Declaration;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_manifest::registration::{ProviderKind, Registration, RegistrationError};
use plugin_package::remap_icons;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::assets::Assets;
use super::refusal::Refusal;
use super::refusal_log::describe;

/// Bytes of all declarations together.
pub(super) const MAX_DECLARATION_BYTES: usize = 16 * 1024 * 1024;

/// One message before the plugin is registered.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
}

fn message(line: &[u8]) -> Result<Message<'_>, Refusal> {
    let message: Message<'_> = serde_json::from_slice(line).map_err(|_| invalid(line))?;
    if message.kind.is_empty() { Err(invalid(line)) } else { Ok(message) }
}

fn invalid(line: &[u8]) -> Refusal {
    Refusal::Message { got: describe(line) }
}

/// The key in the first line of a connection, which must be a handshake.
///
/// ```
/// use plugin_runtime::debug::registration::handshake;
///
/// let key = handshake(br#"{"type": "handshake", "data": {"key": " 0b7e "}}"#)?;
/// assert_eq!(key, "0b7e");
/// let refusal = handshake(b"GET / HTTP/1.1").unwrap_err();
/// assert_eq!(refusal.to_string(), "handshake failed, invalid handshake message");
/// # Ok::<(), plugin_runtime::debug::Refusal>(())
/// ```
pub fn handshake(line: &[u8]) -> Result<String, Refusal> {
    #[derive(Deserialize)]
    struct Handshake {
        key: String,
    }
    let message = message(line)?;
    if message.kind != "handshake" {
        return Err(invalid(line));
    }
    let Handshake { key } = serde_json::from_str(message.data.get()).map_err(|_| invalid(line))?;
    // pasted keys often have blanks around them
    let key = key.trim();
    if key.is_empty() { Err(invalid(line)) } else { Ok(key.to_owned()) }
}

/// A registration on its way.
#[derive(Debug, Default)]
pub struct Registering {
    registration: Registration,
    declared_bytes: usize,
    assets: Assets,
}

/// Whether a registration has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It goes on.
    More,
    /// That was its last message: [`Registering::finish`] gives the plugin.
    Last,
}

impl Registering {
    /// Takes one line.
    pub fn line(&mut self, line: &[u8]) -> Result<Step, Refusal> {
        let Message { kind, data } = message(line)?;
        match &*kind {
            "handshake" => return Err(Refusal::Repeated),
            "end" => return Ok(Step::Last),
            "asset_chunk" => self.assets.chunk(data.get())?,
            "manifest_declaration" => {
                self.count(data)?;
                self.registration.manifest(data)?;
            }
            kind => {
                if let Some(kind) = ProviderKind::from_message(kind) {
                    self.count(data)?;
                    self.registration.providers(kind, data)?;
                }
            }
        }
        Ok(Step::More)
    }

    /// Bytes of the declarations as they were sent.
    pub fn declared_bytes(&self) -> usize {
        self.declared_bytes
    }

    /// What it holds in memory, roughly.
    pub fn bytes(&self) -> usize {
        self.declared_bytes + self.assets.bytes()
    }

    /// The plugin of a tenant that was registered (plugin-protocol 2.2, steps 2 to 5 of `end`).
    pub fn finish(self, tenant_id: Uuid) -> Result<Plugin, Refusal> {
        let mut declaration = self.registration.finish()?;
        let media = remap_icons(&mut declaration, &self.assets)?;
        declaration.validate().map_err(RegistrationError::from)?;
        let checksum = checksum(&declaration, tenant_id)?;
        let identifier =
            declaration.unique_identifier(&checksum).map_err(|error| Refusal::Install(error.to_string()))?;
        Ok(Plugin { identity: Identity { tenant_id, identifier }, declaration, media })
    }

    fn count(&mut self, data: &RawValue) -> Result<(), Refusal> {
        self.declared_bytes += data.get().len();
        if self.declared_bytes > MAX_DECLARATION_BYTES { Err(Refusal::Declarations) } else { Ok(()) }
    }
}

/// Hexadecimal SHA-256 of the declaration as JSON followed by the tenant's id: a plugin under development is its tenant's
/// own (cluster-serverless-observability 3.3).
fn checksum(declaration: &Declaration, tenant_id: Uuid) -> Result<String, Refusal> {
    let json = serde_json::to_vec(declaration).map_err(|error| Refusal::Install(error.to_string()))?;
    let hash = Sha256::new().chain_update(json).chain_update(tenant_id.to_string()).finalize();
    Ok(hex::encode(hash))
}

/// Whose plugin it is, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub tenant_id: Uuid,
    pub identifier: UniqueIdentifier,
}

/// A plugin under development, as it has registered.
#[derive(Debug)]
pub struct Plugin {
    pub identity: Identity,
    /// Its icons are named by the ids of the media.
    pub declaration: Declaration,
    /// Icons by id.
    pub media: BTreeMap<String, Vec<u8>>,
}
