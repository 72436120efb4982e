//! Calls by gRPC, as far as exporters make any: one message, one answer.
//!
//! Such a call is a request of HTTP/2 whose message has five bytes in front of it, and whose status comes in the trailers
//! (gRPC over HTTP2). It needs no more than the client that is there already: a library for gRPC brings load balancing, pools
//! and servers into the program.

use std::io;

use async_trait::async_trait;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;

/// The paths of the calls that take traces and metrics.
pub(super) const METHODS: [&str; 2] = [
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
];

/// In front of a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;
/// A longer answer is a failure: it has nothing but what was not taken.
const MOST_BYTES: usize = 1 << 20;

type Http2 = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Sends on the daemon's runtime, from whatever thread.
#[derive(Clone, Debug)]
pub(super) struct GrpcClient {
    http: Http2,
    runtime: Handle,
}

impl GrpcClient {
    pub(super) fn new(runtime: Handle) -> io::Result<Self> {
        let roots = HttpsConnectorBuilder::new().try_with_platform_verifier().map_err(io::Error::other)?;
        let connector = roots.https_or_http().enable_http2().build();
        Ok(Self { http: Client::builder(TokioExecutor::new()).http2_only(true).build(connector), runtime })
    }
}

#[async_trait]
impl HttpClient for GrpcClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        self.runtime.spawn(call(self.http.clone(), request)).await?
    }
}

/// Calls a method. The answer has the status that stands for the call's, and no content: the exporters do nothing with it.
async fn call(http: Http2, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let (mut head, message) = request.into_parts();
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    head.headers.insert(TE, HeaderValue::from_static("trailers"));
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    framed.put_u8(0);
    framed.put_u32(message.len().try_into()?);
    framed.put(message);
    let (answer, body) = http.request(Request::from_parts(head, Full::new(framed.freeze()))).await?.into_parts();
    let body = Limited::new(body, MOST_BYTES).collect().await?;
    // a call that fails at once has no trailers but only headers
    let status = match grpc_status(body.trailers().unwrap_or(&answer.headers)) {
        Some(status) => http_status(status),
        None if answer.status.is_success() => StatusCode::BAD_GATEWAY,
        None => answer.status,
    };
    Ok(Response::builder().status(status).body(Bytes::new())?)
}

fn grpc_status(headers: &HeaderMap) -> Option<u8> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// What OTLP over HTTP says for a status of gRPC: the exporter tries again for the same reasons.
fn http_status(grpc: u8) -> StatusCode {
    match grpc {
        0 => StatusCode::OK,
        // CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS: it may be taken later
        1 | 4 | 10 | 11 | 14 | 15 => StatusCode::SERVICE_UNAVAILABLE,
        // INVALID_ARGUMENT, FAILED_PRECONDITION
        3 | 9 => StatusCode::BAD_REQUEST,
        // PERMISSION_DENIED
        7 => StatusCode::FORBIDDEN,
        // RESOURCE_EXHAUSTED
        8 => StatusCode::TOO_MANY_REQUESTS,
        // UNIMPLEMENTED
        12 => StatusCode::NOT_FOUND,
        // UNAUTHENTICATED
        16 => StatusCode::UNAUTHORIZED,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
