//! Connections to servers: TLS, their number, and the errors of those that fail.

use super::servers::Server;
use super::{open, tenant, version};
use plugin_testkit::servers::skip;

use crate::sql::statement::sql;
use crate::{Database, DatabaseConfig, ServerConfig, SslMode};

/// A kind of server, and its queries about connections.
struct Kind {
    server: &'static Server,
    config: fn(ServerConfig) -> DatabaseConfig,
    is_encrypted: &'static str,
    connections: &'static str,
}

#[cfg(feature = "postgres")]
const POSTGRES: Kind = Kind {
    server: &super::servers::POSTGRES,
    config: DatabaseConfig::Postgres,
    is_encrypted: "SELECT ssl AS answer FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    connections: "SELECT count(*) AS answer FROM pg_stat_activity WHERE datname = current_database()",
};

#[cfg(feature = "mysql")]
const MYSQL: Kind = Kind {
    server: &super::servers::MYSQL,
    config: DatabaseConfig::MySql,
    is_encrypted: "SELECT variable_value <> '' AS answer FROM information_schema.session_status \
                   WHERE variable_name = 'SSL_CIPHER'",
    connections: "SELECT count(*) AS answer FROM information_schema.processlist WHERE db = DATABASE()",
};

/// A new database of that kind; `None` without a server.
async fn server(kind: &Kind) -> Option<ServerConfig> {
    match kind.server.new_database().await? {
        DatabaseConfig::Postgres(server) | DatabaseConfig::MySql(server) => Some(server),
        DatabaseConfig::Sqlite { .. } => panic!("no server"),
    }
}

async fn tls_is_as_configured(kind: Kind) {
    let Some(server) = server(&kind).await else { return };
    let Some(authorities) = kind.server.authorities() else {
        return skip("no openssl is installed");
    };
    let open = async |host: &str, ssl_mode, is_trusted: bool| {
        let ssl_authorities = is_trusted.then(|| authorities.clone());
        let config = (kind.config)(ServerConfig { host: host.to_owned(), ssl_mode, ssl_authorities, ..server.clone() });
        let database = Database::open(&config).await.map_err(|error| error.to_string())?;
        let answer = database.sql.row(sql(kind.is_encrypted)).await.unwrap().unwrap();
        database.close().await;
        Ok::<_, String>(answer.flag("answer").unwrap())
    };
    let refused = |outcome: Result<bool, String>| {
        let error = outcome.unwrap_err();
        assert!(error.contains("TLS: ") && error.contains("certificate"), "{error}");
        assert!(error.ends_with("(DB_SSL_MODE, DB_SSL_ROOT_CERT)"), "{error}");
    };
    assert_eq!(open("127.0.0.1", SslMode::Disable, false).await, Ok(false));
    assert_eq!(open("127.0.0.1", SslMode::Require, false).await, Ok(true));
    refused(open("127.0.0.1", SslMode::VerifyCa, false).await);
    assert_eq!(open("127.0.0.1", SslMode::VerifyCa, true).await, Ok(true));
    refused(open("127.0.0.1", SslMode::VerifyFull, true).await);
    assert_eq!(open("localhost", SslMode::VerifyFull, true).await, Ok(true));
    refused(open("localhost", SslMode::VerifyFull, false).await);
}

async fn there_are_no_more_than_configured(kind: Kind) {
    const MOST: u32 = 3;
    let Some(server) = server(&kind).await else { return };
    let database = open(&(kind.config)(ServerConfig { max_connections: MOST, ..server.clone() })).await;
    let watcher = open(&(kind.config)(ServerConfig { max_connections: 1, ..server })).await;
    let mut work = tokio::task::JoinSet::new();
    for number in 0..30_u128 {
        let database = database.clone();
        work.spawn(async move {
            super::install(&database, tenant(number), "a/p", &version("a/p", "1.0.0")).await;
        });
    }
    let mut most = 0;
    while let Some(done) = work.join_next().await {
        done.unwrap();
        let row = watcher.sql.row(sql(kind.connections)).await.unwrap().unwrap();
        most = most.max(row.int("answer").unwrap());
    }
    assert!((2..=i64::from(MOST) + 1).contains(&most), "{most} connections, one of them the watcher's");
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn a_missing_database_is_created_through_pgbouncer() {
    let Some(server) = super::servers::new_pooled_database().await else { return };
    // the pooler repeats the server's refusal for a while
    let mut tries = 0;
    let database = loop {
        match Database::open(&DatabaseConfig::Postgres(server.clone())).await {
            Ok(database) => break database,
            Err(error) => assert!(error.is_retryable() && tries < 50, "{error}"),
        }
        tries += 1;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    super::install(&database, tenant(1), "a/p", &version("a/p", "1.0.0")).await;
}

#[cfg(feature = "postgres")]
mod on_postgres {
    #[tokio::test]
    async fn tls_is_as_configured() {
        super::tls_is_as_configured(super::POSTGRES).await;
    }

    #[tokio::test]
    async fn there_are_no_more_than_configured() {
        super::there_are_no_more_than_configured(super::POSTGRES).await;
    }
}

#[cfg(feature = "mysql")]
mod on_mysql {
    #[tokio::test]
    async fn tls_is_as_configured() {
        super::tls_is_as_configured(super::MYSQL).await;
    }

    #[tokio::test]
    async fn there_are_no_more_than_configured() {
        super::there_are_no_more_than_configured(super::MYSQL).await;
    }
}
