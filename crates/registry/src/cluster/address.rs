//! Where other nodes reach this one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use plugin_service::config::address::{AddressError, parse, url};
use plugin_service::config::{Config, Redis};
use tokio::net::UdpSocket;

/// An address in a network that is kept for documents: whatever leads there is the usual way out.
const SOMEWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);

/// The address that this node registers: the configured one (`SERVER_NODE_ADDRESS`), the one that it listens on,
/// or that of the interface through which the shared state or else the world is reached.
pub async fn advertised(config: &Config) -> Result<String, AddressError> {
    let server = &config.server;
    if let Some(address) = &server.node_address {
        return parse(address, server.port);
    }
    let bare = server.host.trim_start_matches('[').trim_end_matches(']');
    if !bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_unspecified()) {
        return parse(&server.host, server.port);
    }
    let near = match shared_state(&config.redis) {
        Some((host, port)) => outgoing((host.as_str(), port)).await,
        None => None,
    };
    let ip = match near {
        // on the machine of the shared state, others come from outside
        None => outgoing(SOMEWHERE).await,
        near => near,
    };
    Ok(url(ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), server.port))
}

/// Some server of the shared state.
fn shared_state(redis: &Redis) -> Option<(String, u16)> {
    let listed = if redis.use_cluster { &redis.cluster_nodes } else { &redis.sentinels };
    if redis.use_cluster || redis.use_sentinel {
        let first = listed.iter().map(|item| item.trim()).find(|item| !item.is_empty())?;
        let (host, port) = first.rsplit_once(':').unwrap_or((first, ""));
        return Some((host.to_owned(), port.parse().unwrap_or(redis.port)));
    }
    redis.host.clone().map(|host| (host, redis.port))
}

/// The own address on the way to another one; `None` if it is of this machine alone. Nothing is sent.
async fn outgoing(to: impl tokio::net::ToSocketAddrs) -> Option<IpAddr> {
    for target in tokio::net::lookup_host(to).await.ok()? {
        let any: IpAddr = if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { [0_u16; 8].into() };
        let Ok(socket) = UdpSocket::bind((any, 0)).await else { continue };
        if socket.connect(target).await.is_ok()
            && let Ok(own) = socket.local_addr()
            && !own.ip().is_loopback()
        {
            return Some(own.ip());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_is_listened_on_or_configured_is_announced() {
        let config = |variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Config::from_vars(variables.collect()).unwrap()
        };
        let listens = config(&[("SERVER_HOST", "127.0.0.1"), ("SERVER_PORT", "7000")]);
        assert_eq!(advertised(&listens).await.unwrap(), "http://127.0.0.1:7000");
        let configured = config(&[("SERVER_NODE_ADDRESS", "pod-1.plugins"), ("SERVER_HOST", "127.0.0.1")]);
        assert_eq!(advertised(&configured).await.unwrap(), "http://pod-1.plugins:5002");
        let found = advertised(&config(&[])).await.unwrap();
        assert!(!found.contains("0.0.0.0"), "{found}");
    }
}
