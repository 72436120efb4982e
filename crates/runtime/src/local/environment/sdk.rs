//! Environments that hold the plugin SDK and what it needs, and nothing else: what workers are forked from.
//!
//! An interpreter that others are forked from runs code before any plugin's confinement is put on. That must not be code of
//! a plugin's choice, and in the environment of a plugin any package may have put a file over another one's, or one that
//! every start of the interpreter runs (`.pth`). So the SDK is installed once more: by its name, from where the operator
//! takes packages, in the versions that the plugin's environment has. These are constraints and not requirements, so that
//! nothing comes in but what the SDK itself asks for.
//!
//! ```text
//! <working path>/.environments/.sdk/<id>/requirements.txt   what was asked for if it had to be made, with constraints.txt
//! <working path>/.environments/.sdk/<id>/.venv              a link to the environment of the SDK that goes with <id>
//! ```

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::dependencies::{Dependencies, Form};
use super::error::{Cause, Context as _, EnvironmentError};
use super::installed::{distributions, site_packages, versions};
use super::progress::Silent;
use super::request::Request;
use super::store::{EnvironmentStore, Linked, is_id, write_atomically};
use super::{Environments, blocking};
use crate::local::code::{Code, State};

/// The SDK, as its distribution is called.
const SDK: &str = "dify-plugin";
/// What tools call the work for such an environment; a digest follows.
const PLUGIN: &str = "dify/sdk:0.0.1@";

impl Environments {
    /// The environment of the SDK alone that goes with a shared one, if there is one. Nothing is run.
    pub async fn known_sdk(&self, environment: &Path) -> Option<PathBuf> {
        let (store, folder) = (self.store.clone(), self.sdk_folder(environment)?);
        blocking(move || Ok(linked(&store, &folder))).await.ok().flatten()
    }

    /// Finds or makes the environment of the SDK alone that goes with a shared one. It is deleted with that one.
    ///
    /// # Errors
    ///
    /// When the environment has no SDK, or the SDK cannot be installed in these versions.
    pub async fn make_sdk(&self, environment: &Path) -> Result<PathBuf, EnvironmentError> {
        let not_one = || EnvironmentError::new(Cause::Plugin, "it is no environment that is shared");
        let (folder, environment) = (self.sdk_folder(environment).ok_or_else(not_one)?, environment.to_owned());
        let (code, dependencies) = blocking(move || {
            let installed = site_packages(&environment).map(|path| versions(&distributions(&path)));
            ask_for(folder, &installed.unwrap_or_default())
        })
        .await?;
        let no_plugin = |error| EnvironmentError::new(Cause::Plugin, format!("{PLUGIN}: {error}"));
        let plugin = format!("{PLUGIN}{}", code.state.checksum).parse().map_err(no_plugin)?;
        let cancel = CancellationToken::new();
        // what it is made of comes from memory: there is no package
        let request = Request {
            plugin: &plugin,
            package: &bytes::Bytes::new(),
            deadline: None,
            progress: &Silent,
            cancel: &cancel,
        };
        let id = self.link_environment(request, &code, &dependencies).await?;
        Ok(self.store.directory(&id))
    }

    /// Remembers that an environment which was made for another one holds the SDK as it is in this one, too. Whether it is
    /// still there.
    ///
    /// # Errors
    ///
    /// When it cannot be written down.
    pub async fn remember_sdk(&self, environment: &Path, sdk: &Path) -> Result<bool, EnvironmentError> {
        let (store, folder) = (self.store.clone(), self.sdk_folder(environment));
        let id = sdk.file_name().and_then(|name| name.to_str()).filter(|name| is_id(name)).map(str::to_owned);
        let (Some(folder), Some(id)) = (folder, id) else { return Ok(false) };
        blocking(move || {
            std::fs::create_dir_all(&folder).context(|| format!("failed to make {}", folder.display()))?;
            store.link(&folder, &id)
        })
        .await
    }

    fn sdk_folder(&self, environment: &Path) -> Option<PathBuf> {
        let id = environment.file_name()?.to_str().filter(|name| is_id(name))?;
        Some(folder(&self.store).join(id))
    }
}

fn folder(store: &EnvironmentStore) -> PathBuf {
    store.root().join(".sdk")
}

fn linked(store: &EnvironmentStore, folder: &Path) -> Option<PathBuf> {
    match store.linked(folder) {
        Linked::Shared(id) => Some(store.directory(&id)),
        _ => None,
    }
}

/// Writes down what is to be installed for an environment in which this is.
fn ask_for(folder: PathBuf, installed: &BTreeMap<String, String>) -> Result<(Code, Dependencies), EnvironmentError> {
    let Some(version) = installed.get(SDK) else {
        return Err(EnvironmentError::new(Cause::Plugin, format!("{SDK} is not installed in it")));
    };
    let requirements = format!("{SDK}=={version}\n-c constraints.txt\n");
    let others = installed.iter().filter(|(name, _)| *name != SDK);
    let constraints: Vec<_> = others.map(|(name, version)| format!("{name}=={version}\n")).collect();
    let constraints = constraints.concat();
    for (name, text) in [("requirements.txt", &requirements), ("constraints.txt", &constraints)] {
        write_atomically(&folder.join(name), text.as_bytes())
            .context(|| format!("failed to write {}", folder.join(name).display()))?;
    }
    let digest = hex::encode(Sha256::digest(format!("sdk\n{requirements}{constraints}")));
    let state = State { checksum: digest.clone(), entrypoint: String::new(), dependencies: None, compiled: true };
    let (wheels, hosts) = (None, BTreeSet::new());
    let dependencies = Dependencies { form: Form::Requirements, digest, wheels, is_local: false, hosts };
    Ok((Code { directory: folder, state }, dependencies))
}

/// Adds the environments of the SDK that go with those that are needed. Blocks.
pub(super) fn extend(store: &EnvironmentStore, needed: &mut HashSet<String>) {
    let of_needed: Vec<_> = needed.iter().filter_map(|id| linked(store, &folder(store).join(id))).collect();
    needed.extend(of_needed.iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())));
}

/// Forgets what goes with environments that are not there any more. Blocks.
///
/// # Errors
///
/// When something cannot be read or deleted.
pub(super) fn forget_missing(store: &EnvironmentStore) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder(store)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_str().is_none_or(|id| !store.directory(id).exists()) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
