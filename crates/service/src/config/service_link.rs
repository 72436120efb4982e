//! Variables that Kubernetes sets in every container for each service of the namespace ("service links"). A service that is
//! named `redis` sets `REDIS_PORT=tcp://10.0.0.9:6379`.

/// Whether Kubernetes has set the variable in the place of a port.
pub(super) fn is_port(name: &str, text: &str) -> bool {
    name.ends_with("_PORT") && address(text).is_some()
}

/// `host:port` of the service.
fn address(text: &str) -> Option<&str> {
    let (protocol, address) = text.split_once("://")?;
    let (host, port) = address.rsplit_once(':')?;
    let is_port = !host.is_empty() && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    (matches!(protocol, "tcp" | "udp" | "sctp") && is_port).then_some(address)
}

/// What the log says about a variable of the daemon's that Kubernetes has set.
pub(super) fn note(name: &str, text: &str) -> String {
    format!(
        "{name}: '{text}' is set by Kubernetes for a service of that name and is ignored; set {name} yourself if the \
         default is not right, or enableServiceLinks: false in the pod's spec"
    )
}

/// Whether the variable is one that Kubernetes sets for a service.
pub(super) fn is_one(name: &str, text: &str) -> bool {
    if is_port(name, text) {
        return true;
    }
    if name.ends_with("_SERVICE_HOST") || name.ends_with("_SERVICE_PORT") || name.contains("_SERVICE_PORT_") {
        return true;
    }
    // <SERVICE>_PORT_<number>_<protocol>, and parts of it
    let Some((_, rest)) = name.split_once("_PORT_") else { return false };
    let mut parts = rest.split('_');
    let numbered = parts.next().is_some_and(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    numbered
        && matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"))
        && matches!(parts.next(), None | Some("PROTO" | "PORT" | "ADDR"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_services() {
        for (name, text) in [
            ("REDIS_PORT", "tcp://10.0.0.9:6379"),
            ("REDIS_PORT", "tcp://[fd00::9]:6379"),
            ("SERVER_SERVICE_HOST", "10.0.0.9"),
            ("SERVER_SERVICE_PORT", "80"),
            ("SERVER_SERVICE_PORT_HTTP", "80"),
            ("SERVER_PORT_80_TCP", "tcp://10.0.0.9:80"),
            ("SERVER_PORT_80_TCP_ADDR", "10.0.0.9"),
            ("SERVER_PORT_80_UDP_PROTO", "udp"),
        ] {
            assert!(is_one(name, text), "{name}");
        }
        for (name, text) in [
            ("REDIS_PORT", "6379"),
            ("REDIS_HOST", "tcp://a:1"),
            ("A_PORT_X_TCP", "1"),
            ("A_PORT_80_HTTP", "1"),
            ("B_PORT", "tcp://a"),
        ] {
            assert!(!is_one(name, text), "{name}");
        }
    }
}
