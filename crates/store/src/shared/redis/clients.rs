//! From settings to clients of the Redis library.

use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisResult, TlsCertificates, TlsMode};
use tokio::sync::Mutex;

use super::diagnosis::{Role, Server};
use crate::shared::{RedisConfig, RedisServers};
use crate::{Error, Result};

/// How Redis is reached.
#[expect(clippy::large_enum_variant, reason = "there is one, for the life of the process")]
pub(super) enum Mode {
    Single(Client),
    Sentinel { sentinel: Mutex<SentinelClient>, service: String, config: RedisConfig, certificates: TlsCertificates },
    Cluster(ClusterClient),
}

/// A client for each configured address.
pub(super) fn servers(config: &RedisConfig, certificates: &TlsCertificates) -> RedisResult<Vec<Server>> {
    let (role, addresses) = match &config.servers {
        RedisServers::Single { host, port } => {
            return Ok(vec![server(config, certificates, Role::Single, host, *port)?]);
        }
        RedisServers::Sentinel { sentinels, .. } => (Role::Sentinel, sentinels),
        RedisServers::Cluster { nodes } => (Role::ClusterNode, nodes),
    };
    addresses.iter().map(|(host, port)| server(config, certificates, role, host, *port)).collect()
}

pub(super) fn server(
    config: &RedisConfig,
    certificates: &TlsCertificates,
    role: Role,
    host: &str,
    port: u16,
) -> RedisResult<Server> {
    let info = match (role, &config.servers) {
        (Role::Sentinel, RedisServers::Sentinel { username, password, .. }) => {
            let sentinel =
                RedisConfig { username: username.clone(), password: password.clone(), database: 0, ..config.clone() };
            info(&sentinel, host, port)?
        }
        _ => info(config, host, port)?,
    };
    let client = client(info, certificates)?;
    Ok(Server { role, host: host.to_owned(), port, tls: config.tls.is_some(), client, timeout: config.timeout })
}

pub(super) fn mode(config: &RedisConfig, certificates: TlsCertificates) -> RedisResult<Mode> {
    let mode = config.tls.as_ref().map(|tls| if tls.verify { TlsMode::Secure } else { TlsMode::Insecure });
    match &config.servers {
        RedisServers::Single { host, port } => Ok(Mode::Single(client(info(config, host, *port)?, &certificates)?)),
        RedisServers::Sentinel { sentinels, service, username, password } => {
            let addresses = sentinels.iter().map(|(host, port)| address(config, host, *port));
            let mut builder = SentinelClientBuilder::new(addresses, service, SentinelServerType::Master)?
                .set_client_to_redis_db(config.database);
            if let Some(mode) = mode {
                builder = builder
                    .set_client_to_redis_tls_mode(mode)
                    .set_client_to_redis_certificates(certificates.clone())
                    .set_client_to_sentinel_tls_mode(mode)
                    .set_client_to_sentinel_certificates(certificates.clone());
            }
            if !config.username.is_empty() {
                builder = builder.set_client_to_redis_username(&config.username);
            }
            if !config.password.is_empty() {
                builder = builder.set_client_to_redis_password(&config.password);
            }
            if !username.is_empty() {
                builder = builder.set_client_to_sentinel_username(username);
            }
            if !password.is_empty() {
                builder = builder.set_client_to_sentinel_password(password);
            }
            let (service, config) = (service.clone(), config.clone());
            Ok(Mode::Sentinel { sentinel: Mutex::new(builder.build()?), service, config, certificates })
        }
        RedisServers::Cluster { nodes } => {
            let infos: Vec<ConnectionInfo> =
                nodes.iter().map(|(host, port)| info(config, host, *port)).collect::<RedisResult<_>>()?;
            let mut builder =
                ClusterClientBuilder::new(infos).connection_timeout(config.timeout).response_timeout(config.timeout);
            if let Some(mode) = mode {
                builder = builder.tls(mode).certs(certificates);
            }
            if !config.username.is_empty() {
                builder = builder.username(&config.username);
            }
            if !config.password.is_empty() {
                builder = builder.password(&config.password);
            }
            Ok(Mode::Cluster(builder.build()?))
        }
    }
}

fn client(info: ConnectionInfo, certificates: &TlsCertificates) -> RedisResult<Client> {
    match info.addr() {
        ConnectionAddr::TcpTls { .. } => Client::build_with_tls(info, certificates.clone()),
        ConnectionAddr::Tcp(..) | ConnectionAddr::Unix(_) => Client::open(info),
        _ => Err((redis::ErrorKind::InvalidClientConfig, "unknown kind of address").into()),
    }
}

fn address(config: &RedisConfig, host: &str, port: u16) -> ConnectionAddr {
    match &config.tls {
        None => ConnectionAddr::Tcp(host.to_owned(), port),
        Some(tls) => ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure: !tls.verify, tls_params: None },
    }
}

fn info(config: &RedisConfig, host: &str, port: u16) -> RedisResult<ConnectionInfo> {
    let info = address(config, host, port).into_connection_info()?;
    let mut settings = info.redis_settings().clone();
    if !matches!(config.servers, RedisServers::Cluster { .. }) {
        settings = settings.set_db(config.database);
    }
    if !config.username.is_empty() {
        settings = settings.set_username(&config.username);
    }
    if !config.password.is_empty() {
        settings = settings.set_password(&config.password);
    }
    Ok(info.set_redis_settings(settings))
}

pub(super) async fn certificates(config: &RedisConfig) -> Result<TlsCertificates> {
    let authorities = config.tls.as_ref().and_then(|tls| tls.authorities.as_ref());
    let root_cert = match authorities {
        None => None,
        Some(path) => Some(tokio::fs::read(path).await.map_err(|error| {
            let text = format!("cannot read the certificates {}: {error}", path.display());
            Error::invalid(text).in_variables(&["REDIS_SSL_CA_CERTS"])
        })?),
    };
    Ok(TlsCertificates { client_tls: None, root_cert })
}
