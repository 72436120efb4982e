//! How plugins of this node are kept apart, and where operators see it.

use std::path::PathBuf;

use plugin_runtime::local::isolation::Isolation;
use plugin_sandbox::Level;

use crate::boot::BootError;
use plugin_service::base::Base;
use plugin_service::config::{Config, DatabaseType};

/// The component of `/ready`.
pub(in crate::boot) const COMPONENT: &str = "isolation";

/// Decides how plugins are kept apart, and reports it.
pub(super) fn of(base: &Base) -> Result<Isolation, BootError> {
    let config = &base.config;
    let workers = &config.workers;
    let paths = |list: &[String]| list.iter().map(|path| PathBuf::from(path.trim())).collect();
    let mut isolation = Isolation::of_system(workers.isolation, &config.plugins.working_path, private(config))?;
    isolation.read = paths(&workers.isolation_read);
    isolation.write = paths(&workers.isolation_write);
    let summary = isolation.summary();
    match isolation.level {
        Level::Confined => tracing::info!(level = summary, "isolation of plugins"),
        Level::Limited => tracing::warn!(level = summary, "plugins are not kept from the daemon's files"),
        Level::None => tracing::warn!("plugins are not kept apart (PLUGIN_ISOLATION=off)"),
    }
    base.readiness.ready_as(COMPONENT, summary);
    base.metrics.isolation_level(isolation.level);
    Ok(isolation)
}

/// What no plugin may open, wherever it is.
fn private(config: &Config) -> Vec<PathBuf> {
    let mut private = vec![config.server.data_path.clone(), config.storage.local_root.clone()];
    if config.database.kind == DatabaseType::Sqlite {
        let file = &config.database.name;
        private.extend(["", "-wal", "-shm", "-journal"].map(|suffix| PathBuf::from(format!("{file}{suffix}"))));
    }
    private.push(".env".into());
    private
}
