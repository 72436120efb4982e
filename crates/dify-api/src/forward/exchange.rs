//! One request to another node, on a connection of its own.
//!
//! A connection that is kept may be closed by the other end just when it is used again, and then it is unknown whether the
//! request was processed; a new one is made within the network of the nodes in less than a millisecond.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use plugin_store::shared::Node;
use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Silence after which, and how often, the other end is probed; how often in vain before it counts as dead.
const PROBE_AFTER: Duration = Duration::from_secs(10);
const PROBE_EVERY: Duration = Duration::from_secs(5);
const PROBES: u32 = 3;
/// How long the other end may leave what was sent without an answer, in milliseconds.
const DEAD_AFTER_MILLIS: u32 = 25_000;

/// What is sent.
pub(super) struct Exchange<'a> {
    pub(super) method: &'a Method,
    /// Path and query go as they are.
    pub(super) uri: &'a Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// How an exchange fails.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    /// The request has not been sent.
    #[error("{0}")]
    Connect(io::Error),
    /// The other node may have processed the request.
    #[error("{0}")]
    Lost(String),
}

/// A connection, cut when this is dropped: the other node takes that for the caller's leaving.
#[derive(Debug)]
pub(super) struct Connection(AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Exchange<'_> {
    /// Sends the request to a node; its answer begins by `deadline`.
    pub(super) async fn with(
        self,
        node: &Node,
        deadline: Instant,
    ) -> Result<(http::Response<Incoming>, Connection), ExchangeError> {
        let address = node.address.strip_prefix("http://").unwrap_or(&node.address);
        let stream = connect(address).await.map_err(ExchangeError::Connect)?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| connect_error(&error))?;
        let request = self.request(address).map_err(|error| connect_error(&error))?;
        let connection = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to another node ended early");
            }
        });
        let connection = Connection(connection.abort_handle());
        match timeout_at(deadline, sender.send_request(request)).await {
            Ok(Ok(answer)) => Ok((answer, connection)),
            Ok(Err(error)) => Err(ExchangeError::Lost(error.to_string())),
            Err(_) => Err(ExchangeError::Lost("the node does not answer".to_owned())),
        }
    }

    fn request(self, address: &str) -> http::Result<http::Request<Full<Bytes>>> {
        let target = self.uri.path_and_query().map_or("/", |target| target.as_str());
        let mut request =
            http::Request::builder().method(self.method.clone()).uri(target).body(Full::new(self.body))?;
        *request.headers_mut() = self.headers;
        request.headers_mut().insert(header::HOST, HeaderValue::try_from(address)?);
        Ok(request)
    }
}

fn connect_error(error: &dyn std::error::Error) -> ExchangeError {
    ExchangeError::Connect(io::Error::other(error.to_string()))
}

async fn connect(address: &str) -> io::Result<TcpStream> {
    let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
    let stream = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, PROBE_AFTER)?;
    sockopt::set_tcp_keepintvl(&stream, PROBE_EVERY)?;
    sockopt::set_tcp_keepcnt(&stream, PROBES)?;
    sockopt::set_tcp_user_timeout(&stream, DEAD_AFTER_MILLIS)?;
    Ok(stream)
}
