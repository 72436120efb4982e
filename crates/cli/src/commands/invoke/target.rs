//! Where the called plugin runs: in this process, on a port, or in a daemon.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use plugin_manifest::{Declaration, UniqueIdentifier};
use plugin_protocol::{Action, ErrorObject, Origin};
use plugin_runtime::Event;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::Arguments;
use super::answer::Answers;
use crate::commands::dev::follow;
use crate::commands::run::{Loaded, copied_host, load};
use crate::failure::Failure;
use crate::local::{Canned, Host, Life, Steps, copy_of, explained};
use crate::printer::Printer;
use crate::slim::remote::{self, Remote};
use crate::slim::{Request, SlimError};

/// A plugin that can be called.
pub(super) enum Target {
    /// A folder or package, run for this call.
    Here(Box<Loaded>),
    /// One that runs already, and what its folder declares, if that is known.
    Port(String, Option<Box<Declaration>>),
    /// An installed one.
    Daemon(Remote),
}

/// One line of the output of `plugin run`.
#[derive(serde::Deserialize)]
struct Message {
    invoke_id: String,
    #[serde(rename = "type")]
    kind: String,
    response: Box<serde_json::value::RawValue>,
}

impl Target {
    pub(super) fn find(arguments: &Arguments) -> Result<Self> {
        if let (Some(address), Some(key)) = (&arguments.daemon, &arguments.key) {
            let parsed: Result<UniqueIdentifier, _> = arguments.target.parse();
            parsed.map_err(|error| Failure::usage(error.to_string()))?;
            let address = address.trim_end_matches('/').to_owned();
            return Ok(Self::Daemon(Remote { address, key: key.clone() }));
        }
        let loaded = load(&arguments.path());
        let Some(address) = &arguments.connect else { return Ok(Self::Here(Box::new(loaded?))) };
        // a complete request needs no declarations
        let is_whole = arguments.action.is_some() && arguments.data.is_some();
        match loaded {
            Ok(loaded) => Ok(Self::Port(address.clone(), Some(Box::new(loaded.declaration)))),
            Err(_) if is_whole => Ok(Self::Port(address.clone(), None)),
            Err(error) => Err(error),
        }
    }

    /// What the plugin declares, as far as that is known here.
    pub(super) fn declaration(&self) -> Option<&Declaration> {
        match self {
            Self::Here(loaded) => Some(&loaded.declaration),
            Self::Port(_, declaration) => declaration.as_deref(),
            Self::Daemon(_) => None,
        }
    }

    pub(super) async fn call(
        self,
        arguments: &Arguments,
        action: Action,
        data: String,
        answers: Answers,
        printer: Printer,
    ) -> Result<()> {
        match self {
            Self::Here(loaded) => here(&loaded, arguments, action, &data, answers, printer).await,
            Self::Port(address, _) => arguments.bounded(port(&address, arguments, action, &data, answers)).await,
            Self::Daemon(daemon) => arguments.bounded(through(&daemon, arguments, action, data, answers)).await,
        }
    }
}

async fn here(
    loaded: &Loaded,
    arguments: &Arguments,
    action: Action,
    data: &str,
    answers: Answers,
    printer: Printer,
) -> Result<()> {
    let scratch = tempfile::Builder::new().prefix("plugin-invoke-").tempdir().context("no temporary folder")?;
    let host = copied_host(loaded, scratch.path(), Life::OneCall)?;
    let outcome = async {
        host.start(Arc::new(Steps(printer))).await?;
        if let Some(log) = host.log().filter(|_| arguments.logs) {
            tokio::spawn(follow(log, printer));
        }
        converse(&host, &arguments.user, action, data, answers).await
    };
    let outcome = arguments.bounded(outcome).await;
    // the plugin's process ends before its folder is removed
    host.stop().await;
    outcome.map_err(|error| explained(error, &copy_of(scratch.path(), &loaded.plugin), &arguments.path()))
}

async fn converse(host: &Host, user: &str, action: Action, data: &str, answers: Answers) -> Result<()> {
    let canned = Canned::of(host.declaration());
    let mut conversation = host.call(action, Origin::default(), user, data, canned).await?;
    loop {
        match conversation.next().await {
            Some(Event::Chunk(chunk)) => answers.chunk(&String::from_utf8_lossy(&chunk))?,
            Some(Event::End) => return answers.end(),
            Some(Event::Error(error)) => return Err(refused(&error)),
            Some(Event::Failed(failure)) => return Err(Failure::new(failure.to_string()).into()),
            Some(Event::Unknown(kind)) => {
                return Err(Failure::new(format!("the plugin sent a message of unknown type {kind}")).into());
            }
            Some(Event::Invoke(_)) => {}
            None => return Err(Failure::new("the plugin has ended without an answer").into()),
        }
    }
}

/// The plugin's own error, with the traceback if it gives one.
fn refused(error: &ErrorObject) -> anyhow::Error {
    let traceback = error.args.get("traceback").and_then(|traceback| traceback.as_str()).unwrap_or_default();
    let text = format!("{}: {}\n{traceback}", error.error_type, error.message);
    Failure::new(text.trim_end().to_owned()).into()
}

async fn port(address: &str, arguments: &Arguments, action: Action, data: &str, answers: Answers) -> Result<()> {
    let connected = TcpStream::connect(address).await;
    let mut stream = connected.map_err(|error| {
        Failure::new(format!("cannot connect to {address}"))
            .because(error)
            .hint("start the plugin with `dify plugin dev`, which prints its address")
    })?;
    let id = uuid::Uuid::new_v4().simple().to_string();
    let mut request: Value = serde_json::from_str(data)?;
    if let Some(request) = request.as_object_mut() {
        request.entry("user_id").or_insert_with(|| json!(arguments.user));
    }
    let line = json!({
        "invoke_id": id, "type": action.access_type().as_str(), "action": action.as_str(), "request": request,
    });
    stream.write_all(format!("{line}\n").as_bytes()).await?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next_line().await? {
        let Ok(message) = serde_json::from_str::<Message>(&line) else { continue };
        if message.invoke_id != id {
            continue;
        }
        match &*message.kind {
            "plugin_response" => answers.chunk(message.response.get())?,
            "plugin_invoke_end" => return answers.end(),
            "error" => return Err(reported(message.response.get())),
            _ => {}
        }
    }
    Err(Failure::new("the connection has ended before the answer").into())
}

/// An error that was sent as text in JSON, perhaps as JSON in it.
fn reported(response: &str) -> anyhow::Error {
    let response: Value = serde_json::from_str(response).unwrap_or_default();
    let text = response.get("error").and_then(Value::as_str).unwrap_or("the call failed");
    match serde_json::value::RawValue::from_string(text.to_owned()) {
        Ok(object) if text.starts_with('{') => refused(&ErrorObject::from_plugin(&object)),
        _ => Failure::new(text.to_owned()).into(),
    }
}

/// The plugin's own error in a daemon's, which wraps it as JSON in JSON.
fn innermost(message: &str) -> anyhow::Error {
    let mut error: Option<ErrorObject> = None;
    loop {
        let text = error.as_ref().map_or(message, |error| &*error.message);
        if !text.starts_with('{') {
            break;
        }
        let Ok(object) = serde_json::value::RawValue::from_string(text.to_owned()) else { break };
        error = Some(ErrorObject::from_plugin(&object));
    }
    error.map_or_else(|| Failure::new(message.to_owned()).into(), |error| refused(&error))
}

async fn through(daemon: &Remote, arguments: &Arguments, action: Action, data: String, answers: Answers) -> Result<()> {
    #[derive(serde::Deserialize)]
    struct Envelope<'a> {
        code: i64,
        #[serde(default)]
        message: String,
        #[serde(borrow)]
        data: Option<&'a serde_json::value::RawValue>,
    }
    let request = Request {
        tenant_id: crate::sample::NIL_TENANT.to_owned(),
        user_id: arguments.user.clone(),
        data: serde_json::value::RawValue::from_string(data).ok(),
    };
    let mut failed = None;
    let take = |frame: &str| -> Result<(), SlimError> {
        let Ok(envelope) = serde_json::from_str::<Envelope<'_>>(frame) else { return Ok(()) };
        match envelope.data.filter(|_| envelope.code == 0) {
            Some(data) => {
                if let Err(error) = answers.chunk(data.get()) {
                    failed.get_or_insert(error);
                }
            }
            None => {
                failed.get_or_insert_with(|| innermost(&envelope.message));
            }
        }
        Ok(())
    };
    remote::dispatch(daemon, &arguments.target, action, &request, take).await?;
    match failed {
        Some(error) => Err(error),
        None => answers.end(),
    }
}
