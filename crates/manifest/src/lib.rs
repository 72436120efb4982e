//! Identifiers and declarations of plugins, and the YAML they are written in.
//!
//! Pure: files come through the [`Files`] trait, nothing here does I/O.

#[macro_use]
mod record;

pub mod declaration;
mod decode;
mod dependencies;
pub mod dify;
mod files;
pub mod glob;
mod icons;
pub mod identifier;
pub mod locate;
pub mod registration;
pub mod rules;
pub mod sdk;
pub mod settings;
mod timestamp;
mod upload;
pub mod yaml;

pub use declaration::{Category, Declaration, I18n, InvalidManifest, ProviderConfig};
pub use decode::{DecodeError, Notice, decode, decode_with_notices, nested_manifest};
pub use dependencies::{names_sdk, text};
pub use files::{FileError, Files};
pub use icons::{Icon, RemapError};
pub use identifier::{InvalidIdentifier, PluginId, UniqueIdentifier};
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use upload::{install_refusals, refusals};
