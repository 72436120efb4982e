//! The listener: accepts, bounds and ends connections.

mod body;
mod idle;
mod refused;
mod repolled;
mod unread;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderValue, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::body::StallGuard;
use self::idle::IdleTracker;
use self::refused::Refusals;
use self::repolled::repolled;
use super::front::Front;
use plugin_service::config::Server as Settings;
use plugin_service::lifecycle::Lifecycle;

/// Headers of one request; more are refused with 431.
const MAX_HEADERS: usize = 256;

/// How long a connection may take for the head of a request, or stay idle between two.
const HEAD_TIMEOUT: Duration = Duration::from_mins(2);

/// Silence of a connection after which, and how often, the peer is probed.
const PROBE_AFTER: Duration = Duration::from_secs(30);

/// How long a peer may leave what was sent, or probes, without an answer.
const DEAD_AFTER_MILLIS: u32 = 300_000;

/// How long an idle connection stays open after the soft stop. Its client may be about to use it, and could not know whether
/// a request that meets a closed connection was processed.
const LAST_REQUEST: Duration = Duration::from_millis(500);

/// How long answers that were cut off may take to be sent.
const CUT_GRACE: Duration = Duration::from_secs(1);

/// How long to wait after a failed accept; most often there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The port cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen on {host}:{port} (SERVER_HOST, SERVER_PORT): {source}")]
pub struct BindError {
    host: String,
    port: u16,
    source: io::Error,
}

/// Opens the port.
pub async fn bind(settings: &Settings) -> Result<TcpListener, BindError> {
    let (host, port) = (settings.host.as_str(), settings.port);
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    TcpListener::bind((bare, port)).await.map_err(|source| BindError { host: host.to_owned(), port, source })
}

/// Serves until the daemon stops: accepts until the soft stop, then waits for the connections to end, and drops them
/// soon after the hard stop.
pub async fn serve(listener: TcpListener, front: Arc<Front>, max_connections: u32, lifecycle: Lifecycle) {
    let slots = Arc::new(Semaphore::new(usize::try_from(max_connections).unwrap_or(Semaphore::MAX_PERMITS)));
    let connections = TaskTracker::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_headers(MAX_HEADERS);
    let refusals = Arc::new(Refusals::default());
    let serve = |(stream, peer), slot: OwnedSemaphorePermit| {
        let connection = connection(http.clone(), stream, peer, Arc::clone(&front), lifecycle.clone());
        let refusals = Arc::clone(&refusals);
        connections.spawn(repolled(async move {
            if let Err(error) = connection.await {
                refusals.log(&error, peer);
            }
            drop(slot);
        }));
    };
    let accept = async {
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
            serve(accept(&listener).await, slot);
        }
    };
    lifecycle.soft().run_until_cancelled(accept).await;
    for accepted in waiting(listener, slots.available_permits()) {
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { break };
        serve(accepted, slot);
    }
    connections.close();
    connections.wait().await;
}

/// Closes the port. Returns at most `most` of the connections that wait to be accepted; the others are reset.
fn waiting(listener: TcpListener, most: usize) -> Vec<(TcpStream, SocketAddr)> {
    let accepted = listener.into_std().map(|listener| {
        // it does not block, and ends when there is none
        std::iter::from_fn(|| listener.accept().ok())
            .take(most)
            .filter_map(|(stream, peer)| {
                stream.set_nonblocking(true).ok()?;
                Some((TcpStream::from_std(stream).ok()?, peer))
            })
            .collect()
    });
    accepted.unwrap_or_default()
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut logged = false;
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // the peer has closed the connection: no reason to pause
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
            }
            Err(error) => {
                if !std::mem::replace(&mut logged, true) {
                    tracing::warn!(%error, "failed to accept a connection, retrying");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(
    http: http1::Builder,
    stream: TcpStream,
    peer: SocketAddr,
    front: Arc<Front>,
    lifecycle: Lifecycle,
) -> hyper::Result<()> {
    if let Err(error) = tune(&stream) {
        tracing::debug!(%error, "failed to set options of a connection");
    }
    let (stopping, tracker) = (lifecycle.soft().clone(), Arc::new(IdleTracker::default()));
    let served = Arc::clone(&tracker);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (front, stopping, active) = (Arc::clone(&front), stopping.clone(), served.request());
        async move {
            let (request, rest) = unread::watch(request);
            let mut response = front.answer(request.map(|body| Body::new(StallGuard::new(body))), peer.ip()).await;
            let reusable = rest.discard().await;
            if stopping.is_cancelled() || !reusable {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(active.until_sent(response))
        }
    });
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let idle = async {
        lifecycle.soft().cancelled().await;
        lifecycle.hard().run_until_cancelled(tracker.idle_for(LAST_REQUEST)).await;
    };
    tokio::select! {
        ended = &mut connection => ended,
        () = idle => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = &mut connection => ended,
                () = cut(lifecycle.hard()) => Ok(()),
            }
        }
    }
}

/// Data is sent at once, and a peer that vanished or stopped reading is detected, which ends its calls.
fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, PROBE_AFTER)?;
    sockopt::set_tcp_keepintvl(stream, PROBE_AFTER)?;
    sockopt::set_tcp_user_timeout(stream, DEAD_AFTER_MILLIS)?;
    Ok(())
}

async fn cut(hard: &CancellationToken) {
    hard.cancelled().await;
    tokio::time::sleep(CUT_GRACE).await;
}

#[cfg(test)]
mod tests;
