//! State that nodes share (lifecycle-and-storage 7.5).

use std::time::Duration;

use plugin_store::shared::{RedisConfig, RedisServers, RedisTls, SharedConfig};

use super::BootError;
use plugin_service::config::{CacheType, Redis, RedisCertificates, Secret};

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

/// `host:port` items; the port may be left out. At least one.
fn addresses(variable: &str, items: &[String], port: u16) -> Result<Vec<(String, u16)>, BootError> {
    let items = items.iter().map(|item| item.trim()).filter(|item| !item.is_empty());
    let addresses: Vec<_> = items
        .map(|item| match item.rsplit_once(':') {
            None => Ok((item.to_owned(), port)),
            Some((host, port)) => match port.parse() {
                Ok(port) => Ok((host.to_owned(), port)),
                Err(_) => Err(BootError::Unsupported(format!("{variable}: '{item}' is not host:port"))),
            },
        })
        .collect::<Result<_, _>>()?;
    if addresses.is_empty() {
        return Err(BootError::Unsupported(format!("{variable}: set it to host:port, several separated by commas")));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use plugin_service::config::Config;

    fn read(variables: &[(&str, &str)]) -> Result<SharedConfig, String> {
        let all: BTreeMap<_, _> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        config(&Config::from_vars(all).unwrap().redis).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn redis(variables: &[(&str, &str)]) -> RedisConfig {
        let host = ("REDIS_HOST", "redis");
        match read(&[&[host], variables].concat()) {
            Ok(SharedConfig::Redis(redis)) => redis,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn variables_are_read() {
        assert!(matches!(read(&[]), Ok(SharedConfig::Memory)));
        let plain = redis(&[]);
        assert!(matches!(plain.servers, RedisServers::Single { host, port: 6379 } if host == "redis"));
        assert_eq!((plain.prefix.as_str(), plain.database, plain.tls.is_none()), ("plugin_daemon", 0, true));
        let user = redis(&[
            ("REDIS_PORT", "7000"),
            ("REDIS_USERNAME", "daemon"),
            ("REDIS_PASSWORD", "sesame"),
            ("REDIS_DB", "3"),
            ("REDIS_KEY_PREFIX", "mine"),
        ]);
        assert_eq!((user.username.as_str(), user.password.as_str()), ("daemon", "sesame"));
        assert_eq!((user.prefix.as_str(), user.database), ("mine", 3));

        for (requirement, verify) in [("CERT_NONE", false), ("cert_optional", true), ("CERT_REQUIRED", true)] {
            let file = ("REDIS_SSL_CA_CERTS", "/ca.pem");
            let tls = redis(&[("REDIS_USE_SSL", "true"), ("REDIS_SSL_CERT_REQS", requirement), file]).tls.unwrap();
            assert_eq!((tls.verify, tls.authorities), (verify, Some("/ca.pem".into())), "{requirement}");
        }
        let sentinel = redis(&[
            ("REDIS_USE_SENTINEL", "true"),
            ("REDIS_SENTINELS", "one:26379, two"),
            ("REDIS_SENTINEL_SERVICE_NAME", "main"),
            ("REDIS_SENTINEL_USERNAME", "watcher"),
            ("REDIS_SENTINEL_PASSWORD", "guard"),
            ("REDIS_SENTINEL_SOCKET_TIMEOUT", "0.5"),
        ]);
        assert_eq!(sentinel.timeout, Duration::from_millis(500));
        let RedisServers::Sentinel { sentinels, service, username, password } = sentinel.servers else { panic!() };
        assert_eq!(sentinels, [("one".to_owned(), 26379), ("two".to_owned(), 26379)]);
        assert_eq!([service, username, password], ["main", "watcher", "guard"]);
        let cluster = redis(&[
            ("REDIS_USE_CLUSTERS", "true"),
            ("REDIS_CLUSTERS", "one:7001,two:7002"),
            ("REDIS_CLUSTERS_PASSWORD", "together"),
            ("REDIS_PASSWORD", "alone"),
        ]);
        assert_eq!(cluster.password, "together");
        assert!(matches!(cluster.servers, RedisServers::Cluster { nodes } if nodes.len() == 2));
    }

    #[test]
    fn a_managed_identity_is_refused() {
        let error = read(&[("REDIS_HOST", "redis"), ("REDIS_USE_AZURE_MANAGED_IDENTITY", "true")]).unwrap_err();
        assert!(error.contains("REDIS_USE_AZURE_MANAGED_IDENTITY") && error.contains("REDIS_PASSWORD"), "{error}");
    }

    #[test]
    fn lists_of_addresses() {
        let items = [" a:1", "b ", ""].map(str::to_owned);
        assert_eq!(addresses("X", &items, 9).unwrap(), [("a".to_owned(), 1), ("b".to_owned(), 9)]);
        assert_eq!(addresses("X", &["a:b".to_owned()], 9).unwrap_err().to_string(), "X: 'a:b' is not host:port");
        let none = addresses("X", &[String::new()], 9).unwrap_err().to_string();
        assert_eq!(none, "X: set it to host:port, several separated by commas");
    }
}
