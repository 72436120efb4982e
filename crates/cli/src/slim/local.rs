//! Calls without a daemon (cli 10.6).

mod store;

use std::sync::Arc;

use plugin_manifest::{InvalidIdentifier, UniqueIdentifier};
use plugin_protocol::{Action, Origin};
use plugin_runtime::Event;
use plugin_runtime::local::environment::{Progress, Step};
use plugin_runtime::local::{StartError, WorkerSettings};

use super::config::Local;
use super::error::{Code, SlimError};
use super::events::{Events, Stage};
use super::request::Request;
use crate::executor::ended;
use crate::local::{self, Host, InWorkingPath, Life, Refusing, Surroundings};
use crate::printer::Printer;

pub(super) use self::store::Store;

/// Calls a plugin, and prints each chunk of the answer.
pub(super) async fn invoke(
    config: &Local,
    id: &str,
    action: Action,
    request: &Request,
    printer: Printer,
) -> Result<(), SlimError> {
    let events = Events(printer);
    let plugin = parse(id)?;
    let data = request.object()?;
    tokio::select! {
        outcome = run(config, plugin, action, request, data, events) => outcome,
        () = ended() => Err(SlimError::new(Code::ExecError, "interrupted by a signal")),
    }
}

pub(super) fn parse(id: &str) -> Result<UniqueIdentifier, SlimError> {
    id.parse().map_err(|error: InvalidIdentifier| SlimError::new(Code::InvalidInput, error.to_string()))
}

async fn run(
    config: &Local,
    plugin: UniqueIdentifier,
    action: Action,
    request: &Request,
    data: &str,
    events: Events,
) -> Result<(), SlimError> {
    let store = Store::new(config);
    let declaration = store.fetch(&plugin, events).await?;
    let mut surroundings = Surroundings::of_process();
    // the settings of this program are not passed to the plugin
    surroundings.variables.retain(|name, _| !name.to_string_lossy().starts_with("SLIM_"));
    let preparer = InWorkingPath { environments: store.environments(&surroundings) };
    let init = |error: String| SlimError::new(Code::InitError, error);
    store.adopt(&preparer.environments, &plugin).await?;
    let worker = WorkerSettings { silence_limit: config.execution_timeout, ..local::worker_settings() };
    let host = Host::new(plugin, declaration, Arc::new(preparer), &surroundings, worker, Life::OneCall);
    let host = host.map_err(|error| init(error.to_string()))?;
    events.message(Stage::Init, "preparing the plugin's environment")?;
    let steps = Steps(events);
    if let Err(error) = host.start(Arc::new(steps)).await {
        let code = match error {
            StartError::Environment(_) => Code::InitError,
            _ => Code::ExecError,
        };
        return Err(SlimError::new(code, error.to_string()));
    }
    events.message(Stage::Init, "plugin started")?;
    let outcome = converse(&host, action, request, data, events).await;
    host.stop().await;
    outcome
}

async fn converse(host: &Host, action: Action, request: &Request, data: &str, events: Events) -> Result<(), SlimError> {
    let context = serde_json::value::RawValue::from_string("{}".to_owned()).ok();
    let origin = Origin { context, ..Origin::default() };
    let exec = |text: String| SlimError::new(Code::ExecError, text);
    // the identity of the caller wins over what the data says
    let data = without_identity(data).map_err(|error| SlimError::new(Code::InvalidArgsJson, error.to_string()))?;
    // what does not fit is the plugin's to refuse
    let data = local::mended(action, &data).unwrap_or(data);
    let called = host.call(action, origin, &request.user_id, &data, Arc::new(Refusing)).await;
    let mut conversation = called.map_err(|error| exec(error.to_string()))?;
    let failed = loop {
        match conversation.next().await {
            Some(Event::Chunk(chunk)) => events.chunk(&String::from_utf8_lossy(&chunk))?,
            Some(Event::End) => return events.done(),
            // the plugin has answered, if with an error
            Some(Event::Error(error)) => return events.error(Code::ExecError.as_str(), &error.to_json()),
            Some(Event::Failed(failure)) => break failure.to_string(),
            Some(Event::Unknown(kind)) => break format!("the plugin sent a message of unknown type {kind}"),
            Some(Event::Invoke(_)) => {}
            None => break "the plugin has ended without an answer".to_owned(),
        }
    };
    events.error(Code::ExecError.as_str(), &failed)?;
    Err(exec(failed))
}

/// The data without the keys that say who asks for what.
fn without_identity(data: &str) -> serde_json::Result<String> {
    type Members = std::collections::BTreeMap<String, Box<serde_json::value::RawValue>>;
    let mut members: Members = serde_json::from_str(data)?;
    for key in ["user_id", "type", "action"] {
        members.remove(key);
    }
    serde_json::to_string(&members)
}

/// Reports each step once, when it begins.
struct Steps(Events);

impl Progress for Steps {
    fn report(&self, step: Step, detail: &str) {
        if detail.is_empty() {
            // a closed standard output is noticed by the next event
            drop(self.0.message(Stage::Init, step.as_str()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_identity_is_not_the_datas_to_set() {
        let data = r#"{"b": 9007199254740993, "user_id": "x", "action": 1, "a": [1.50]}"#;
        assert_eq!(without_identity(data).unwrap(), r#"{"a":[1.50],"b":9007199254740993}"#);
    }
}
