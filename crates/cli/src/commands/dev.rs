//! `dify plugin dev`: runs a plugin from its source folder and restarts it when a file changes.

mod local;
mod probe;
mod remote;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use plugin_runtime::local::environment::Progress;
use plugin_service::config::Secret;

use self::local::Local;
pub(super) use self::local::follow;
use self::probe::probe;
use self::remote::{Debugging, Remote};
use self::watch::Watch;
use super::database::env_file;
use super::run::{Loaded, load, shared_environments};
use super::secret;
use crate::check::{self, Options, Severity};
use crate::executor::{block_on, ended};
use crate::failure::{Failure, verdict};
use crate::local::{Steps, Surroundings};
use crate::printer::Printer;
use crate::source::{Source, open_folder};

#[derive(Debug, Args)]
#[command(after_help = "\
With a debugging key (--key, or REMOTE_INSTALL_KEY in the environment or in .env) the plugin connects to your Dify.
Without one it runs on this machine, where `dify plugin invoke --connect` calls it and its calls back get sample answers.
The plugin is checked before each start, its output is shown, and a changed file restarts it. Ctrl+c ends it.

Examples:
  dify plugin dev ./demo
  dify plugin dev ./demo --url debug.dify.ai:5003 --key 01234567-89ab-cdef-0123-456789abcdef
  dify plugin dev ./demo --local --port 5005")]
pub(crate) struct Arguments {
    /// The plugin's folder
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Address of the debugging server [default: `REMOTE_INSTALL_URL`]
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "local")]
    url: Option<String>,
    /// Debugging key, as Dify shows it under Plugins, Debug [default: `REMOTE_INSTALL_KEY`]
    #[arg(long, conflicts_with = "local", value_parser = secret)]
    key: Option<Secret>,
    /// Run on this machine, even if .env has a debugging key
    #[arg(long)]
    local: bool,
    /// Port for calls on this machine; 0 for any that is free
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Do not restart when a file changes
    #[arg(long)]
    no_reload: bool,
}

impl Arguments {
    pub(crate) fn run(self, printer: Printer) -> Result<()> {
        let source = open_folder(&self.path)?.root().canonicalize()?;
        block_on(async move {
            tokio::select! {
                outcome = self.develop(&source, printer) => outcome,
                () = ended() => Ok(()),
            }
        })
    }

    async fn develop(&self, source: &Path, printer: Printer) -> Result<()> {
        let mut watch = Watch::start(source)?;
        let mut state = State { local: Local::new(self.port), accepted: None };
        loop {
            let running = match self.start(source, &mut state, printer).await {
                Ok(running) => Some(running),
                Err(error) => {
                    if verdict(&error).1 {
                        printer.failure(&error);
                    }
                    if self.no_reload {
                        return Err(Failure::reported().into());
                    }
                    printer.note("waiting for a change ...");
                    None
                }
            };
            let changed = tokio::select! {
                changed = watch.changed(), if !self.no_reload => changed,
                exit = ended_by_itself(running.as_ref()) => {
                    state.accepted = None;
                    printer.warn("the plugin has ended", &[("exit", &exit)]);
                    if self.no_reload {
                        return Err(Failure::reported().into());
                    }
                    printer.note("waiting for a change ...");
                    watch.changed().await
                }
            };
            printer.info("a file changed, starting anew", &[("file", &changed.display())]);
            if let Some(Running::Remote(remote)) = running {
                remote.stop().await;
            }
        }
    }

    /// Checks, prepares and starts the plugin as it is now.
    async fn start(&self, source: &Path, state: &mut State, printer: Printer) -> Result<Running> {
        let folder = source.to_owned();
        let loaded = tokio::task::spawn_blocking(move || {
            let report = check::check(&Source::Folder(open_folder(&folder)?), Options::default());
            for diagnostic in &report.diagnostics {
                printer.note(diagnostic.show(printer, diagnostic.severity));
            }
            load(&folder).map_err(|error| {
                // the errors in the declarations have just been printed
                if report.count(Severity::Error) > 0 { Failure::reported().into() } else { error }
            })
        });
        let loaded: Loaded = loaded.await??;
        let mut surroundings = Surroundings::of_process();
        // compiled files in the source folder would count as changes
        surroundings.variables.insert("PYTHONDONTWRITEBYTECODE".into(), "1".into());
        let environments = shared_environments(&surroundings, &std::env::temp_dir());
        let progress: Arc<dyn Progress> = Arc::new(Steps(printer));
        if let Some(debugging) = self.debugging(source)? {
            if state.accepted.as_ref() != Some(&debugging) {
                probe(&debugging).await?;
                state.accepted = Some(debugging.clone());
            }
            let remote =
                Remote::start(&loaded, source, &environments, &surroundings, &debugging, &*progress, printer).await?;
            printer.info("plugin started", &[("debugging_server", &debugging.url)]);
            Ok(Running::Remote(Box::new(remote)))
        } else {
            state.local.start(loaded, source, environments, &surroundings, progress, printer).await?;
            Ok(Running::Local)
        }
    }

    /// Where to connect to, if anywhere.
    fn debugging(&self, source: &Path) -> Result<Option<Debugging>, Failure> {
        if self.local {
            return Ok(None);
        }
        let file = env_file(&source.join(".env"))?;
        let get =
            |name: &str| std::env::var(name).ok().or_else(|| file.get(name).cloned()).and_then(|value| trimmed(&value));
        let key = self.key.as_ref().and_then(|key| trimmed(key.expose())).or_else(|| get("REMOTE_INSTALL_KEY"));
        // asterisks stand for the key in .env.example
        let Some(key) = key.filter(|key| !key.contains('*')) else {
            let hint = "give --key, or REMOTE_INSTALL_KEY in .env";
            return match self.url {
                Some(_) => Err(Failure::usage("--url needs a debugging key").hint(hint)),
                None => Ok(None),
            };
        };
        let url = self.url.as_deref().and_then(trimmed).or_else(|| get("REMOTE_INSTALL_URL"));
        let url = url.or_else(|| Some(format!("{}:{}", get("REMOTE_INSTALL_HOST")?, get("REMOTE_INSTALL_PORT")?)));
        let url = url.ok_or_else(|| {
            Failure::usage("there is a debugging key, and no address of a debugging server")
                .hint("give --url, or REMOTE_INSTALL_URL in .env; --local runs the plugin on this machine")
        })?;
        Ok(Some(Debugging { url: address(&url)?, key }))
    }
}

/// A value without surrounding blanks, as they come with copied keys; `None` when nothing is left.
fn trimmed(value: &str) -> Option<String> {
    Some(value.trim()).filter(|value| !value.is_empty()).map(str::to_owned)
}

/// The address of a debugging server, `HOST:PORT`.
fn address(url: &str) -> Result<String, Failure> {
    let address = url.strip_prefix("tcp://").unwrap_or(url).trim_end_matches('/');
    let is_address = !address.contains('/')
        && address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if is_address {
        return Ok(address.to_owned());
    }
    Err(Failure::usage(format!("{url:?} is not the address of a debugging server, HOST:PORT"))
        .hint("copy the address that Dify shows under Plugins, Debug, such as debug.dify.ai:5003"))
}

/// What outlasts one run of the plugin.
struct State {
    local: Local,
    /// The debugging server that took the key last; it is not asked again before each start.
    accepted: Option<Debugging>,
}

/// A plugin that has been started.
enum Running {
    Remote(Box<Remote>),
    /// In the server of [`Local`], which replaces it.
    Local,
}

/// Resolves when a remote plugin has ended; one on this machine is restarted by the next call.
async fn ended_by_itself(running: Option<&Running>) -> String {
    match running {
        Some(Running::Remote(remote)) => remote.ended().await,
        Some(Running::Local) | None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (given, expected) in [
            ("debug.dify.ai:5003", "debug.dify.ai:5003"),
            ("tcp://127.0.0.1:5003/", "127.0.0.1:5003"),
            ("[::1]:5003", "[::1]:5003"),
        ] {
            assert_eq!(address(given).unwrap(), expected);
        }
        for given in ["debug.dify.ai", "http://localhost:5002", "localhost:99999", ":5003", "5003"] {
            let failure = address(given).unwrap_err();
            assert_eq!((failure.status, failure.to_string().contains("HOST:PORT")), (crate::failure::USAGE, true));
        }
        assert_eq!((trimmed(" k\n"), trimmed(" ")), (Some("k".to_owned()), None));
    }
}
