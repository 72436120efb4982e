//! Sends envelopes with the daemon's HTTP client and on its runtime.

use std::sync::Arc;
use std::time::Duration;

use sentry_core::{Envelope, Transport, TransportFactory, TransportOptions};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::telemetry::LineLimit;

/// Envelopes that may wait; more are dropped.
const MOST_WAITING: usize = 128;
/// How long Sentry may take for one.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Factory {
    http: reqwest::Client,
    runtime: Handle,
}

impl Factory {
    pub(super) fn new(runtime: &Handle) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { http, runtime: runtime.clone() })
    }
}

impl TransportFactory for Factory {
    fn create_transport_with_options(&self, options: TransportOptions) -> Arc<dyn Transport> {
        let (queue, waiting) = mpsc::channel(MOST_WAITING);
        let dsn = options.dsn;
        let sender = Sender {
            http: self.http.clone(),
            url: dsn.envelope_api_url().to_string(),
            auth: dsn.to_auth(Some("dify-plugin-daemon")).to_string(),
            limit: LineLimit::default(),
        };
        self.runtime.spawn(sender.run(waiting));
        Arc::new(Queue { queue })
    }
}

enum Message {
    Send(Box<Envelope>),
    Flush(oneshot::Sender<()>),
}

struct Queue {
    queue: mpsc::Sender<Message>,
}

impl Transport for Queue {
    fn send_envelope(&self, envelope: Envelope) {
        // an error report is not worth waiting for
        let _ = self.queue.try_send(Message::Send(Box::new(envelope)));
    }

    fn flush(&self, timeout: Duration) -> bool {
        let (done, ended) = oneshot::channel();
        if self.queue.try_send(Message::Flush(done)).is_err() {
            return false;
        }
        let (heard, hears) = std::sync::mpsc::channel();
        // the caller is no task: the answer has to come from a thread
        std::thread::spawn(move || heard.send(ended.blocking_recv().is_ok()));
        hears.recv_timeout(timeout).unwrap_or(false)
    }
}

struct Sender {
    http: reqwest::Client,
    url: String,
    auth: String,
    limit: LineLimit,
}

impl Sender {
    async fn run(self, mut waiting: mpsc::Receiver<Message>) {
        while let Some(message) = waiting.recv().await {
            match message {
                Message::Send(envelope) => self.send(&envelope).await,
                // whoever asked may have given up
                Message::Flush(done) => drop(done.send(())),
            }
        }
    }

    async fn send(&self, envelope: &Envelope) {
        let mut body = Vec::new();
        let failed = match envelope.to_writer(&mut body) {
            Ok(()) => self.post(body).await.err(),
            Err(error) => Some(error.to_string()),
        };
        if let Some(error) = failed
            && let Some(others) = self.limit.due()
        {
            // WARN: what is logged as ERROR comes here again
            tracing::warn!(error, others, "Sentry did not take an error report");
        }
    }

    async fn post(&self, body: Vec<u8>) -> Result<(), String> {
        let request = self.http.post(&self.url).header("x-sentry-auth", &self.auth).body(body);
        let answer = request.send().await.map_err(|error| error.without_url().to_string())?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("it answered {status}")),
        }
    }
}
