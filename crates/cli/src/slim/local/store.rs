//! The folder with unpacked plugins, which fills itself from a marketplace.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use plugin_manifest::{Declaration, UniqueIdentifier};
use plugin_package::signature::TrustedKeys;
use plugin_package::{Folder, Package};
use plugin_runtime::local::environment::{EnvironmentSettings, Environments};
use plugin_runtime::transport::with_causes;
use reqwest::Client;

use crate::local::{self, Surroundings};
use crate::slim::config::Local;
use crate::slim::error::{Code, SlimError};
use crate::slim::events::{Events, Stage};
use crate::slim::remote::start_of;
use crate::source::LIMITS;

/// For a whole download.
const TIMEOUT: Duration = Duration::from_mins(1);
/// The largest package that is taken, in bytes.
const LARGEST: usize = 200 << 20;
/// How much of a refusal is quoted, in bytes.
const QUOTED: usize = 1024;

/// Plugins on this machine: `<folder>/<author>/<name>-<version>@<checksum>`.
pub(crate) struct Store<'c> {
    config: &'c Local,
}

impl<'c> Store<'c> {
    pub(crate) fn new(config: &'c Local) -> Self {
        Self { config }
    }

    /// Environments in the folder.
    pub(super) fn environments(&self, surroundings: &Surroundings) -> Arc<Environments> {
        let config = self.config;
        let mut settings = EnvironmentSettings {
            python_interpreter: config.python_path.clone(),
            mirror_url: config.mirror_url.clone(),
            extra_args: config.extra_args.clone(),
            ignore_lock: config.ignore_lock,
            idle_timeout: config.environment_timeout,
            package_limits: LIMITS,
            inherited: surroundings.variables.clone(),
            ..EnvironmentSettings::new(&config.folder)
        };
        let search = surroundings.variables.get(std::ffi::OsStr::new("PATH")).cloned().unwrap_or_default();
        settings.uv = config.uv_path.clone().or_else(|| crate::export::on_path("uv", &search));
        local::environments(settings)
    }

    /// Takes an unpacked plugin as it is, also one that another program unpacked.
    pub(super) async fn adopt(
        &self,
        environments: &Arc<Environments>,
        plugin: &UniqueIdentifier,
    ) -> Result<(), SlimError> {
        let adopted = environments.adopt(plugin).await;
        adopted.map_err(|error| SlimError::new(Code::InitError, error.to_string()))
    }

    /// What a plugin declares; it is downloaded and unpacked first, unless it is there.
    pub(crate) async fn fetch(&self, plugin: &UniqueIdentifier, events: Events) -> Result<Declaration, SlimError> {
        if let Some(declaration) = self.present(plugin) {
            return Ok(declaration);
        }
        events.message(Stage::Download, &format!("downloading {plugin}"))?;
        let declaration = self.download(plugin).await?;
        events.message(Stage::Download, "plugin downloaded")?;
        Ok(declaration)
    }

    /// What a plugin declares, without a word.
    pub(crate) async fn fetch_silently(&self, plugin: &UniqueIdentifier) -> Result<Declaration, SlimError> {
        match self.present(plugin) {
            Some(declaration) => Ok(declaration),
            None => self.download(plugin).await,
        }
    }

    fn folder_of(&self, plugin: &UniqueIdentifier) -> PathBuf {
        self.config.folder.join(plugin.as_str().replace(':', "-"))
    }

    fn present(&self, plugin: &UniqueIdentifier) -> Option<Declaration> {
        let folder = Folder::open(self.folder_of(plugin)).ok()?;
        plugin_manifest::decode(&folder).ok()
    }

    async fn download(&self, plugin: &UniqueIdentifier) -> Result<Declaration, SlimError> {
        let bytes = self.package(plugin).await?;
        let invalid = |text: String| SlimError::new(Code::PackageInvalid, text);
        let package = Package::open(bytes, &LIMITS).map_err(|error| invalid(error.to_string()))?;
        let declaration = package.declaration(&TrustedKeys::official()).map_err(|error| invalid(error.to_string()))?;
        let found = package.identifier().map_err(|error| invalid(error.to_string()))?;
        let is_same = found.identity() == plugin.identity()
            && (found.checksum() == plugin.checksum() || found.checksum().len() != plugin.checksum().len());
        if !is_same {
            return Err(invalid(format!("the marketplace sent {found}, which is another plugin than {plugin}")));
        }
        self.unpack(&package, plugin)?;
        Ok(declaration)
    }

    /// Unpacks beside the final place, so that what is there is whole.
    fn unpack(&self, package: &Package, plugin: &UniqueIdentifier) -> Result<(), SlimError> {
        let failed = |text: String| SlimError::new(Code::ExtractError, format!("failed to unpack {plugin}: {text}"));
        let target = self.folder_of(plugin);
        let parent = target.parent().unwrap_or(&self.config.folder);
        std::fs::create_dir_all(parent).map_err(|error| failed(error.to_string()))?;
        let staging = tempfile::Builder::new().prefix(".staging-").tempdir_in(parent);
        let staging = staging.map_err(|error| failed(error.to_string()))?;
        let fresh = staging.path().join("plugin");
        package.extract(&fresh).map_err(|error| failed(error.to_string()))?;
        if target.symlink_metadata().is_ok() {
            // something that is no plugin: it goes with the staging folder
            let moved = std::fs::rename(&target, staging.path().join("replaced"));
            moved.map_err(|error| failed(error.to_string()))?;
        }
        match std::fs::rename(&fresh, &target) {
            // another process was faster, with the same content
            Err(_) if self.present(plugin).is_some() => Ok(()),
            result => result.map_err(|error| failed(error.to_string())),
        }
    }

    async fn package(&self, plugin: &UniqueIdentifier) -> Result<Bytes, SlimError> {
        let failed = |error: reqwest::Error| {
            let code = if error.is_timeout() { Code::DownloadTimeout } else { Code::Download };
            SlimError::new(code, format!("failed to download {plugin}: {}", with_causes(&error)))
        };
        let url = format!("{}/api/v1/plugins/download", self.config.marketplace_url.trim_end_matches('/'));
        let url = reqwest::Url::parse_with_params(&url, [("unique_identifier", plugin.as_str())])
            .map_err(|error| SlimError::new(Code::Download, format!("{url} is no address: {error}")))?;
        let client = Client::builder().timeout(TIMEOUT).build().map_err(failed)?;
        let mut response = client.get(url).send().await.map_err(failed)?;
        match response.status().as_u16() {
            200 => {}
            404 => return Err(SlimError::new(Code::PluginNotFound, format!("the marketplace has no plugin {plugin}"))),
            status => {
                let body = start_of(&mut response, QUOTED).await;
                return Err(SlimError::new(Code::Download, format!("the marketplace answers {status}: {body}")));
            }
        }
        let mut bytes = Vec::new();
        while let Some(part) = response.chunk().await.map_err(failed)? {
            bytes.extend_from_slice(&part);
            if bytes.len() > LARGEST {
                let text = format!("the package of {plugin} is larger than {LARGEST} bytes");
                return Err(SlimError::new(Code::PackageTooLarge, text));
            }
        }
        Ok(bytes.into())
    }
}
