//! `dify plugin run` (cli 6): runs a plugin and takes calls as JSON lines, as the SDK's test runner sends them.

pub(super) mod encode;
mod lines;
pub(super) mod server;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use clap::{Args, ValueEnum};
use plugin_manifest::{Declaration, UniqueIdentifier};
use plugin_package::signature::TrustedKeys;
use plugin_package::{PackOptions, Package, pack};
use plugin_runtime::local::environment::{Environments, Silent};
use tokio::net::TcpListener;

use self::encode::Encoding;
use self::server::{Server, Stage};
use super::package::{generated, not_packed};
use crate::executor::{block_on, ended};
use crate::files;
use crate::local::{self, Canned, CodeCopy, Host, Life, Surroundings};
use crate::printer::Printer;
use crate::source::{LIMITS, Source, not_a_plugin};

#[derive(Debug, Args)]
#[command(after_help = "\
Each line is a call, each answer a line; calls back of the plugin get sample answers:
  {\"invoke_id\":\"1\",\"type\":\"tool\",\"action\":\"invoke_tool\",\"request\":{\"provider\":\"p\",\"tool\":\"t\",\"tool_parameters\":{},\"credentials\":{}}}

It ends when its input ends, after the running calls, or on a signal. See also `dify plugin invoke` for single calls and
`dify plugin dev` for development.

Examples:
  dify plugin run demo.difypkg --response-format json
  dify plugin run ./demo --mode tcp --port 5005")]
pub(crate) struct Arguments {
    /// A package, or the folder of a plugin
    package: PathBuf,
    /// Transport of the calls
    #[arg(short, long, value_enum, default_value_t)]
    mode: Mode,
    /// Encoding of the messages
    #[arg(short, long, value_enum, default_value_t)]
    response_format: Encoding,
    /// Write a log to standard error
    #[arg(short = 'l', long, num_args = 0..=1, require_equals = true, default_value_t = false)]
    #[arg(default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_name = "BOOL")]
    enable_logs: bool,
    /// Address to listen on, with --mode tcp
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port to listen on, with --mode tcp; 0 for any that is free
    #[arg(long, default_value_t = 0)]
    port: u16,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Standard input and output
    #[default]
    Stdio,
    /// Any number of connections
    Tcp,
}

/// How long unused environments of this machine are kept.
const KEPT: Duration = Duration::from_hours(24 * 14);

impl Arguments {
    pub(crate) fn run(self, printer: Printer) -> Result<()> {
        if self.enable_logs {
            log_to_stderr();
        }
        let system = encode::System::new(printer, self.response_format);
        let outcome = block_on(self.serve(system));
        if let Err(error) = &outcome {
            system.error(&one_line(error))?;
        }
        outcome
    }

    async fn serve(&self, system: encode::System) -> Result<()> {
        let scratch = tempfile::Builder::new().prefix("plugin-run-").tempdir().context("no temporary folder")?;
        let host = OnceLock::new();
        let outcome = tokio::select! {
            outcome = self.load_and_serve(system, scratch.path(), &host) => outcome,
            () = ended() => Ok(()),
        };
        // the plugin's process ends before its folder is removed
        if let Some(host) = host.get() {
            host.stop().await;
        }
        drop(scratch);
        outcome
    }

    async fn load_and_serve(
        &self,
        system: encode::System,
        scratch: &Path,
        running: &OnceLock<Arc<Host>>,
    ) -> Result<()> {
        let path = self.package.clone();
        let loaded = tokio::task::spawn_blocking(move || load(&path)).await??;
        system.info("loading plugin", None)?;
        let host = Arc::new(copied_host(&loaded, scratch, Life::Kept)?);
        let host = running.get_or_init(|| host);
        host.start(Arc::new(Silent)).await.context("launch plugin error")?;
        let stage = Stage { host: Arc::clone(host), canned: Canned::of(&loaded.declaration) };
        let server = Arc::new(Server::new(stage, self.response_format));
        match self.mode {
            Mode::Stdio => server.serve(tokio::io::stdin(), tokio::io::stdout()).await,
            Mode::Tcp => {
                let listener = TcpListener::bind((self.host, self.port)).await?;
                system.info("plugin is running on", Some(listener.local_addr()?))?;
                server.accept(listener).await?;
            }
        }
        Ok(())
    }
}

/// A plugin in memory.
pub(super) struct Loaded {
    pub(super) plugin: UniqueIdentifier,
    pub(super) declaration: Declaration,
    pub(super) package: Bytes,
}

/// Reads a package, or packs a folder in memory.
pub(super) fn load(path: &Path) -> Result<Loaded> {
    let package = match Source::open(path)? {
        Source::Package(package) => *package,
        Source::Folder(folder) => {
            let declaration = plugin_manifest::decode(&folder).map_err(not_a_plugin)?;
            let options = PackOptions {
                max_size: LIMITS.uncompressed,
                generated: generated(&folder, &declaration)?,
                output: None,
            };
            let packed = pack(&folder, &options).map_err(|error| not_packed(path, error))?;
            Package::open(packed, &LIMITS)?
        }
    };
    let declaration = package.declaration(&TrustedKeys::default()).context("decode plugin file error")?;
    Ok(Loaded { plugin: package.identifier()?, declaration, package: package.bytes().clone() })
}

/// Runs a copy of the plugin below `scratch`.
pub(super) fn copied_host(loaded: &Loaded, scratch: &Path, life: Life) -> Result<Host> {
    let surroundings = Surroundings::of_process();
    let environments = shared_environments(&surroundings, scratch);
    tidy_up(&environments, &loaded.plugin);
    let preparer = CodeCopy { environments, package: loaded.package.clone(), folder: scratch.to_owned() };
    let (plugin, declaration) = (loaded.plugin.clone(), loaded.declaration.clone());
    Host::new(plugin, declaration, Arc::new(preparer), &surroundings, local::worker_settings(), life)
}

/// Environments that all runs on this machine share; without a home, those of one run.
pub(super) fn shared_environments(surroundings: &Surroundings, scratch: &Path) -> Arc<Environments> {
    let working_path = files::cache().unwrap_or_else(|| scratch.join("environments"));
    local::environments(surroundings.environments(working_path))
}

/// Deletes environments that have not been used for long, in the background.
pub(super) fn tidy_up(environments: &Arc<Environments>, plugin: &UniqueIdentifier) {
    let (environments, in_use) = (Arc::clone(environments), [plugin.clone()].into());
    tokio::spawn(async move {
        if let Err(error) = environments.collect(&in_use, KEPT).await {
            tracing::warn!(%error, "failed to delete unused environments");
        }
    });
}

/// Sends the runtime's log to standard error.
pub(super) fn log_to_stderr() {
    let subscriber = tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::INFO);
    // an earlier subscriber stays
    drop(subscriber.try_init());
}

/// An error with its causes, as one text.
fn one_line(error: &anyhow::Error) -> String {
    let causes: Vec<String> = error.chain().map(ToString::to_string).filter(|text| !text.is_empty()).collect();
    causes.join(": ")
}
