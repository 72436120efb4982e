//! Servers that the tests of a run share.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, parent_id};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Running;

/// A server that is started once per run of the tests.
///
/// Under `cargo test`, the tests of a crate are one process, and the server ends with it. Under nextest each test is a
/// process of its own: the first one starts the server, the others find it, and it ends with nextest.
#[derive(Debug)]
pub struct Shared {
    folder: PathBuf,
    arguments: Vec<String>,
    /// The server, if it is this process's own.
    _own: Option<Running>,
}

impl Shared {
    /// Runs the script, as [`Running::start`] does, unless a test of this run has started a server of this name before.
    /// The server may still be starting when this returns.
    pub fn start(name: &str, script: &str, arguments: impl FnOnce() -> Result<Vec<String>>) -> Result<Self> {
        let Some(run) = std::env::var_os("NEXTEST_RUN_ID") else {
            let arguments = arguments()?;
            let running = Running::start(script, &arguments)?;
            return Ok(Self { folder: running.folder.clone(), arguments, _own: Some(running) });
        };
        let servers = std::env::temp_dir().join("test-servers").join(run);
        fs::create_dir_all(&servers)?;
        let path = servers.join(name);
        let mut record = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
        record.lock()?;
        let mut text = String::new();
        record.read_to_string(&mut text)?;
        let (folder, arguments) = if text.is_empty() {
            let started = (super::new_folder()?, arguments()?);
            start_for_run(&path, script, &started.0, &started.1)?;
            record.write_all(&serde_json::to_vec(&started)?)?;
            started
        } else {
            serde_json::from_str(&text).context("the record of a shared server is malformed")?
        };
        Ok(Self { folder, arguments, _own: None })
    }

    /// Where the server has its files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What its script was started with.
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }
}

/// Runs the script until nextest, the parent of this process, has ended; then removes the record.
fn start_for_run(record: &Path, script: &str, folder: &Path, arguments: &[String]) -> Result<()> {
    const UNTIL_PARENT_ENDS: &str = r#"
        record=$1 parent=$2
        shift 2
        while kill -0 "$parent"; do sleep 1; done | sh "$@"
        rm -f "$record"
        rmdir "$(dirname "$record")""#;
    super::silent(Command::new("sh").args(["-c", UNTIL_PARENT_ENDS, "until-parent-ends"]))
        .arg(record)
        .arg(parent_id().to_string())
        .args(super::shell_arguments(script, folder, arguments))
        // nextest ends the process group of a test that takes too long
        .process_group(0)
        .spawn()
        .context("cannot run sh")?;
    Ok(())
}
