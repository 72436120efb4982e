//! Servers, nodes, and who calls them.

#![expect(clippy::indexing_slicing, reason = "a JSON value gives null for what it does not hold")]

use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use plugin_testkit::daemon::Settings;
use plugin_testkit::servers::{Server, free_port, skip};
use plugin_testkit::{Client, Daemon, Developer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

/// What the nodes share.
pub(crate) struct Site {
    pub(crate) database: Server,
    kind: DatabaseKind,
    pub(crate) redis: Server,
    storage: Storage,
    /// One site at a time: the tests measure, and need the machine.
    _turn: MutexGuard<'static, ()>,
}

#[derive(Clone, Copy)]
pub(crate) enum DatabaseKind {
    Postgres,
    MariaDb,
}

/// Where the nodes keep packages.
enum Storage {
    /// At an S3 server that all sites share.
    Bucket { port: u16, name: String },
    /// Where there is no such server.
    Folder(TempDir),
}

impl Storage {
    async fn new() -> Result<Self> {
        static S3: OnceCell<Option<Server>> = OnceCell::const_new();
        let started = S3.get_or_try_init(async || Server::s3()).await?.as_ref();
        let Some(server) = started else { return Ok(Self::Folder(tempfile::tempdir()?)) };
        let (port, name) = (server.port(), format!("site-{}", uuid::Uuid::new_v4()));
        let created = reqwest::Client::new().put(format!("http://127.0.0.1:{port}/{name}")).send().await?;
        created.error_for_status().context("no bucket could be made")?;
        Ok(Self::Bucket { port, name })
    }

    fn set(&self, settings: Settings) -> Settings {
        match self {
            Self::Bucket { port, name } => settings
                .with("PLUGIN_STORAGE_TYPE", "s3")
                .with("PLUGIN_STORAGE_OSS_BUCKET", name)
                .with("S3_USE_AWS", "false")
                .with("S3_ENDPOINT", &format!("http://127.0.0.1:{port}"))
                .with("AWS_ACCESS_KEY", "any")
                .with("AWS_SECRET_KEY", "any")
                .with("AWS_REGION", "us-east-1"),
            Self::Folder(folder) => settings.with("PLUGIN_STORAGE_LOCAL_ROOT", &folder.path().to_string_lossy()),
        }
    }
}

/// A node, and its port for plugins under development.
pub(crate) struct Node {
    pub(crate) daemon: Daemon,
    pub(crate) debugging: u16,
}

impl Site {
    /// On PostgreSQL. `None`, with the reason printed, where it cannot be.
    pub(crate) async fn new() -> Result<Option<Self>> {
        Self::on(DatabaseKind::Postgres).await
    }

    pub(crate) async fn on(kind: DatabaseKind) -> Result<Option<Self>> {
        static TURN: OnceLock<Mutex<()>> = OnceLock::new();
        let turn = TURN.get_or_init(Mutex::default).lock().await;
        let database = match kind {
            DatabaseKind::Postgres => Server::postgres()?,
            DatabaseKind::MariaDb => Server::mariadb()?,
        };
        let (Some(database), Some(redis)) = (database, Server::redis()?) else {
            skip("the database or Redis is not installed");
            return Ok(None);
        };
        Ok(Some(Self { database, kind, redis, storage: Storage::new().await?, _turn: turn }))
    }

    /// Whether the storage is a bucket.
    pub(crate) fn has_bucket(&self) -> bool {
        matches!(self.storage, Storage::Bucket { .. })
    }

    /// A node that is not started yet.
    pub(crate) fn settings(&self) -> Result<(Settings, u16)> {
        let debugging = free_port()?;
        let (database, user) = match self.kind {
            DatabaseKind::Postgres => ("postgresql", "postgres"),
            DatabaseKind::MariaDb => ("mysql", "daemon"),
        };
        let settings = Settings::new(Path::new(env!("CARGO_BIN_EXE_dify-plugin-daemon")))?
            .with("DB_TYPE", database)
            .with("DB_HOST", "127.0.0.1")
            .with("DB_PORT", &self.database.port().to_string())
            .with("DB_USERNAME", user)
            .with("DB_PASSWORD", "any")
            .with("DB_DATABASE", "dify_plugin")
            .with("REDIS_HOST", "127.0.0.1")
            .with("REDIS_PORT", &self.redis.port().to_string())
            .with("PLUGIN_REMOTE_INSTALLING_ENABLED", "true")
            .with("PLUGIN_REMOTE_INSTALLING_HOST", "127.0.0.1")
            .with("PLUGIN_REMOTE_INSTALLING_PORT", &debugging.to_string())
            .with("DISPLAY_CLUSTER_LOG", "true");
        Ok((self.storage.set(settings), debugging))
    }

    /// A node that runs.
    pub(crate) async fn node(&self) -> Result<Node> {
        self.node_with(&[]).await
    }

    /// One with more variables.
    pub(crate) async fn node_with(&self, variables: &[(&str, &str)]) -> Result<Node> {
        let (settings, debugging) = self.settings()?;
        let settings = variables.iter().fold(settings, |settings, (name, value)| settings.with(name, value));
        let node = Node { daemon: settings.start().await?, debugging };
        node.ready().await?;
        Ok(node)
    }

    /// Two of them.
    pub(crate) async fn two_nodes(&self) -> Result<(Node, Node)> {
        tokio::try_join!(self.node(), self.node())
    }
}

impl Node {
    pub(crate) async fn ready(&self) -> Result<()> {
        until("the node is ready", async || Ok(self.report().await?.0 == 200)).await
    }

    /// What `/ready` says.
    pub(crate) async fn report(&self) -> Result<(u16, Value)> {
        let answer = reqwest::get(format!("{}/ready", self.daemon.url())).await?;
        Ok((answer.status().as_u16(), answer.json().await?))
    }

    /// A plugin under development, connected to this node and known to another one.
    pub(crate) async fn connect(&self, client: &Client, name: &str, version: &str, answer: &str) -> Result<Developer> {
        let key = client.post("debugging/key", &json!({})).await?;
        let key = key["key"].as_str().context("no key")?;
        let developer = Developer::connect(self.debugging, key, name, version, answer).await?;
        let plugin = format!("testkit/{name}");
        until("the plugin answers", async || Ok(call(client, &plugin).await.is_ok_and(|text| text == answer))).await?;
        Ok(developer)
    }
}

/// A workspace that no other test has.
pub(crate) fn tenant() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Calls the only tool of a plugin; what it says.
pub(crate) async fn call(client: &Client, plugin: &str) -> Result<String> {
    let events = ask(client, plugin, json!({})).await?.collect().await?;
    Ok(events.iter().filter_map(|event| event["message"]["text"].as_str()).collect())
}

/// The same with parameters, as the stream that it is.
pub(crate) async fn ask(client: &Client, plugin: &str, parameters: Value) -> Result<plugin_testkit::client::Events> {
    let provider = plugin.rsplit('/').next().unwrap_or_default();
    client.invoke_tool(plugin, provider, "answer", parameters).await
}

/// Waits for something that comes true soon.
pub(crate) async fn until(what: &str, is_true: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !is_true().await? {
        if begun.elapsed() > Duration::from_mins(1) {
            bail!("{what}: it does not come true");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// How many processes of plugins a daemon has, of those whose arguments or folder hold a text.
pub(crate) fn workers(daemon: &Daemon, text: &str) -> Result<usize> {
    let mut found = 0;
    let folder = daemon.folder().to_string_lossy().into_owned();
    for process in std::fs::read_dir("/proc")?.flatten() {
        let Ok(cwd) = std::fs::read_link(process.path().join("cwd")) else { continue };
        let cwd = cwd.to_string_lossy().into_owned();
        found += usize::from(cwd.starts_with(&folder) && cwd.contains(text));
    }
    Ok(found)
}
