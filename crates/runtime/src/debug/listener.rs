//! The port: opened, and every connection to it given its options.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{Shared, connection};
use crate::task::{self, Task};

/// Pauses between the attempts to open the port (plugin-protocol 2.2).
const PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(4)];
/// Connections that the kernel keeps while they wait to be accepted.
const BACKLOG: u32 = 1024;
/// Silence of a connection after which, and how often, the peer's machine is probed.
const PROBE_AFTER: Duration = Duration::from_secs(15);
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// How long it may leave what was sent, or probes, without an answer.
const DEAD_AFTER_MILLIS: u32 = 60_000;
/// How long to wait after a failed accept, which is mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The port cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "failed to listen on {host}:{port} for debugging connections (PLUGIN_REMOTE_INSTALLING_HOST, \
     PLUGIN_REMOTE_INSTALLING_PORT): {source}"
)]
pub struct BindError {
    host: String,
    port: u16,
    source: io::Error,
}

/// Opens the port, trying again for some seconds while another process has it.
pub async fn bind(host: &str, port: u16) -> Result<TcpListener, BindError> {
    let mut pauses = PAUSES.into_iter();
    loop {
        match listen(host, port).await {
            Ok(listener) => return Ok(listener),
            Err(source) => {
                let error = BindError { host: host.to_owned(), port, source };
                let Some(pause) = pauses.next() else { return Err(error) };
                tracing::warn!(%error, seconds = pause.as_secs(), "trying again");
                tokio::time::sleep(pause).await;
            }
        }
    }
}

async fn listen(host: &str, port: u16) -> io::Result<TcpListener> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in tokio::net::lookup_host((bare, port)).await? {
        match open(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // connections of the process before may still be in their last state
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts until the soft stop, also after a panic.
pub(super) async fn accept(shared: &Arc<Shared>, listener: TcpListener) {
    let port = listener.local_addr().map_or_else(|error| error.to_string(), |address| address.to_string());
    let accepting = async {
        while task::guard(Task::Listener, &port, accept_each(shared, &listener)).await.is_err() {
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    };
    shared.soft.run_until_cancelled(accepting).await;
}

async fn accept_each(shared: &Arc<Shared>, listener: &TcpListener) {
    let mut is_reported = false;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                is_reported = false;
                if let Err(error) = tune(&stream) {
                    tracing::debug!(%peer, %error, "failed to set options of a debugging connection");
                }
                let half_open = shared.half_open.add();
                let serve = connection::serve(Arc::clone(shared), stream, peer, half_open);
                // whatever panics, the connection is closed by being dropped
                shared.tasks.spawn(task::guard(Task::Connection, peer, serve));
            }
            Err(error) => {
                if !std::mem::replace(&mut is_reported, true) {
                    tracing::warn!(%error, "failed to accept a debugging connection, trying until it works");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Messages leave at once, and a peer that vanished is noticed.
fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, PROBE_AFTER)?;
    sockopt::set_tcp_keepintvl(stream, PROBE_EVERY)?;
    #[cfg(target_os = "linux")]
    sockopt::set_tcp_user_timeout(stream, DEAD_AFTER_MILLIS)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_port_that_cannot_be_had_is_named_with_its_variables() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let begun = tokio::time::Instant::now();
        let error = bind("127.0.0.1", port).await.unwrap_err().to_string();
        assert_eq!(begun.elapsed(), PAUSES.iter().sum(), "{error}");
        let place = format!("failed to listen on 127.0.0.1:{port} for debugging connections");
        for part in [&*place, "PLUGIN_REMOTE_INSTALLING_HOST, PLUGIN_REMOTE_INSTALLING_PORT", "in use"] {
            assert!(error.contains(part), "{error}");
        }
        let nowhere = bind("no-such-host.invalid", 1).await.unwrap_err().to_string();
        assert!(nowhere.starts_with("failed to listen on no-such-host.invalid:1 "), "{nowhere}");
        drop(taken);
        bind("127.0.0.1", port).await.unwrap();
    }
}
