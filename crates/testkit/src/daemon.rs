//! A daemon of a test's own: free ports, an empty folder, and an end with the test.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::Client;
use crate::servers::free_port;

/// The key that clients of [`Daemon`] show.
pub const SERVER_KEY: &str = "testkit-server-key";
/// The key that the daemon shows to Dify.
pub const INNER_API_KEY: &str = "testkit-inner-api-key";

/// A running daemon process.
#[derive(Debug)]
pub struct Daemon {
    process: Child,
    settings: Settings,
}

/// How a daemon is started, so that it can be started again.
#[derive(Debug)]
pub struct Settings {
    binary: PathBuf,
    folder: TempDir,
    port: u16,
    /// A variable without a value is removed.
    variables: Vec<(String, Option<String>)>,
}

impl Settings {
    /// The binary built beside the running test, or the one named.
    pub fn new(binary: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        Ok(Self { binary: binary.to_owned(), folder, port: free_port()?, variables: Vec::new() })
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), Some(value.to_owned())));
        self
    }

    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.variables.push((name.to_owned(), None));
        self
    }

    /// What the last daemon that was started so has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("daemon.log")).unwrap_or_default()
    }

    /// Starts it and waits until it answers.
    pub async fn start(self) -> Result<Daemon> {
        let log = std::fs::File::create(self.folder.path().join("daemon.log"))?;
        let mut command = Command::new(&self.binary);
        command
            .env("PLUGIN_DATA_PATH", self.folder.path().join("data"))
            .env("SERVER_HOST", "127.0.0.1")
            .env("SERVER_PORT", self.port.to_string())
            .env("SERVER_KEY", SERVER_KEY)
            .env("DIFY_INNER_API_KEY", INNER_API_KEY)
            .env("PLUGIN_REMOTE_INSTALLING_ENABLED", "false")
            .env("FORCE_VERIFYING_SIGNATURE", "false")
            .env("PIP_MIRROR_AUTO_DETECT", "false")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        for (name, value) in &self.variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let process = command.spawn().with_context(|| format!("cannot start {}", self.binary.display()))?;
        let mut daemon = Daemon { process, settings: self };
        let client = daemon.client("00000000-0000-0000-0000-000000000000")?;
        for _ in 0..12_000 {
            if client.is_healthy().await {
                return Ok(daemon);
            }
            if let Some(status) = daemon.process.try_wait()? {
                bail!("the daemon ended at its start with {status}:\n{}", daemon.log());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("the daemon does not answer:\n{}", daemon.log())
    }
}

impl Daemon {
    pub fn client(&self, tenant: &str) -> Result<Client> {
        Client::new(&self.url(), SERVER_KEY, tenant)
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.settings.port)
    }

    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Where everything of it is.
    pub fn folder(&self) -> &Path {
        self.settings.folder.path()
    }

    /// What it has written of its log. A line is written some milliseconds after what it tells of: wait for one that is
    /// missed, and read the log of a daemon that has ended ([`Settings::log`]) to say what is not in it.
    pub fn log(&self) -> String {
        self.settings.log()
    }

    /// `kill -9`; what it started has to cope.
    pub async fn kill(mut self) -> Result<Settings> {
        self.process.kill().await?;
        Ok(self.settings)
    }

    /// SIGTERM, and the wait for its end.
    pub async fn terminate(mut self) -> Result<Settings> {
        let pid = self.process.id().context("the daemon is gone already")?;
        let status = Command::new("kill").args(["-TERM", &pid.to_string()]).status().await?;
        if !status.success() {
            bail!("cannot signal the daemon");
        }
        tokio::time::timeout(Duration::from_mins(2), self.process.wait()).await.context("SIGTERM did not end it")??;
        Ok(self.settings)
    }
}
