//! Addresses under which nodes reach each other.

use std::net::{IpAddr, SocketAddr};

/// A text that is not the address of a node.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It has another form.
    #[error("'{0}' is not the address of a node: give a host, host:port or http://host:port")]
    Form(String),
    /// It stands for every address of a machine.
    #[error(
        "'{0}' stands for all addresses of a machine: give one at which other nodes reach this one, or leave it out"
    )]
    Unspecified(String),
}

/// The base URL in `host`, `host:port` or `http://host:port`; `port` where none is given.
///
/// ```
/// use plugin_service::config::address::{AddressError, parse};
///
/// assert_eq!(parse("node-1", 5002)?, "http://node-1:5002");
/// assert_eq!(parse("[fd00::1]:80", 5002)?, "http://[fd00::1]:80");
/// assert_eq!(parse("0.0.0.0", 5002), Err(AddressError::Unspecified("0.0.0.0".to_owned())));
/// # Ok::<(), AddressError>(())
/// ```
pub fn parse(text: &str, port: u16) -> Result<String, AddressError> {
    let wrong = || AddressError::Form(text.to_owned());
    let place = text.strip_prefix("http://").unwrap_or(text);
    let place = place.strip_suffix('/').unwrap_or(place);
    let is_unspecified = |host: &str| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_unspecified())
    };
    let unspecified = || AddressError::Unspecified(text.to_owned());
    if let Ok(ip) = place.parse::<IpAddr>() {
        return if is_unspecified(place) { Err(unspecified()) } else { Ok(url(ip, port)) };
    }
    let authority: http::uri::Authority = place.parse().map_err(|_| wrong())?;
    if is_unspecified(authority.host()) {
        return Err(unspecified());
    }
    match authority.port_u16() {
        _ if authority.host().is_empty() || place.contains('@') => Err(wrong()),
        None if authority.host() == place => Ok(format!("http://{place}:{port}")),
        Some(1..) => Ok(format!("http://{place}")),
        _ => Err(wrong()),
    }
}

/// The base URL of a port at an IP address.
pub fn url(ip: IpAddr, port: u16) -> String {
    format!("http://{}", SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let check = |text: &str, expected: &str| assert_eq!(parse(text, 5002).as_deref(), Ok(expected), "{text}");
        check("10.0.0.1", "http://10.0.0.1:5002");
        check("10.0.0.1:80", "http://10.0.0.1:80");
        check("http://node-1.plugins:80/", "http://node-1.plugins:80");
        check("node-1", "http://node-1:5002");
        check("fd00::1", "http://[fd00::1]:5002");
        check("[fd00::1]", "http://[fd00::1]:5002");
        check("[fd00::1]:80", "http://[fd00::1]:80");
        for wrong in ["", "https://a", "a:b", "a:0", "a:70000", "a/b", "a b", "http://", "u@a", "a:"] {
            assert!(parse(wrong, 5002).is_err(), "{wrong}");
        }
        for unspecified in
            ["0.0.0.0", "0.0.0.0:5002", "http://0.0.0.0/", "::", "[::]", "http://[::]:5002", "::ffff:0.0.0.0"]
        {
            assert_eq!(parse(unspecified, 5002), Err(AddressError::Unspecified(unspecified.to_owned())));
        }
    }
}
