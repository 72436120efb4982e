//! Plugins as functions elsewhere: one HTTP exchange is one session (plugin-protocol 2.3).
//!
//! The request is the body of a `POST`, the answer comes back as lines. A function's calls back into Dify do not come
//! this way. All functions share one client, which keeps connections open; letting go of a session closes its exchange.
//!
//! What may have run is never sent again: an attempt is repeated only when no connection came up, or when a gateway says
//! that it did not get through.

mod answer;
mod callback;
mod exchange;
mod function;
mod refusal;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_protocol::Action;
use reqwest::Url;
use reqwest::redirect::Policy;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::session::{Event, Failure, ReplyError, ReplySink};
use crate::task::{self, Task};
use crate::{Call, OpenError, Runtime, Session};
use exchange::Exchange;

pub use callback::{callback_token, callback_url};
pub use function::Function;

/// Idle connections are given back after this time, before the other side may close them.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Idle connections kept for one host.
const MAX_IDLE: usize = 256;

/// The `errorType` of a 404 by which a connector says that it has no such function: nothing has run.
pub const FUNCTION_NOT_FOUND: &str = "FunctionNotFound";

/// How functions are called.
#[derive(Clone, Debug)]
pub struct ServerlessSettings {
    /// Attempts in all; at least one is made (`MAX_SERVERLESS_RETRY_TIMES`).
    pub attempts: u32,
    /// The pause before the second attempt; each further one is twice as long.
    pub retry_pause: Duration,
    /// Bytes of one request (`MAX_SERVERLESS_REQUEST_BYTES`).
    pub max_request_bytes: usize,
    /// Bytes of one line of an answer.
    pub max_line_bytes: usize,
    /// How long a connection may take to come up.
    pub connect_timeout: Duration,
    /// Takes an answer that ends without its `end` for whole, as the reference does.
    pub accept_missing_end: bool,
}

impl Default for ServerlessSettings {
    fn default() -> Self {
        Self {
            attempts: 3,
            retry_pause: Duration::from_millis(500),
            max_request_bytes: 5 * 1024 * 1024,
            max_line_bytes: 64 * 1024 * 1024,
            connect_timeout: Duration::from_secs(10),
            accept_missing_end: false,
        }
    }
}

/// Knows where the function of a plugin is.
#[async_trait]
pub trait Functions: Send + Sync + fmt::Debug {
    /// The URL of the function, below which `invoke` is. One that has to be made first may take until `start_by`;
    /// requests that this needs belong to the trace of the call.
    async fn url(&self, plugin: &UniqueIdentifier, start_by: Instant, traceparent: &str) -> Result<Url, OpenError>;

    /// An attempt to call a function has failed: with a status, or since it could not be reached.
    fn failed(&self, _action: Action, _status: Option<u16>) {}

    /// The same when the function that was known is gone: it is made again.
    async fn again(&self, plugin: &UniqueIdentifier, start_by: Instant, traceparent: &str) -> Result<Url, OpenError>;
}

/// Calls functions.
#[derive(Debug)]
pub struct ServerlessRuntime {
    client: reqwest::Client,
    settings: ServerlessSettings,
    functions: Arc<dyn Functions>,
}

impl ServerlessRuntime {
    /// A runtime for these functions. Fails when this machine cannot do TLS.
    pub fn new(settings: ServerlessSettings, functions: Arc<dyn Functions>) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .no_proxy()
            // the request holds credentials: they are for the function and for nobody it points to
            .redirect(Policy::none())
            .connect_timeout(settings.connect_timeout)
            .pool_idle_timeout(KEEP_ALIVE)
            .pool_max_idle_per_host(MAX_IDLE)
            .tcp_nodelay(true)
            .http1_only()
            .build()?;
        Ok(Self { client, settings, functions })
    }
}

#[async_trait]
impl Runtime for ServerlessRuntime {
    async fn open(&self, call: Call) -> Result<Session, OpenError> {
        let (bytes, limit) = (call.request.len(), self.settings.max_request_bytes);
        if bytes > limit {
            return Err(OpenError::TooLarge(too_large(call.action, bytes, limit, None)));
        }
        let url = self.functions.url(&call.plugin, call.start_by, &call.traceparent).await?;
        let cut = CancellationToken::new();
        let on_drop = cut.clone();
        let (sender, session) = Session::new(Arc::new(NoReplies), move || on_drop.cancel());
        let exchange = Exchange {
            client: self.client.clone(),
            functions: Arc::clone(&self.functions),
            settings: self.settings.clone(),
            url: invoke_at(url, call.action),
            call,
            sender,
        };
        let (plugin, failing) = (exchange.call.plugin.clone(), exchange.sender.clone());
        let run = async move {
            if let Some(Some(rest)) = cut.run_until_cancelled(exchange.run()).await {
                rest.read().await;
            }
        };
        task::detach(Task::Exchange, plugin, run, move |panicked| {
            failing.push(Event::Failed(Failure::from(&panicked)));
        });
        Ok(session)
    }
}

/// The text of a request over the limit (plugin-protocol 2.3); `item` is the text that alone is too large (4.8).
pub fn too_large(action: plugin_protocol::Action, bytes: usize, limit: usize, item: Option<usize>) -> String {
    let item = item.map(|index| format!(" item_index={index}")).unwrap_or_default();
    format!("ServerlessPayloadTooLarge: action={action} payload_bytes={bytes} max_request_bytes={limit}{item}")
}

/// `{url}/invoke?action={action}`, whatever slash or query the URL ends with.
fn invoke_at(mut url: Url, action: plugin_protocol::Action) -> Url {
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().push("invoke");
    }
    url.query_pairs_mut().append_pair("action", action.as_str());
    url
}

/// Functions are answered by the requests that they make, not on this way.
#[derive(Debug)]
struct NoReplies;

#[async_trait]
impl ReplySink for NoReplies {
    async fn reply(&self, _: Bytes) -> Result<(), ReplyError> {
        Err(ReplyError("it runs as a function, which takes nothing but its request".to_owned()))
    }
}

#[cfg(test)]
mod tests;
