//! The HTTP client of exporters, which run on threads of their own.

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;

/// Answers longer than this are not read: they say what was not taken.
const MOST_BYTES: u64 = 1 << 20;

/// Sends on the daemon's runtime, from whatever thread.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    runtime: Handle,
}

impl Client {
    pub(super) fn new(runtime: Handle) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { http, runtime })
    }

    async fn send(http: reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, reqwest::Error> {
        let answer = http.execute(request.try_into()?).await?;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        if answer.content_length().is_some_and(|length| length <= MOST_BYTES) {
            *response.body_mut() = answer.bytes().await?;
        }
        Ok(response)
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.runtime.spawn(Self::send(self.http.clone(), request)).await?;
        // the URL may have a password in it, and stands in the message already
        sent.map_err(|error| error.without_url().into())
    }
}
