//! Clients of a running plugin: requests in, messages out (cli 6.4).

use std::sync::Arc;

use parking_lot::Mutex;
use plugin_protocol::{Action, ErrorObject, Origin};
use plugin_runtime::Event;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::encode::{Encoding, Type};
use super::lines::{LONGEST, Line, next_line};
use crate::local::{Canned, Host};

/// Messages that may wait for one client.
const WAITING: usize = 1024;
/// Calls of one client that run at a time.
const AT_A_TIME: usize = 512;
/// Read at a time.
const BUFFER: usize = 64 * 1024;

/// A plugin, and Dify's part.
pub(crate) struct Stage {
    pub(crate) host: Arc<Host>,
    pub(crate) canned: Arc<Canned>,
}

/// Serves any number of clients.
pub(crate) struct Server {
    stage: Mutex<Arc<Stage>>,
    encoding: Encoding,
}

/// One line of a client.
#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    invoke_id: String,
    #[serde(default, rename = "type")]
    access: String,
    #[serde(default)]
    action: String,
    #[serde(default, rename = "request")]
    data: Option<Box<RawValue>>,
}

/// The client is gone.
struct Gone;

/// The way to one client.
#[derive(Clone)]
struct Client {
    messages: mpsc::Sender<String>,
    encoding: Encoding,
    user_id: Arc<str>,
}

impl Client {
    async fn send(&self, message: String) -> Result<(), Gone> {
        self.messages.send(message).await.map_err(|_| Gone)
    }

    async fn error(&self, invoke_id: &str, text: &str) -> Result<(), Gone> {
        self.send(self.encoding.error(invoke_id, text)).await
    }
}

impl Server {
    pub(crate) fn new(stage: Stage, encoding: Encoding) -> Self {
        Self { stage: Mutex::new(Arc::new(stage)), encoding }
    }

    /// Sends the calls to come to another plugin; gives the one that they went to.
    pub(crate) fn replace(&self, stage: Stage) -> Arc<Stage> {
        std::mem::replace(&mut *self.stage.lock(), Arc::new(stage))
    }

    fn stage(&self) -> Arc<Stage> {
        Arc::clone(&self.stage.lock())
    }

    /// Serves every client that connects.
    ///
    /// # Errors
    ///
    /// When no connection can be accepted any more.
    pub(crate) async fn accept(self: Arc<Self>, listener: TcpListener) -> std::io::Result<()> {
        let mut clients = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await?;
            while clients.try_join_next().is_some() {}
            let server = Arc::clone(&self);
            clients.spawn(async move {
                let (reader, writer) = stream.into_split();
                server.serve(reader, writer).await;
            });
        }
    }

    /// Serves one client, until its input has ended and its calls are done.
    pub(crate) async fn serve(
        self: Arc<Self>,
        reader: impl AsyncRead + Unpin,
        writer: impl AsyncWrite + Unpin + Send + 'static,
    ) {
        let (messages, waiting) = mpsc::channel(WAITING);
        let writing = tokio::spawn(write(writer, waiting));
        let client = Client { messages, encoding: self.encoding, user_id: Uuid::new_v4().to_string().into() };
        let mut calls = JoinSet::new();
        if self.read(reader, &client, &mut calls).await.is_ok() {
            while calls.join_next().await.is_some() {}
        }
        drop(client);
        // the calls of a client that is gone end here
        drop(calls);
        drop(writing.await);
    }

    async fn read(&self, reader: impl AsyncRead + Unpin, client: &Client, calls: &mut JoinSet<()>) -> Result<(), Gone> {
        client.send(self.encoding.info(Type::Ready, "plugin loaded")).await?;
        let mut reader = BufReader::with_capacity(BUFFER, reader);
        // an input that breaks has ended
        while let Ok(Some(line)) = next_line(&mut reader).await {
            client.send(self.encoding.info(Type::Info, "received request")).await?;
            let request = match line {
                Line::Whole(line) => parse(&line),
                Line::TooLong => Err((String::new(), format!("the line is longer than {LONGEST} bytes"))),
            };
            match request {
                Err((invoke_id, text)) => client.error(&invoke_id, &text).await?,
                Ok((request, action)) => {
                    while calls.try_join_next().is_some() {}
                    if calls.len() >= AT_A_TIME {
                        calls.join_next().await;
                    }
                    let (stage, client) = (self.stage(), client.clone());
                    calls.spawn(async move {
                        // the client is gone
                        drop(call(&stage, &client, request, action).await);
                    });
                }
            }
        }
        Ok(())
    }
}

/// Reads a request; an error comes with the call that it is about.
fn parse(line: &[u8]) -> Result<(Request, Action), (String, String)> {
    let no_call = |text: String| (String::new(), text);
    if !line.trim_ascii_start().starts_with(b"{") {
        return Err(no_call("a request is a JSON object on one line".to_owned()));
    }
    let request: Request = serde_json::from_slice(line).map_err(|error| no_call(error.to_string()))?;
    if request.data.as_ref().is_some_and(|data| !data.get().starts_with(['{', 'n'])) {
        return Err(no_call("`request` is not an object".to_owned()));
    }
    let of_call = |text: String| (request.invoke_id.clone(), text);
    if request.access.is_empty() || request.action.is_empty() {
        return Err(of_call("action and type are required".to_owned()));
    }
    let Some(action) = Action::ALL.iter().find(|action| action.as_str() == request.action) else {
        return Err(of_call(format!("there is no action {}", request.action)));
    };
    if action.access_type().as_str() != request.access {
        let expected = action.access_type();
        return Err(of_call(format!("action {action} is of type {expected}, not of {}", request.access)));
    }
    Ok((request, *action))
}

/// Runs one call, and sends its messages to the client.
async fn call(stage: &Stage, client: &Client, request: Request, action: Action) -> Result<(), Gone> {
    let id = &request.invoke_id;
    let data = request.data.as_ref().map_or("{}", |data| data.get());
    let data = if data == "null" { "{}" } else { data };
    let failed = match stage.host.call(action, Origin::default(), &client.user_id, data, stage.canned.clone()).await {
        Err(error) => Some(ErrorObject::new("PluginRuntimeError", error.to_string())),
        Ok(mut conversation) => loop {
            match conversation.next().await {
                Some(Event::Chunk(chunk)) => {
                    let Some(text) = std::str::from_utf8(&chunk).ok().filter(|text| text.starts_with('{')) else {
                        break Some(ErrorObject::new("unmarshal_error", "a chunk of the answer is no object"));
                    };
                    client.send(client.encoding.message(id, Type::Response, text)).await?;
                }
                Some(Event::Error(error)) => break Some(error),
                Some(Event::Failed(failure)) => {
                    stage.host.revive();
                    break Some(ErrorObject::new("PluginRuntimeError", failure.to_string()));
                }
                Some(Event::Unknown(kind)) => {
                    break Some(ErrorObject::new("PluginRuntimeError", format!("unknown message type {kind}")));
                }
                // answered on the way
                Some(Event::Invoke(_)) => {}
                Some(Event::End) | None => break None,
            }
        },
    };
    if let Some(error) = failed {
        client.error(id, &error.to_json()).await?;
    }
    client.send(client.encoding.message(id, Type::End, r#"{"info":"plugin invoke end"}"#)).await
}

/// Writes messages until there are no more, or the client is gone.
async fn write(mut writer: impl AsyncWrite + Unpin, mut messages: mpsc::Receiver<String>) {
    while let Some(message) = messages.recv().await {
        if writer.write_all(message.as_bytes()).await.is_err() {
            return;
        }
        if messages.is_empty() && writer.flush().await.is_err() {
            return;
        }
    }
    // the client may have closed the connection first
    drop(writer.shutdown().await);
}
