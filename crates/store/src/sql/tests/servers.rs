//! Private database servers, started once per run of the tests.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use plugin_testkit::servers::{Shared, free_port, skip};
use tokio::sync::OnceCell;

use crate::{Database, DatabaseConfig, ServerConfig, SslMode};

pub(super) struct Server {
    running: OnceCell<Option<(u16, Shared)>>,
    start: fn() -> Option<Shared>,
    config: fn(ServerConfig) -> DatabaseConfig,
    administration: &'static str,
    databases: AtomicU32,
}

#[cfg(feature = "postgres")]
pub(super) static POSTGRES: Server = Server::new(start_postgres, DatabaseConfig::Postgres, "postgres");
#[cfg(feature = "mysql")]
pub(super) static MYSQL: Server = Server::new(start_mysql, DatabaseConfig::MySql, "mysql");

impl Server {
    const fn new(
        start: fn() -> Option<Shared>,
        config: fn(ServerConfig) -> DatabaseConfig,
        administration: &'static str,
    ) -> Self {
        Self { running: OnceCell::const_new(), start, config, administration, databases: AtomicU32::new(0) }
    }

    /// A database that does not exist yet; `None` where the server is not installed, which is reported.
    pub(super) async fn new_database(&self) -> Option<DatabaseConfig> {
        let Some((port, _)) = self.running.get_or_init(|| self.run()).await else {
            skip("the database server is not installed");
            return None;
        };
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        Some((self.config)(self.server(*port, format!("Dify \"plugin\" {}-{number}", std::process::id()))))
    }

    /// The authority of the server's certificate, which is for `localhost`; `None` if it has none.
    pub(super) fn authorities(&self) -> Option<PathBuf> {
        let (_, running) = self.running.get()?.as_ref()?;
        Some(running.folder().join("ca.pem")).filter(|path| path.exists())
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
            ssl_authorities: None,
            options: String::new(),
            pooled_by_server: false,
            max_connections: 8,
            max_lifetime: Duration::from_mins(10),
            connect_timeout: Duration::from_secs(10),
        }
    }

    async fn run(&self) -> Option<(u16, Shared)> {
        let running = (self.start)()?;
        let port = port(&running);
        let config = (self.config)(self.server(port, format!("probe {}", std::process::id())));
        let mut last = String::new();
        for _ in 0..300 {
            match Database::open(&config).await {
                Ok(_) => return Some((port, running)),
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the server did not start: {last}");
    }
}

/// The port that is the first argument of a server's script.
fn port(server: &Shared) -> u16 {
    server.arguments()[0].parse().unwrap()
}

/// A database on PostgreSQL that is there, reached through PgBouncer.
#[cfg(feature = "postgres")]
pub(super) async fn pooled_database() -> Option<DatabaseConfig> {
    let pooled = new_pooled_database().await?;
    let DatabaseConfig::Postgres(there) = POSTGRES.new_database().await? else { unreachable!() };
    Database::open(&DatabaseConfig::Postgres(there.clone())).await.unwrap().close().await;
    Some(DatabaseConfig::Postgres(ServerConfig { database: there.database, ..pooled }))
}

/// One that does not exist yet. PgBouncer hands each transaction to any of three connections.
#[cfg(feature = "postgres")]
pub(super) async fn new_pooled_database() -> Option<ServerConfig> {
    static POOLER: OnceCell<Option<(u16, Shared)>> = OnceCell::const_new();
    const START: &str = r#"
        port=$2 server=$3 as=
        printf '[databases]\n* = host=127.0.0.1 port=%s user=root\n[pgbouncer]\nlisten_addr = 127.0.0.1\n
listen_port = %s\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 3\n
max_client_conn = 1000\nmax_db_connections = 3\nserver_login_retry = 1\n' "$server" "$port" >"$folder/pgbouncer.ini"
        if [ "$(id -u)" = 0 ]; then chown -R postgres "$folder"; as="-u postgres"; fi
        pgbouncer $as "$folder/pgbouncer.ini" 2>"$folder/log" & pid=$!
        cat >/dev/null
        kill -KILL $pid"#;
    let DatabaseConfig::Postgres(direct) = POSTGRES.new_database().await? else { unreachable!() };
    let start = async || {
        if !plugin_testkit::servers::is_installed("pgbouncer") {
            return None;
        }
        let arguments = || Ok(vec![free_port()?.to_string(), direct.port.to_string()]);
        let running = Shared::start("pgbouncer", START, arguments).unwrap();
        let port = port(&running);
        for _ in 0..100 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Some((port, running));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("PgBouncer does not listen")
    };
    let Some((port, _)) = POOLER.get_or_init(start).await else {
        skip("no PgBouncer is installed");
        return None;
    };
    Some(ServerConfig { port: *port, pooled_by_server: true, ..direct })
}

/// Makes `ca.pem`, and `cert.pem` with `key.pem` for `localhost` alone.
const CERTIFICATES: &str = r#"
    certificates() (
        cd "$folder"
        new="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        openssl req -x509 $new -days 2 -keyout ca.key -out ca.pem -subj /CN=authority &&
        openssl req $new -keyout key.pem -out request.pem -subj /CN=database &&
        printf 'subjectAltName=DNS:localhost' >names &&
        openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out cert.pem
    )"#;

/// With passwords for the user `checked` alone.
#[cfg(feature = "postgres")]
fn start_postgres() -> Option<Shared> {
    const START: &str = r#"
        port=$2 bin=$3 as= tls=
        certificates && tls="-c ssl=on -c ssl_cert_file='$folder/cert.pem' -c ssl_key_file='$folder/key.pem'"
        if [ "$(id -u)" = 0 ]; then chown -R postgres "$folder"; as="runuser -u postgres --"; fi
        $as "$bin/initdb" -D "$folder/data" -U root -A trust --no-sync --locale C.UTF-8 &&
        sed -i '1i host all checked 127.0.0.1/32 scram-sha-256' "$folder/data/pg_hba.conf" &&
        $as "$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -w \
            -o "-p $port -h 127.0.0.1 -k '$folder' -F -c max_connections=300 $tls" start
        cat >/dev/null
        $as "$bin/pg_ctl" -D "$folder/data" -m immediate stop"#;
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").exists()).max();
    let bin = newest?;
    let script = format!("{CERTIFICATES}{START}");
    let arguments = || Ok(vec![free_port()?.to_string(), bin.display().to_string()]);
    Some(Shared::start("postgres", &script, arguments).unwrap())
}

#[cfg(feature = "mysql")]
fn start_mysql() -> Option<Shared> {
    const START: &str = r#"
        port=$2 user=$(id -un) tls=
        certificates && tls="--ssl-cert=$folder/cert.pem --ssl-key=$folder/key.pem"
        mariadb-install-db --no-defaults --datadir="$folder/data" --user="$user" \
            --auth-root-authentication-method=normal --skip-test-db &&
        mariadbd --no-defaults --datadir="$folder/data" --user="$user" --port="$port" --bind-address=127.0.0.1 \
            --socket="$folder/socket" --pid-file="$folder/pid" --innodb-flush-log-at-trx-commit=0 \
            --innodb-flush-method=nosync $tls \
            --max-connections=300 >"$folder/log" 2>&1 &
        cat >/dev/null
        kill -KILL "$(cat "$folder/pid")""#;
    if !plugin_testkit::servers::is_installed("mariadbd") {
        return None;
    }
    let script = format!("{CERTIFICATES}{START}");
    Some(Shared::start("mariadb", &script, || Ok(vec![free_port()?.to_string()])).unwrap())
}
