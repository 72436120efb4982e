//! Database, shared state and storage.

use std::sync::Arc;
use std::time::Duration;

use plugin_store::blob::LocalBlobs;
use plugin_store::shared::MemoryState;
use plugin_store::{BlobStore, Database, DatabaseConfig, Layout, ServerConfig, SharedState, SslMode};

use super::BootError;
use crate::base::Base;
use crate::config::{self, CacheType, Config, DatabaseType};
use crate::services::Stores;

/// First and longest pause before a database that is out of reach is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

pub(super) async fn open(base: &Base) -> Result<Stores, BootError> {
    let config = &base.config;
    base.readiness.not_ready("database", "connecting");
    base.readiness.not_ready("storage", "opening");
    let layout = layout(config).map_err(|source| BootError::Store { what: "the storage", source })?;
    let blobs = blobs(config)?;
    base.readiness.ready("storage");
    let shared = shared(config)?;
    let database = database(base).await?;
    base.readiness.ready("database");
    Ok(Stores { database, shared, blobs, layout })
}

/// Waits for the database, however long it takes to come up.
async fn database(base: &Base) -> Result<Database, BootError> {
    let config = database_config(&base.config.database);
    let mut pause = FIRST_PAUSE;
    loop {
        match Database::open(&config).await {
            Ok(database) => return Ok(database),
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, seconds = pause.as_secs_f32(), "the database is out of reach, trying again");
                base.readiness.not_ready("database", error.to_string());
            }
            Err(source) => return Err(BootError::Store { what: "the database", source }),
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

fn shared(config: &Config) -> Result<Arc<dyn SharedState>, BootError> {
    match config.redis.cache_type {
        CacheType::Memory => Ok(Arc::new(MemoryState::default())),
        CacheType::Redis => Err(BootError::Unsupported("CACHE_TYPE=redis is not supported by this build".to_owned())),
    }
}

fn layout(config: &Config) -> Result<Layout, plugin_store::Error> {
    let plugins = &config.plugins;
    let persistence = &config.persistence.path;
    Layout::new(&plugins.package_cache_path, &plugins.installed_path, &plugins.media_cache_path, persistence)
}

fn blobs(config: &Config) -> Result<Arc<dyn BlobStore>, BootError> {
    match config.storage.kind.as_str() {
        "local" | "local_file" => {
            let blobs = LocalBlobs::open(&config.storage.local_root);
            Ok(Arc::new(blobs.map_err(|source| BootError::Store { what: "the storage", source })?))
        }
        kind => Err(BootError::Unsupported(format!("PLUGIN_STORAGE_TYPE={kind} is not supported by this build"))),
    }
}
