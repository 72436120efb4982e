//! Checks between variables (lifecycle-and-storage 7.1).

use super::mask::masked;
use super::registry::Reader;
use super::report::Problem;
use super::{CacheType, Config, Database, DatabaseType, Platform, RedisCertificates, Secret};

/// Shortest key of the administrators' routes, in bytes.
const ADMIN_KEY_BYTES: usize = 10;

/// Reports what parses and yet cannot be used.
pub(super) fn check(config: &Config, reader: &mut Reader) {
    let mut refuse = |text: String| reader.report(Problem::invalid(text));
    keys(config, &mut refuse);
    server(config, &mut refuse);
    plugins(config, &mut refuse);
    debugging(config, &mut refuse);
    database(&config.database, &mut refuse);
    redis(config, &mut refuse);
}

fn keys(config: &Config, refuse: &mut impl FnMut(String)) {
    if config.server.allow_sample_keys == Some(false) {
        for name in super::sample_keys(config) {
            refuse(format!(
                "{name}: this is the key of a published sample file, so anyone could use it, and PLUGIN_ALLOW_SAMPLE_KEYS \
                 is false; set an own key here and in Dify"
            ));
        }
    }
    let admin_key = config.admin.key.as_ref().map_or(0, |key: &Secret| key.expose().len());
    if config.admin.enabled && admin_key < ADMIN_KEY_BYTES {
        refuse(format!("ADMIN_API_KEY: must have at least {ADMIN_KEY_BYTES} bytes when ADMIN_API_ENABLED is true"));
    }
}

fn server(config: &Config, refuse: &mut impl FnMut(String)) {
    let zone = config.server.time_zone.as_str();
    if zone == "Local" || jiff::tz::TimeZone::get(zone).is_err() {
        refuse(format!("SERVER_TZ: '{}' is not a time zone that this machine knows", masked(zone)));
    }
    if let Some(address) = &config.server.node_address
        && let Err(error) = super::address::parse(address, config.server.port)
    {
        refuse(format!("SERVER_NODE_ADDRESS: {}", masked(&error.to_string())));
    }
    let url = config.dify.url.as_str();
    if !is_http_url(url) {
        refuse(format!("DIFY_INNER_API_URL: '{}' is not an http or https URL", masked(url)));
    }
}

fn is_http_url(text: &str) -> bool {
    text.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    })
}

fn plugins(config: &Config, refuse: &mut impl FnMut(String)) {
    if config.workers.min > config.workers.max {
        let (min, max) = (config.workers.min, config.workers.max);
        refuse(format!("PLUGIN_WORKERS_MIN: {min} is more than PLUGIN_WORKERS_MAX, {max}"));
    }
    if config.plugins.platform == Platform::Serverless {
        match &config.serverless.connector_url {
            None => refuse("DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL: must be set when PLATFORM is serverless".to_owned()),
            Some(url) if !is_http_url(url) => {
                refuse(format!("DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL: '{}' is not an http or https URL", masked(url)));
            }
            Some(_) => {}
        }
        if config.serverless.connector_key.is_none() {
            refuse("DIFY_PLUGIN_SERVERLESS_CONNECTOR_API_KEY: must be set when PLATFORM is serverless".to_owned());
        }
    }
}

fn debugging(config: &Config, refuse: &mut impl FnMut(String)) {
    let debugging = &config.debugging;
    if debugging.tls_certificate.is_some() != debugging.tls_key.is_some() {
        let missing = if debugging.tls_key.is_some() { "CERT" } else { "KEY" };
        refuse(format!(
            "PLUGIN_REMOTE_INSTALLING_TLS_{missing}: must be set too; PLUGIN_REMOTE_INSTALLING_TLS_CERT and \
             PLUGIN_REMOTE_INSTALLING_TLS_KEY belong together"
        ));
    }
}

pub(super) fn database(database: &Database, refuse: &mut impl FnMut(String)) {
    if database.kind == DatabaseType::Sqlite {
        return;
    }
    let required = [
        ("DB_USERNAME", database.username.is_some()),
        ("DB_PASSWORD", database.password.is_some()),
        ("DB_HOST", database.host.is_some()),
        ("DB_DATABASE", !database.name.is_empty()),
    ];
    for (name, given) in required {
        if !given {
            refuse(format!("{name}: must be set for this DB_TYPE; DB_TYPE=sqlite needs no server"));
        }
    }
}

fn redis(config: &Config, refuse: &mut impl FnMut(String)) {
    let redis = &config.redis;
    if redis.cache_type == CacheType::Memory {
        return;
    }
    let no_address = |list: &[String]| list.iter().all(|address| address.trim().is_empty());
    if redis.use_sentinel && redis.use_cluster {
        refuse("REDIS_USE_SENTINEL, REDIS_USE_CLUSTERS: only one of them can be true".to_owned());
    } else if redis.use_cluster {
        if no_address(&redis.cluster_nodes) {
            refuse("REDIS_CLUSTERS: must be set when REDIS_USE_CLUSTERS is true".to_owned());
        }
    } else if redis.use_sentinel {
        if no_address(&redis.sentinels) {
            refuse("REDIS_SENTINELS: must be set when REDIS_USE_SENTINEL is true".to_owned());
        }
        if redis.sentinel_service.is_none() {
            refuse("REDIS_SENTINEL_SERVICE_NAME: must be set when REDIS_USE_SENTINEL is true".to_owned());
        }
    } else if redis.host.is_none() {
        refuse("REDIS_HOST: must be set when CACHE_TYPE is redis".to_owned());
    }
    if redis.use_ssl && redis.certificates == RedisCertificates::Required && redis.ca_certs.is_none() {
        refuse("REDIS_SSL_CA_CERTS: must be set when REDIS_SSL_CERT_REQS is CERT_REQUIRED".to_owned());
    }
    if redis.azure_managed_identity && redis.db != 0 {
        let db = redis.db;
        refuse(format!(
            "REDIS_DB: Azure Managed Redis has database 0 only, this is {db}; set it to 0 when \
             REDIS_USE_AZURE_MANAGED_IDENTITY is true"
        ));
    }
}
