//! What holds for single plugins: the daemon's configuration with the values of the file in it.

use std::path::PathBuf;
use std::sync::Arc;

use plugin_manifest::UniqueIdentifier;
use plugin_runtime::local::isolation::{Isolation, IsolationError, Scratch};
use plugin_runtime::local::{
    LaunchSettings, LocalRuntime, LocalSettings, PluginSettings, ProcessSettings, SettingsOfPlugins, variables,
};
use plugin_sandbox::{Level, Support};
use plugin_service::base::Base;
use plugin_service::config::Prefork;
use plugin_service::config::per_plugin::changes;
use plugin_service::per_plugin::PerPlugin;

use super::{limit, names, pool, worker};

/// Makes the settings of each plugin.
pub(super) struct OwnSettings {
    base: Arc<Base>,
    per_plugin: PerPlugin,
    /// What all plugins have.
    common: ProcessSettings,
    support: Support,
    /// For plugins that are kept apart further than the others.
    scratch: Option<Arc<Scratch>>,
}

impl OwnSettings {
    /// Blocks: tries what the kernel can do, and makes a folder below the working path.
    pub(super) fn new(
        base: &Arc<Base>,
        per_plugin: &PerPlugin,
        settings: &LocalSettings,
    ) -> Result<Self, IsolationError> {
        let support = Support::probe();
        let common = settings.process.clone();
        let path = &base.config.plugins.working_path;
        let is_missing = common.isolation.scratch.is_none() && support.level >= Level::Confined;
        let scratch = is_missing.then(|| Scratch::open(path).map(Arc::new)).transpose();
        let scratch = scratch.map_err(|error| IsolationError::Scratch { path: path.clone(), error })?;
        Ok(Self { base: Arc::clone(base), per_plugin: per_plugin.clone(), common, support, scratch })
    }
}

impl SettingsOfPlugins for OwnSettings {
    fn of(&self, plugin: &UniqueIdentifier) -> PluginSettings {
        let overrides = self.per_plugin.of(plugin);
        let config = overrides.config_of(&self.base.config, plugin);
        let workers = &config.workers;
        let (level, refused) = match self.support.choose(workers.isolation) {
            Ok(level) => (level, None),
            Err(refused) => (self.support.level, Some(refused.to_string())),
        };
        let paths = |list: &[String]| list.iter().map(|path| PathBuf::from(path.trim())).collect();
        let isolation = Isolation {
            read: paths(&workers.isolation_read),
            write: paths(&workers.isolation_write),
            ..self.common.isolation.at_level(level, &self.support, self.scratch.clone())
        };
        let mut process = ProcessSettings {
            extra_variables: names(&workers.pass_variables),
            fixed: overrides.variables.into_iter().map(|(name, given)| (name, given.value)).collect(),
            isolation,
            max_open_files: limit(workers.max_open_files.into()),
            max_file_bytes: limit(workers.max_file_bytes),
            ..self.common.clone()
        };
        let files = variables::files(&process);
        process.isolation.read.extend(files);
        let prefork = overrides.prefork.map(|given| given.value == Prefork::Auto);
        let launch = LaunchSettings { worker: worker(&config), process, prefork, refused };
        PluginSettings { pool: pool(&config), launch: Arc::new(launch) }
    }
}

/// Has the runtime take up what changes, and says which plugins it concerns.
pub(super) fn follow(base: &Arc<Base>, per_plugin: &PerPlugin, runtime: &Arc<LocalRuntime>) {
    let states = per_plugin.subscribe();
    let (based, per_plugin, runtime) = (Arc::clone(base), per_plugin.clone(), Arc::clone(runtime));
    base.lifecycle.supervise("settings of local plugins", move || {
        let (base, per_plugin, runtime) = (Arc::clone(&based), per_plugin.clone(), Arc::clone(&runtime));
        let (mut states, stop) = (states.clone(), base.lifecycle.soft().clone());
        let renew = async move {
            let mut old = per_plugin.current();
            while states.changed().await.is_ok() {
                let new = per_plugin.current();
                let renewed = runtime.renew();
                for status in runtime.status_all() {
                    let settings = |file| per_plugin.settings_in(file, &base.config, &status.plugin);
                    let changes = changes(&settings(&old), &settings(&new));
                    if !changes.is_empty() {
                        let replaced = renewed.iter().find(|(plugin, _)| *plugin == status.plugin);
                        let replaced = replaced.map_or(0, |(_, workers)| *workers);
                        tracing::info!(plugin = %status.plugin, changes, replaced, "the settings of a plugin have changed");
                    }
                }
                old = new;
            }
        };
        async move {
            stop.run_until_cancelled(renew).await;
        }
    });
}
