//! Why a plugin could not be brought up.

use std::time::Duration;

use super::environment::EnvironmentError;
use super::process::Exit;
use crate::final_output::FinalOutput;
use crate::session::NO_MEMORY;
use crate::task::Panicked;

/// A plugin did not come up. Cloned for every caller that waited for it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StartError {
    /// Its code or its Python environment could not be made ready.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// What its settings demand, this system does not give.
    #[error("the plugin is not started: {message}")]
    Refused { message: String },
    /// The process could not be made.
    #[error("failed to start the plugin process: {message}")]
    Spawn { message: String },
    /// The process ended before its first heartbeat.
    #[error("plugin failed to start: {}", said.describe(&how_it_ended(*exit, *out_of_memory)))]
    Exited { exit: Exit, out_of_memory: bool, said: FinalOutput },
    /// The process is there and has not said that it is ready.
    #[error("failed to start plugin as no heartbeat received within {} s (PYTHON_ENV_INIT_TIMEOUT){}", waited.as_secs(), tail(&said.lines))]
    NoHeartbeat { waited: Duration, said: FinalOutput },
    /// A task of the daemon panicked; the text names it and its panic. The next call tries again.
    #[error("{message}")]
    Internal { message: String },
    /// It is being removed, or the daemon stops.
    #[error("plugin runtime is stopping")]
    Stopping,
    /// Every caller that asked for it has cancelled.
    #[error("start of the plugin was cancelled")]
    Cancelled,
}

impl StartError {
    /// The class of the failure, for metrics and API answers; for environments see [`super::environment::Cause`].
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::Environment(error) => error.cause.as_str(),
            Self::Refused { .. } => "refused",
            Self::Spawn { .. } => "spawn",
            Self::Exited { out_of_memory: true, .. } => "oom_killed",
            Self::Exited { .. } => "crashed",
            Self::NoHeartbeat { .. } => "timeout",
            Self::Internal { .. } => "internal",
            Self::Stopping => "stopping",
            Self::Cancelled => "cancelled",
        }
    }
}

impl From<&Panicked> for StartError {
    fn from(panicked: &Panicked) -> Self {
        Self::Internal { message: panicked.to_string() }
    }
}

/// The exit, with what it means for a plugin that should not have ended.
fn how_it_ended(exit: Exit, out_of_memory: bool) -> String {
    match exit {
        exit if out_of_memory => format!("{exit}, {NO_MEMORY}"),
        Exit::Code(0) => "exit code 0 before the first heartbeat: does its main module end with plugin.run()?".into(),
        exit => exit.to_string(),
    }
}

fn tail(lines: &str) -> String {
    if lines.is_empty() { String::new() } else { format!("\n{lines}") }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    const NO_SDK: &str = "Traceback (most recent call last):
  File \"/app/main.py\", line 1, in <module>
    from dify_plugin import Plugin
ModuleNotFoundError: No module named 'dify_plugin'";
    const IMPORT: &str = "Traceback (most recent call last):
  File \"/app/main.py\", line 3, in <module>
    from lib import thing
ImportError: cannot import name 'thing' from 'lib' (/app/lib.py)";
    const RICH: &str = "\u{1b}[31m╭── Traceback (most recent call last) ──╮\u{1b}[0m
│ /app/main.py:3 in <module>            │
╰───────────────────────────────────────╯
ImportError: cannot import name 'thing' from 'lib'";
    const LIBRARY: &str = "Traceback (most recent call last):
  File \"/app/main.py\", line 2, in <module>
    import cv2
ImportError: libGL.so.1: cannot open shared object file: No such file or directory";
    const SYNTAX: &str = "Traceback (most recent call last):
  File \"/app/main.py\", line 7
    def run(:
            ^
SyntaxError: invalid syntax";
    const DECLARATION: &str = "Traceback (most recent call last):
  File \"/app/main.py\", line 4, in <module>
    plugin = Plugin(DifyPluginEnv())
ValueError: Error loading plugin configuration: 1 validation error for PluginConfiguration
meta.runner.version
  Input should be a valid string [type=string_type, input_value=3.12, input_type=float]";

    /// Faults of a start: how the process ended, whether memory was lacking, and what was on standard output and error.
    const FAULTS: [(&str, Exit, bool, &str, &str); 13] = [
        ("no SDK", Exit::Code(1), false, "", NO_SDK),
        ("import error on standard error", Exit::Code(1), false, "starting", IMPORT),
        ("import error on standard output", Exit::Code(1), false, IMPORT, ""),
        ("import error, drawn on standard output", Exit::Code(1), false, RICH, ""),
        ("missing shared library", Exit::Code(1), false, "", LIBRARY),
        ("syntax error", Exit::Code(1), false, "", SYNTAX),
        ("declaration that the SDK refuses", Exit::Code(1), false, "", DECLARATION),
        ("exit 0", Exit::Code(0), false, "", ""),
        ("exit 0 with words", Exit::Code(0), false, "done", ""),
        ("exit 1 without words", Exit::Code(1), false, "", ""),
        ("killed", Exit::Signal(9), false, "loading the model", ""),
        ("crashed in native code", Exit::Signal(11), false, "", ""),
        ("no memory", Exit::Signal(9), true, "loading the model", ""),
    ];

    #[test]
    fn faults_and_messages() {
        let mut table = String::new();
        for (fault, exit, out_of_memory, stdout, stderr) in FAULTS {
            let said = FinalOutput::of([stdout, stderr].into_iter().filter(|text| !text.is_empty()));
            let error = StartError::Exited { exit, out_of_memory, said };
            writeln!(table, "## {fault}: {}\n{error}\n", error.cause()).unwrap();
        }
        let said = FinalOutput::of(["waiting for the licence server"]);
        let silent = StartError::NoHeartbeat { waited: Duration::from_mins(2), said };
        writeln!(table, "## no heartbeat: {}\n{silent}", silent.cause()).unwrap();
        insta::assert_snapshot!(table);
    }
}
