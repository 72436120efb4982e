//! Events on standard output: `message`, `chunk`, `done` and `error`, and no others (cli 10.3, 10.8).

use serde_json::{Value, json};

use super::error::SlimError;
use crate::printer::Printer;
use crate::wire::compact;

/// What a message is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    Download,
    Init,
}

/// Prints events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Events(pub(crate) Printer);

impl Events {
    /// How far it is.
    pub(crate) fn message(self, stage: Stage, text: &str) -> Result<(), SlimError> {
        let stage = match stage {
            Stage::Download => "download",
            Stage::Init => "init",
        };
        self.event("message", &json!({"message": text, "stage": stage}).to_string())
    }

    /// One result, as JSON.
    pub(crate) fn chunk(self, data: &str) -> Result<(), SlimError> {
        self.event("chunk", data)
    }

    /// There are no more results.
    pub(crate) fn done(self) -> Result<(), SlimError> {
        self.event("done", "null")
    }

    /// There are no more results, and why.
    pub(crate) fn error(self, code: &str, message: &str) -> Result<(), SlimError> {
        self.event("error", &json!({"code": code, "message": message}).to_string())
    }

    fn event(self, name: &str, data: &str) -> Result<(), SlimError> {
        Ok(self.0.line(format_args!("{{\"event\":{},\"data\":{}}}", Value::from(name), compact(data)))?)
    }
}
