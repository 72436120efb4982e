//! Private database servers, started once per test process and gone with it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use plugin_testkit::servers::{Running, free_port};
use tokio::sync::OnceCell;

use crate::{Database, DatabaseConfig, ServerConfig, SslMode};

pub(super) struct Server {
    running: OnceCell<Result<(u16, Running), Missing>>,
    start: fn(u16) -> Result<Running, String>,
    config: fn(ServerConfig) -> DatabaseConfig,
    administration: &'static str,
    databases: AtomicU32,
}

/// Why there is no server.
#[derive(Clone, Debug)]
pub(super) enum Missing {
    NotInstalled(String),
    NotStarted(String),
}

#[cfg(feature = "postgres")]
pub(super) static POSTGRES: Server = Server::new(start_postgres, DatabaseConfig::Postgres, "postgres");
#[cfg(feature = "mysql")]
pub(super) static MYSQL: Server = Server::new(start_mysql, DatabaseConfig::MySql, "mysql");

impl Server {
    const fn new(
        start: fn(u16) -> Result<Running, String>,
        config: fn(ServerConfig) -> DatabaseConfig,
        administration: &'static str,
    ) -> Self {
        Self { running: OnceCell::const_new(), start, config, administration, databases: AtomicU32::new(0) }
    }

    /// A database that does not exist yet.
    pub(super) async fn new_database(&self) -> Result<DatabaseConfig, Missing> {
        let (port, _) = self.running.get_or_init(|| self.run()).await.as_ref().map_err(Clone::clone)?;
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        Ok((self.config)(self.server(*port, format!("Dify \"plugin\" {number}"))))
    }

    fn server(&self, port: u16, database: String) -> ServerConfig {
        ServerConfig {
            host: "127.0.0.1".to_owned(),
            port,
            username: "root".to_owned(),
            password: String::new(),
            database,
            default_database: self.administration.to_owned(),
            ssl_mode: SslMode::Disable,
            options: String::new(),
            pooled_by_server: false,
            max_connections: 8,
            max_lifetime: Duration::from_mins(10),
            connect_timeout: Duration::from_secs(10),
        }
    }

    async fn run(&self) -> Result<(u16, Running), Missing> {
        let port = free_port().unwrap();
        let running = (self.start)(port).map_err(Missing::NotInstalled)?;
        let config = (self.config)(self.server(port, "probe".to_owned()));
        let mut last = String::new();
        for _ in 0..300 {
            match Database::open(&config).await {
                Ok(_) => return Ok((port, running)),
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(Missing::NotStarted(last))
    }
}

#[cfg(feature = "postgres")]
fn start_postgres(port: u16) -> Result<Running, String> {
    const START: &str = r#"
        port=$2 bin=$3 as=
        if [ "$(id -u)" = 0 ]; then chown postgres "$folder"; as="runuser -u postgres --"; fi
        $as "$bin/initdb" -D "$folder/data" -U root -A trust --no-sync --locale C.UTF-8 &&
        $as "$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -w \
            -o "-p $port -h 127.0.0.1 -k '$folder' -F -c max_connections=300" start
        cat >/dev/null
        $as "$bin/pg_ctl" -D "$folder/data" -m immediate stop"#;
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").exists()).max();
    let bin = newest.ok_or("no PostgreSQL server is installed")?;
    Running::start(START, &[port.to_string(), bin.display().to_string()]).map_err(|error| error.to_string())
}

#[cfg(feature = "mysql")]
fn start_mysql(port: u16) -> Result<Running, String> {
    const START: &str = r#"
        port=$2 user=$(id -un)
        mariadb-install-db --no-defaults --datadir="$folder/data" --user="$user" \
            --auth-root-authentication-method=normal --skip-test-db &&
        mariadbd --no-defaults --datadir="$folder/data" --user="$user" --port="$port" --bind-address=127.0.0.1 \
            --socket="$folder/socket" --pid-file="$folder/pid" --innodb-flush-log-at-trx-commit=0 \
            --innodb-flush-method=nosync \
            --max-connections=300 >"$folder/log" 2>&1 &
        cat >/dev/null
        kill -KILL "$(cat "$folder/pid")""#;
    if !plugin_testkit::servers::is_installed("mariadbd") {
        return Err("no MariaDB server is installed".to_owned());
    }
    Running::start(START, &[port.to_string()]).map_err(|error| error.to_string())
}
