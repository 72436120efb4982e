//! Keys of published sample files: everybody knows them, and Dify's own compose file starts with them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::{Config, Secret};

/// Keys in the sample files of the reference and of Dify.
const SAMPLE_KEYS: [&str; 2] = [
    "lYkiYYT6owG+71oLerGzA7GXCgOT++6ovaezWAjpCjf+Sjc3ZtU+qUEi",
    "QaHbTe77CtuXmsfyhR7+vRjI/+XbV1AaFy691iy+kGDv2Jvy0/eAh8Y1",
];

/// The variables whose values are keys of published sample files.
pub fn sample_keys(config: &Config) -> Vec<&'static str> {
    let keys = [("SERVER_KEY", &config.server.key), ("DIFY_INNER_API_KEY", &config.dify.key)];
    let is_sample = |key: &Option<Secret>| key.as_ref().is_some_and(|key| SAMPLE_KEYS.contains(&key.expose()));
    keys.into_iter().filter(|(_, key)| is_sample(key)).map(|(name, _)| name).collect()
}

/// The daemon listens where anyone can use a key that everybody knows.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{keys}: the key of a published sample file, which anyone can use at the public address {address}; set an own key here \
     and in Dify, or SERVER_HOST to a private address, or PLUGIN_ALLOW_SAMPLE_KEYS=true to accept the risk"
)]
pub struct ExposedError {
    keys: String,
    address: IpAddr,
}

/// Refuses keys of sample files at a public address, unless they are allowed. `listening` is what the listener is bound to.
///
/// # Errors
///
/// With the variables and the address.
pub fn exposed(config: &Config, listening: SocketAddr) -> Result<(), ExposedError> {
    let keys = sample_keys(config);
    if keys.is_empty() || config.server.allow_sample_keys.is_some() {
        return Ok(());
    }
    let addresses = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => outgoing(OUT_V4).into_iter().collect(),
        IpAddr::V6(ip) if ip.is_unspecified() => outgoing(OUT_V4).into_iter().chain(outgoing(OUT_V6)).collect(),
        ip => vec![ip],
    };
    match addresses.into_iter().find(|address| is_public(*address)) {
        Some(address) => Err(ExposedError { keys: keys.join(", "), address }),
        None => Ok(()),
    }
}

/// Addresses for documentation, at which nobody is: they are routed like the rest of the Internet.
const OUT_V4: (IpAddr, IpAddr) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)));
const OUT_V6: (IpAddr, IpAddr) =
    (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)));

/// The own address of the interface through which the Internet is reached, if it is; nothing is sent.
fn outgoing((from, to): (IpAddr, IpAddr)) -> Option<IpAddr> {
    let socket = UdpSocket::bind((from, 0)).ok()?;
    socket.connect((to, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_broadcast()
                || ip.is_multicast()
                || shared)
        }
        IpAddr::V6(ip) => ip.segments()[0] & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_keys_are_refused_at_a_public_address() {
        let config = |allow: Option<&str>| {
            let pairs = [("SERVER_KEY", SAMPLE_KEYS[0]), ("DIFY_INNER_API_KEY", SAMPLE_KEYS[1])];
            let allow = allow.map(|allow| ("PLUGIN_ALLOW_SAMPLE_KEYS", allow));
            let variables = pairs.into_iter().chain(allow).map(|(name, text)| (name.to_owned(), text.to_owned()));
            Config::from_vars(variables.collect()).unwrap()
        };
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.17.0.2",
            "192.168.0.1",
            "100.64.0.1",
            "169.254.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
        ] {
            assert_eq!(exposed(&config(None), SocketAddr::new(private.parse().unwrap(), 5002)), Ok(()), "{private}");
        }
        for public in ["8.8.8.8", "2a00::1", "::ffff:8.8.8.8"] {
            let listening = SocketAddr::new(public.parse().unwrap(), 5002);
            let error = exposed(&config(None), listening).unwrap_err().to_string();
            assert!(error.starts_with(&format!(
                "SERVER_KEY, DIFY_INNER_API_KEY: the key of a published sample file, which anyone can use at the public address {public}"
            )), "{error}");
            assert_eq!(exposed(&config(Some("true")), listening), Ok(()));
        }
        let none = Config::from_vars(std::collections::BTreeMap::default()).unwrap();
        assert_eq!(exposed(&none, SocketAddr::new("8.8.8.8".parse().unwrap(), 5002)), Ok(()));
    }
}
