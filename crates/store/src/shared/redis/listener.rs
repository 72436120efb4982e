//! Subscriptions to Redis channels, restored when their connection breaks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use redis::aio::{PubSubSink, PubSubStream};
use tokio::sync::broadcast;
use tokio::task::AbortHandle;
use tokio::time::{interval, sleep, timeout};

use super::link::{Link, failed};
use crate::shared::{Notice, Subscription};
use crate::{Error, ErrorKind, Result};

/// How often a connection without messages is pinged.
const PING_EVERY: Duration = Duration::from_secs(10);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The messages of one channel, passed on to all subscribers of this process.
pub(super) struct Listener {
    notices: broadcast::Sender<Notice>,
    task: AbortHandle,
}

impl Listener {
    /// Subscribes; from then on no message is lost without a [`Notice::Missed`].
    pub(super) async fn start(link: Arc<Link>, channel: String) -> Result<Self> {
        let connection = subscribe(&link, &channel).await?;
        let notices = broadcast::channel(Subscription::BACKLOG).0;
        let task = tokio::spawn(listen(link, channel, connection, notices.clone())).abort_handle();
        Ok(Self { notices, task })
    }

    pub(super) fn subscribe(&self) -> Subscription {
        Subscription(self.notices.subscribe())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Connection = (PubSubSink, PubSubStream);

async fn subscribe(link: &Link, channel: &str) -> Result<Connection> {
    let (mut sink, stream) = link.listen().await?.split();
    timeout(ANSWER_TIMEOUT, sink.subscribe(channel)).await.map_err(|_| silent())?.map_err(failed)?;
    Ok((sink, stream))
}

async fn listen(link: Arc<Link>, channel: String, mut connection: Connection, notices: broadcast::Sender<Notice>) {
    loop {
        let error = pass_on(connection, &notices).await;
        tracing::warn!(channel, %error, "subscription lost");
        connection = resubscribe(&link, &channel).await;
        // An error means that there is no subscriber now.
        let _ = notices.send(Notice::Missed);
    }
}

async fn resubscribe(link: &Link, channel: &str) -> Connection {
    let mut pause = FIRST_PAUSE;
    loop {
        match subscribe(link, channel).await {
            Ok(connection) => return connection,
            Err(error) => tracing::warn!(channel, %error, "failed to subscribe again"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Passes messages on until the connection breaks.
async fn pass_on((mut sink, mut stream): Connection, notices: &broadcast::Sender<Notice>) -> Error {
    let mut ping = interval(PING_EVERY);
    loop {
        tokio::select! {
            message = stream.next() => match message {
                // An error means that there is no subscriber now.
                Some(message) => drop(notices.send(Notice::Message(Bytes::copy_from_slice(message.get_payload_bytes())))),
                None => return Error::new(ErrorKind::Unavailable, "Redis closed the connection"),
            },
            _ = ping.tick() => match timeout(ANSWER_TIMEOUT, sink.ping::<redis::Value>()).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return failed(error),
                Err(_) => return silent(),
            },
        }
    }
}

fn silent() -> Error {
    Error::new(ErrorKind::Unavailable, "Redis does not answer")
}
