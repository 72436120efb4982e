//! Refusals before the handshake in the daemon's log: at most one line for an address and minute, since anyone who
//! reaches the port can cause them.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

const EVERY: Duration = Duration::from_mins(1);
/// Addresses that are remembered; more of them within a minute are not logged.
const ADDRESSES: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct RefusalLog(Mutex<HashMap<IpAddr, Entry>>);

#[derive(Debug)]
struct Entry {
    logged: Instant,
    suppressed: u64,
}

impl RefusalLog {
    /// Logs a refusal if a line is due.
    pub(super) fn add(&self, peer: SocketAddr, reason: &str) {
        if let Some(suppressed) = self.due(peer.ip()) {
            tracing::warn!(%peer, reason, suppressed, "debugging connection refused");
        }
    }

    /// Whether a line is due; with the number of refusals of this address since its last line.
    fn due(&self, address: IpAddr) -> Option<u64> {
        let now = Instant::now();
        let mut entries = self.0.lock();
        if let Some(entry) = entries.get_mut(&address) {
            if now.duration_since(entry.logged) < EVERY {
                entry.suppressed += 1;
                return None;
            }
            entry.logged = now;
            return Some(std::mem::take(&mut entry.suppressed));
        }
        if entries.len() >= ADDRESSES {
            entries.retain(|_, entry| now.duration_since(entry.logged) < EVERY);
        }
        if entries.len() >= ADDRESSES {
            return None;
        }
        entries.insert(address, Entry { logged: now, suppressed: 0 });
        Some(0)
    }
}

/// What a first line that is no handshake most likely is.
pub(super) fn describe(line: &[u8]) -> &'static str {
    const METHODS: [&[u8]; 8] =
        [b"GET ", b"POST ", b"HEAD ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"PRI * HTTP/2"];
    if METHODS.iter().any(|method| line.starts_with(method)) {
        "an HTTP request, which belongs to the daemon's HTTP port (SERVER_PORT)"
    } else if line.starts_with(b"\x16\x03") {
        "a TLS handshake, and TLS is not enabled on this port"
    } else if line.trim_ascii_start().starts_with(b"{") {
        "a message that is no handshake with a key"
    } else {
        "something that is no message of a plugin"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_for_an_address_and_minute() {
        let log = RefusalLog::default();
        let [one, other] = [1, 2].map(|last| IpAddr::from([127, 0, 0, last]));
        assert_eq!([log.due(one), log.due(one), log.due(other), log.due(one)], [Some(0), None, Some(0), None]);
        tokio::time::advance(EVERY).await;
        assert_eq!([log.due(one), log.due(one)], [Some(2), None]);
        for address in 0..10_000_u32 {
            log.due(IpAddr::from(address.to_be_bytes()));
        }
        assert_eq!(log.0.lock().len(), ADDRESSES);
        tokio::time::advance(EVERY).await;
        assert_eq!(log.due(IpAddr::from([255; 4])), Some(0), "the old ones make room");
    }

    #[test]
    fn first_lines() {
        for (line, expected) in [
            (&b"GET / HTTP/1.1"[..], "an HTTP request"),
            (b"\x16\x03\x01\x02\x00\x01", "a TLS handshake"),
            (b"{\"type\":\"end\",\"data\":{}}", "a message that is no handshake"),
            (b"hello", "something that is no message"),
            (b"", "something that is no message"),
        ] {
            assert!(describe(line).starts_with(expected), "{line:?}");
        }
    }
}
