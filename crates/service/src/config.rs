//! The configuration: one registry of variables, read once from the environment (lifecycle-and-storage 7).
//!
//! Nothing set is enough to run: SQLite, shared state in memory, a local folder, generated keys. Everything that is
//! wrong is reported together. Secrets never print.

pub mod kind;
pub mod per_plugin;
pub mod registry;

pub mod address;
mod check;
mod choice;
mod database;
mod groups;
mod idle;
mod keys;
mod mask;
mod placeholder;
mod report;
mod sample;
mod secret;
mod service_link;
mod text;
mod unknown;

use std::collections::BTreeMap;
use std::path::Path;

pub use choice::{
    CacheType, DatabaseType, LogFormat, LogLevel, OtlpProtocol, Platform, Prefork, RedisCertificates, SslMode,
    StorageKind, StorageType,
};
pub use groups::*;
pub use keys::KeyError;
pub use kind::parse_bool;
#[cfg(feature = "export")]
pub(crate) use mask::is_key_like;
pub use mask::masked;
use registry::{Group, Reader};
pub use report::ConfigError;
pub use sample::{ExposedError, exposed, sample_keys};
pub use secret::Secret;
pub use text::{dump, example, reference};
pub use unknown::{Unknown, secrets, unknown, warn_about};

macro_rules! config {
    ($($(#[doc = $doc:literal])+ $field:ident: $group:ident,)+) => {
        /// Every setting of the daemon.
        #[derive(Debug, Clone)]
        pub struct Config {
            $($(#[doc = $doc])+ pub $field: $group,)+
            /// What was passed over while reading, one sentence each; [`warn_about`] logs it.
            pub notes: Vec<String>,
        }

        /// Every group, in the order of the documentation.
        pub const GROUPS: &[Group] = &[$($group::GROUP),+];

        fn read_groups(reader: &mut Reader) -> Config {
            Config { $($field: $group::read(reader),)+ notes: Vec::new() }
        }
    };
}

config! {
    /// The HTTP listener and what belongs to the process.
    server: Server,
    /// The administrators' routes.
    admin: Admin,
    /// Calls into Dify.
    dify: DifyApi,
    /// Logging.
    log: Log,
    /// Packages, paths and limits of plugins.
    plugins: Plugins,
    /// Which packages may be installed.
    signatures: Signatures,
    /// Processes of local plugins.
    workers: Workers,
    /// Plugins on developers' machines.
    debugging: Debugging,
    /// Python environments.
    python: Python,
    /// Proxies for installations and plugins.
    proxy: Proxy,
    /// Plugins as functions.
    serverless: Serverless,
    /// The database.
    database: Database,
    /// State that nodes share.
    redis: Redis,
    /// Packages and assets.
    storage: Storage,
    /// What plugins store for themselves.
    persistence: Persistence,
    /// Amazon S3.
    s3: S3,
    /// Azure Blob Storage.
    azure_blob: AzureBlob,
    /// Google Cloud Storage.
    gcs: GoogleStorage,
    /// Tencent COS.
    tencent_cos: TencentCos,
    /// Aliyun OSS.
    aliyun_oss: AliyunOss,
    /// Huawei OBS.
    huawei_obs: HuaweiObs,
    /// Volcengine TOS.
    volcengine_tos: VolcengineTos,
    /// Baidu BOS.
    baidu_bos: BaiduBos,
    /// OpenTelemetry.
    otel: OpenTelemetry,
    /// Sentry.
    sentry: Sentry,
    /// Variables without effect.
    leftovers: Leftovers,
}

impl Config {
    /// Reads the environment of the process.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_vars(environment())
    }

    /// Reads the given variables. Keys are not generated here, see [`Config::ensure_keys`].
    ///
    /// ```
    /// use plugin_service::config::Config;
    ///
    /// let read = |port: &str| Config::from_vars([("SERVER_PORT".to_owned(), port.to_owned())].into());
    /// assert_eq!(read("7000")?.server.port, 7000);
    /// let error = read("$(PORT)").unwrap_err();
    /// let [problem] = &error.problems().collect::<Vec<_>>()[..] else { panic!("one thing is wrong") };
    /// assert!(problem.starts_with("SERVER_PORT: the placeholder $(PORT) is not resolved: "));
    /// # Ok::<(), plugin_service::config::ConfigError>(())
    /// ```
    pub fn from_vars(variables: BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(variables);
        compute_defaults(&mut reader);
        let mut config = read_groups(&mut reader);
        check::check(&config, &mut reader);
        config.notes = reader.take_notes();
        ConfigError::from_problems(reader.into_problems())?;
        Ok(config)
    }

    /// Generates the keys that are not configured, or reads those of an earlier start (blocking I/O).
    pub fn ensure_keys(&mut self) -> Result<(), KeyError> {
        keys::ensure(self)
    }
}

/// The environment of the process. A text that is not UTF-8 is kept with its bad parts replaced, and then fails where it
/// is used.
pub fn environment() -> BTreeMap<String, String> {
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))).collect()
}

/// Variables that imply a database server; limits and times alone do not.
const SERVER_VARIABLES: [&str; 4] = ["DB_HOST", "DB_USERNAME", "DB_PASSWORD", "DB_DATABASE"];

/// Defaults that depend on what else is set.
fn compute_defaults(reader: &mut Reader) {
    let data = reader.text("PLUGIN_DATA_PATH").unwrap_or("./data").to_owned();
    let below = |name: &str| Path::new(&data).join(name).to_string_lossy().into_owned();
    reader.compute("PLUGIN_WORKING_PATH", below("cwd"));
    reader.compute("PLUGIN_STORAGE_LOCAL_ROOT", below("storage"));

    let kind = match reader.text("DB_TYPE") {
        Some(kind) => kind.to_owned(),
        None if SERVER_VARIABLES.iter().any(|name| reader.text(name).is_some()) => "postgresql".to_owned(),
        None => "sqlite".to_owned(),
    };
    reader.compute("DB_DATABASE", if kind == "sqlite" { below("daemon.db") } else { String::new() });
    let (default_database, port) = match kind.as_str() {
        "sqlite" => ("", ""),
        "mysql" | "oceanbase" | "seekdb" => ("mysql", "3306"),
        _ => ("postgres", "5432"),
    };
    reader.compute("DB_DEFAULT_DATABASE", default_database);
    reader.compute("DB_PORT", port);
    reader.compute("DB_TYPE", kind);

    let on = |name| reader.text(name).and_then(parse_bool).unwrap_or_default();
    let redis = reader.text("REDIS_HOST").is_some() || on("REDIS_USE_SENTINEL") || on("REDIS_USE_CLUSTERS");
    reader.compute("CACHE_TYPE", if redis { "redis" } else { "memory" });

    let debugging = ["PLUGIN_REMOTE_INSTALLING_HOST", "PLUGIN_REMOTE_INSTALLING_PORT"];
    let debugging = debugging.iter().any(|name| reader.text(name).is_some());
    reader.compute("PLUGIN_REMOTE_INSTALLING_ENABLED", if debugging { "true" } else { "false" });
    idle::mark(reader);
}

#[cfg(test)]
mod tests;
