//! Database, shared state and storage.

use std::time::Duration;

use plugin_store::{Database, DatabaseConfig, Layout, ServerConfig, SslMode, blob, shared};

use super::BootError;
use crate::base::Base;
use crate::config::{self, Config, DatabaseType};
use crate::services::Stores;

/// First and longest pause before what is out of reach is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

pub(super) async fn open(base: &Base) -> Result<Stores, BootError> {
    let config = &base.config;
    for part in ["storage", "database", "shared state"] {
        base.readiness.not_ready(part, "opening");
    }
    let failed = |source| BootError::Store { what: "the storage", source };
    let layout = layout(config).map_err(failed)?;
    let blobs = blob::open(&super::storage::config(config)?).map_err(failed)?;
    base.readiness.ready("storage");
    let shared = super::shared::config(&config.redis)?;
    let shared = patiently(base, "shared state", || shared::open(&shared)).await?;
    let database = database_config(&config.database);
    let database = patiently(base, "database", || Database::open(&database)).await?;
    Ok(Stores { database, shared, blobs, layout })
}

/// Opens what may be out of reach for a while, however long it takes to come up.
async fn patiently<T, F>(base: &Base, part: &'static str, open: impl Fn() -> F) -> Result<T, BootError>
where
    F: Future<Output = plugin_store::Result<T>>,
{
    let mut pause = FIRST_PAUSE;
    loop {
        match open().await {
            Ok(opened) => {
                base.readiness.ready(part);
                return Ok(opened);
            }
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, part, seconds = pause.as_secs_f32(), "out of reach, trying again");
                base.readiness.not_ready(part, error.to_string());
            }
            Err(source) => return Err(BootError::Store { what: part, source }),
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            () = base.lifecycle.soft().cancelled() => return Err(BootError::Stopped),
        }
    }
}

fn database_config(config: &config::Database) -> DatabaseConfig {
    let given = |text: &Option<String>| text.clone().unwrap_or_default();
    let server = || ServerConfig {
        host: given(&config.host),
        port: config.port,
        username: given(&config.username),
        password: config.password.as_ref().map(|password| password.expose().to_owned()).unwrap_or_default(),
        database: config.name.clone(),
        default_database: config.initial.clone(),
        ssl_mode: match config.ssl_mode {
            config::SslMode::Disable => SslMode::Disable,
            config::SslMode::Require => SslMode::Require,
            config::SslMode::VerifyCa => SslMode::VerifyCa,
            config::SslMode::VerifyFull => SslMode::VerifyFull,
        },
        options: given(&config.extras).trim_start_matches("options=").to_owned(),
        pooled_by_server: config.kind == DatabaseType::Pgbouncer,
        max_connections: config.max_open,
        max_lifetime: config.max_lifetime,
        connect_timeout: config.connect_timeout,
    };
    match config.kind {
        DatabaseType::Sqlite => DatabaseConfig::Sqlite { path: config.name.clone().into() },
        DatabaseType::Postgresql | DatabaseType::Pgbouncer => DatabaseConfig::Postgres(server()),
        DatabaseType::Mysql => DatabaseConfig::MySql(server()),
    }
}

fn layout(config: &Config) -> Result<Layout, plugin_store::Error> {
    let plugins = &config.plugins;
    let persistence = &config.persistence.path;
    Layout::new(&plugins.package_cache_path, &plugins.installed_path, &plugins.media_cache_path, persistence)
}
