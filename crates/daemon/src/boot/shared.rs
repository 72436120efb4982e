//! State that nodes share (lifecycle-and-storage 7.5).

use std::time::Duration;

use plugin_store::shared::{RedisConfig, RedisServers, RedisTls, SharedConfig};

use super::BootError;
use crate::config::{CacheType, Redis, RedisCertificates, Secret};

/// Port of an address that names none.
const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
/// Time for a connection and for each answer, unless another is configured.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What `CACHE_TYPE` and the variables of Redis say.
pub(super) fn config(redis: &Redis) -> Result<SharedConfig, BootError> {
    if redis.cache_type == CacheType::Memory {
        return Ok(SharedConfig::Memory);
    }
    if redis.azure_managed_identity {
        let text = "REDIS_USE_AZURE_MANAGED_IDENTITY=true is not supported by this build: set REDIS_PASSWORD";
        return Err(BootError::Unsupported(text.to_owned()));
    }
    let text = |given: &Option<String>| given.clone().unwrap_or_default();
    let servers = if redis.use_cluster {
        RedisServers::Cluster { nodes: addresses("REDIS_CLUSTERS", &redis.cluster_nodes, REDIS_PORT)? }
    } else if redis.use_sentinel {
        RedisServers::Sentinel {
            sentinels: addresses("REDIS_SENTINELS", &redis.sentinels, SENTINEL_PORT)?,
            service: text(&redis.sentinel_service),
            username: text(&redis.sentinel_username),
            password: secret(redis.sentinel_password.as_ref()),
        }
    } else {
        RedisServers::Single { host: text(&redis.host), port: redis.port }
    };
    let password = match secret(redis.cluster_password.as_ref()) {
        password if redis.use_cluster && !password.is_empty() => password,
        _ => secret(redis.password.as_ref()),
    };
    Ok(SharedConfig::Redis(RedisConfig {
        servers,
        username: text(&redis.username),
        password,
        database: redis.db.into(),
        prefix: redis.key_prefix.clone(),
        tls: redis.use_ssl.then(|| RedisTls {
            verify: redis.certificates != RedisCertificates::None,
            authorities: redis.ca_certs.clone(),
        }),
        timeout: Some(redis.sentinel_timeout)
            .filter(|timeout| redis.use_sentinel && !timeout.is_zero())
            .unwrap_or(TIMEOUT),
    }))
}

fn secret(given: Option<&Secret>) -> String {
    given.map(|secret| secret.expose().to_owned()).unwrap_or_default()
}

/// `host:port` items; the port may be left out.
fn addresses(variable: &str, items: &[String], port: u16) -> Result<Vec<(String, u16)>, BootError> {
    let items = items.iter().map(|item| item.trim()).filter(|item| !item.is_empty());
    items
        .map(|item| match item.rsplit_once(':') {
            None => Ok((item.to_owned(), port)),
            Some((host, port)) => match port.parse() {
                Ok(port) => Ok((host.to_owned(), port)),
                Err(_) => Err(BootError::Unsupported(format!("{variable}: '{item}' is not host:port"))),
            },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::addresses;

    #[test]
    fn lists_of_addresses() {
        let items = [" a:1", "b ", ""].map(str::to_owned);
        assert_eq!(addresses("X", &items, 9).unwrap(), [("a".to_owned(), 1), ("b".to_owned(), 9)]);
        assert_eq!(addresses("X", &["a:b".to_owned()], 9).unwrap_err().to_string(), "X: 'a:b' is not host:port");
    }
}
