//! The plugin on this machine, called through a port of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use plugin_runtime::local::environment::{Environments, Progress};
use plugin_runtime::local::{PluginLog, Source};
use tokio::net::TcpListener;

use crate::commands::run::Loaded;
use crate::commands::run::encode::Encoding;
use crate::commands::run::server::{Server, Stage};
use crate::local::{Canned, Host, InPlace, Life, Surroundings, explained, worker_settings};
use crate::printer::Printer;

/// The stage on which one version of the plugin follows the other; callers stay connected.
pub(super) struct Local {
    port: u16,
    server: Option<Arc<Server>>,
}

impl Local {
    pub(super) fn new(port: u16) -> Self {
        Self { port, server: None }
    }

    /// Starts the plugin, and ends the one before.
    pub(super) async fn start(
        &mut self,
        loaded: Loaded,
        source: &Path,
        environments: Arc<Environments>,
        surroundings: &Surroundings,
        progress: Arc<dyn Progress>,
        printer: Printer,
    ) -> Result<()> {
        let Loaded { plugin, declaration, package } = loaded;
        let canned = Canned::of(&declaration);
        let environment = environments.working_dir(&plugin);
        let preparer = InPlace { environments, package, source: source.to_owned() };
        let host = Host::new(plugin, declaration, Arc::new(preparer), surroundings, worker_settings(), Life::Kept)?;
        host.start(progress).await.map_err(|error| explained(error.into(), &environment, source))?;
        if let Some(log) = host.log() {
            tokio::spawn(follow(log, printer));
        }
        let stage = Stage { host: Arc::new(host), canned };
        if let Some(server) = &self.server {
            let before = server.replace(stage);
            before.host.stop().await;
            printer.info("plugin started anew", &[]);
            return Ok(());
        }
        let server = Arc::new(Server::new(stage, Encoding::Json));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await;
        let listener = listener.with_context(|| format!("failed to listen on port {}", self.port))?;
        let address: SocketAddr = listener.local_addr()?;
        tokio::spawn(Arc::clone(&server).accept(listener));
        self.server = Some(server);
        printer.info("plugin started", &[("address", &address)]);
        printer.note(format_args!("Call it: dify plugin invoke {} --connect {address}", source.display()));
        Ok(())
    }
}

/// Shows what the plugin says, until it is gone.
pub(crate) async fn follow(log: Arc<PluginLog>, printer: Printer) {
    let mut newest = log.newest();
    let mut shown = 0;
    loop {
        for entry in log.after(shown) {
            shown = entry.number;
            if entry.source != Source::Lifecycle {
                printer.note(entry.text);
            }
        }
        if newest.changed().await.is_err() {
            return;
        }
    }
}
