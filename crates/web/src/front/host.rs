//! Checks the `Host` header, so that the daemon and a proxy before it cannot disagree about a request's host.

use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Version, header};

/// Why a request is refused for its `Host` (RFC 9112, 3.2), in the words of the reference.
pub(super) fn fault(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (_, Some(_)) => Some("too many Host headers"),
        (None, None) if version == Version::HTTP_11 => Some("missing required Host header"),
        (Some(host), None) if !is_valid(host) => Some("malformed Host header"),
        _ => None,
    }
}

fn is_valid(host: &HeaderValue) -> bool {
    let host = host.as_bytes();
    host.is_empty() || (!host.contains(&b'@') && Authority::try_from(host).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_that_can_be_one() {
        let fault = |version, hosts: &[&'static [u8]]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, HeaderValue::from_bytes(host).unwrap());
            }
            fault(version, &headers)
        };
        for host in ["", "daemon", "daemon:5002", "10.0.0.1:5002", "[::1]:5002", "a_b.example"] {
            assert_eq!(fault(Version::HTTP_11, &[host.as_bytes()]), None, "{host}");
        }
        for host in [&b"a b"[..], b"a/b", b"u@a", b"a:b:c", b"\xe4.de", b"a?b"] {
            let expected = Some("malformed Host header");
            assert_eq!(fault(Version::HTTP_11, &[host]), expected, "{}", host.escape_ascii());
        }
        assert_eq!(fault(Version::HTTP_11, &[]), Some("missing required Host header"));
        assert_eq!(fault(Version::HTTP_10, &[]), None);
        assert_eq!(fault(Version::HTTP_2, &[]), None, "it has an authority");
        for version in [Version::HTTP_10, Version::HTTP_11] {
            assert_eq!(fault(version, &[b"a", b"a"]), Some("too many Host headers"));
        }
    }
}
