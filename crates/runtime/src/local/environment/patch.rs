//! Mends plugin SDKs of versions with known faults (lifecycle-and-storage 1.4.7, plugin-protocol 6.5).
//!
//! Code is added to the end of the faulty module, so that everything else in it stays as that version has it. The version
//! is the installed one, and a file is touched only if it is still as the SDK was published. Files are replaced, never
//! written to: an installed file may be a hard link into uv's cache.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::installed::{Distribution, sdk, site_packages};
use super::store::write_atomically;

/// Changes whenever the patches do, so that environments with other ones are not taken for equal.
pub(crate) const REVISION: u32 = 1;

/// A fault, the version in which it is gone, and what is added to the file below the package that has it.
struct Patch {
    gone_in: Version,
    file: &'static str,
    addition: &'static str,
}

const PATCHES: [Patch; 3] = [
    Patch {
        gone_in: Version { release: [0, 0, 1], beta: 70 },
        file: "dify_plugin/interfaces/model/ai_model.py",
        addition: include_str!("patch/ai_model.py"),
    },
    Patch {
        gone_in: Version { release: [0, 1, 1], beta: u32::MAX },
        file: "dify_plugin/entities/model/llm.py",
        addition: include_str!("patch/llm.py"),
    },
    Patch {
        gone_in: Version { release: [0, 1, 1], beta: u32::MAX },
        file: "dify_plugin/core/server/stdio/request_reader.py",
        addition: include_str!("patch/request_reader.py"),
    },
];

/// The SDK's versions: three numbers, and the number of the beta, which is the highest for the release itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    release: [u32; 3],
    beta: u32,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let (numbers, beta) = match text.split_once('b') {
            Some((numbers, beta)) => (numbers, beta.parse().ok()?),
            None => (text, u32::MAX),
        };
        let mut release = [0; 3];
        for (index, number) in numbers.split('.').enumerate() {
            *release.get_mut(index)? = number.parse().ok()?;
        }
        Some(Self { release, beta })
    }
}

/// Applies what the environment's SDK needs. Blocks. Trouble is logged and never fatal.
pub(crate) fn apply(environment: &Path) {
    let Some(site_packages) = site_packages(environment) else { return };
    let Some(sdk) = sdk(&site_packages) else { return };
    let Some(version) = Version::parse(&sdk.version) else { return };
    for patch in PATCHES.iter().filter(|patch| version < patch.gone_in) {
        let path = site_packages.join(patch.file);
        match patch_file(&path, patch, &sdk) {
            Ok(true) => tracing::info!(file = patch.file, version = sdk.version, "patched the plugin SDK"),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(file = patch.file, version = sdk.version, %error, "failed to patch the plugin SDK");
            }
        }
    }
}

/// Whether the file was as published, and is patched now.
fn patch_file(path: &Path, patch: &Patch, sdk: &Distribution) -> std::io::Result<bool> {
    let original = std::fs::read(path)?;
    let digest = format!("sha256={}", URL_SAFE_NO_PAD.encode(Sha256::digest(&original)));
    let published = sdk.record.iter().any(|line| {
        line.strip_prefix(patch.file).is_some_and(|rest| rest.split(',').nth(1).is_some_and(|hash| hash == digest))
    });
    if published {
        write_atomically(path, &[&original, patch.addition.as_bytes()].concat())?;
    }
    Ok(published)
}

#[cfg(test)]
mod tests;
