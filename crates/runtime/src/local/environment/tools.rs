//! What building environments takes besides the plugin: settings, uv, the index.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, OnceCell};

use super::build::names_index;
use super::configuration::operators_hosts;
use super::dependencies::Dependencies;
use super::error::EnvironmentError;
use super::settings::EnvironmentSettings;
use super::{mirror, uv};

/// The tools of one daemon.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) settings: EnvironmentSettings,
    /// What of the daemon's environment reaches tools.
    pub(crate) variables: BTreeMap<OsString, OsString>,
    uv: Mutex<Option<PathBuf>>,
    mirror: OnceCell<Option<String>>,
}

impl Tools {
    pub(crate) fn new(mut settings: EnvironmentSettings) -> Self {
        if let Some(python) = settings.inherited.get(OsStr::new("UV_PYTHON")).and_then(|python| python.to_str())
            && !python.is_empty()
        {
            python.clone_into(&mut settings.python);
        }
        settings.mirror_url = settings.mirror_url.filter(|url| !url.is_empty());
        let variables = uv::environment(&settings, &settings.working_path.join(".uv-cache"));
        Self { settings, variables, uv: Mutex::default(), mirror: OnceCell::new() }
    }

    /// The folder of uv's cache.
    pub(crate) fn cache(&self) -> Option<PathBuf> {
        self.variables.get(OsStr::new("UV_CACHE_DIR")).map(PathBuf::from)
    }

    /// The uv binary; looked for again when it is not there any more.
    pub(crate) async fn uv(&self) -> Result<PathBuf, EnvironmentError> {
        let mut known = self.uv.lock().await;
        if let Some(path) = &*known
            && uv::is_executable(path).await
        {
            return Ok(path.clone());
        }
        let found = uv::find(&self.settings, &self.variables).await?;
        *known = Some(found.clone());
        Ok(found)
    }

    /// The configured mirror, or the one that was found to be fast. Not looked for when the operator has said where
    /// packages come from, or that there is no network.
    pub(crate) async fn mirror(&self) -> Option<&str> {
        let find = async {
            match (&self.settings.mirror_url, &self.settings.mirror_detection) {
                (Some(url), _) => Some(url.clone()),
                (None, Some(detection))
                    if !names_index(&self.variables, &self.settings.extra_args) && !self.is_offline() =>
                {
                    mirror::detect(detection, &self.settings.proxies).await
                }
                (None, _) => None,
            }
        };
        self.mirror.get_or_init(|| find).await.as_deref()
    }

    /// Whether a package names hosts that the operator does not take packages from.
    pub(crate) async fn is_foreign(&self, dependencies: &Dependencies) -> bool {
        let known = operators_hosts(&self.variables, &self.settings.extra_args, self.mirror().await);
        dependencies.hosts.iter().any(|host| !known.contains(host))
    }

    /// A digest of everything that decides which environment dependencies lead to.
    pub(crate) async fn inputs(&self, dependencies: &Dependencies) -> String {
        let mut hash = Sha256::new_with_prefix("inputs 2\n");
        let settings = &self.settings;
        let mirror = self.mirror().await.unwrap_or_default();
        for part in [&*dependencies.digest, std::env::consts::OS, std::env::consts::ARCH, &settings.python, mirror] {
            hash.update(part);
            hash.update("\n");
        }
        for argument in &settings.extra_args {
            hash.update(argument);
            hash.update("\n");
        }
        for (name, value) in uv::decisive(&self.variables) {
            hash.update(format!("{name}={}\n", value.to_string_lossy()));
        }
        let mut digest = hex::encode(hash.finalize());
        digest.truncate(40);
        digest
    }

    fn is_offline(&self) -> bool {
        let value = self.variables.get(OsStr::new("UV_OFFLINE"));
        value.and_then(|value| value.to_str()).is_some_and(|value| !matches!(value, "" | "0" | "false"))
            || self.settings.extra_args.iter().any(|argument| argument == "--offline")
    }
}
