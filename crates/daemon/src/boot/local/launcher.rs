//! How workers come to be, as the configuration says.

use std::io;
use std::sync::Arc;

use plugin_runtime::local::environment::Environments;
use plugin_runtime::local::{Launcher, PreforkSettings, ProcessSettings, SpawnLauncher, ZygoteLauncher};
use plugin_service::config::{Config, Prefork};

/// `has_own` is whether single plugins may have settings of their own, and with them be forked.
///
/// # Errors
///
/// When the system gives no thread or, with forks, has no child subreapers.
pub(super) fn of(
    config: &Config,
    settings: &ProcessSettings,
    environments: &Arc<Environments>,
    has_own: bool,
) -> io::Result<Arc<dyn Launcher>> {
    let workers = &config.workers;
    Ok(match workers.prefork {
        Prefork::Off if !has_own => Arc::new(SpawnLauncher::new(settings.clone())?),
        prefork => {
            let except = workers.prefork_except.iter().map(|name| name.trim().to_owned()).collect();
            let prefork =
                PreforkSettings { by_default: prefork == Prefork::Auto, except, idle_timeout: workers.prefork_idle };
            Arc::new(ZygoteLauncher::new(settings.clone(), prefork, environments.clone())?)
        }
    })
}
