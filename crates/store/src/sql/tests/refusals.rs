//! What an operator reads when a database cannot be opened. `SECRET` is in every password.

use std::net::TcpListener;
use std::time::Duration;

use super::open;
use super::servers::{MYSQL, POSTGRES};
use crate::{Database, DatabaseConfig, ErrorKind, ServerConfig, SslMode};

fn server(port: u16) -> ServerConfig {
    ServerConfig {
        host: "127.0.0.1".to_owned(),
        port,
        username: "dify".to_owned(),
        password: "SECRET".to_owned(),
        database: "plugin".to_owned(),
        default_database: "postgres".to_owned(),
        ssl_mode: SslMode::Disable,
        ssl_authorities: None,
        options: String::new(),
        pooled_by_server: false,
        max_connections: 1,
        max_lifetime: Duration::from_mins(1),
        connect_timeout: Duration::from_millis(300),
    }
}

/// The kind and the text of the error.
async fn refusal(config: &DatabaseConfig) -> (ErrorKind, String) {
    let error = Database::open(config).await.unwrap_err();
    let text = error.to_string();
    for printed in [&text, &format!("{error:?}"), &format!("{config:?}")] {
        assert!(!printed.contains("SECRET"), "{printed}");
    }
    (error.kind(), text)
}

type Kind = (fn(ServerConfig) -> DatabaseConfig, &'static str);

const KINDS: [Kind; 2] = [(DatabaseConfig::Postgres, "PostgreSQL"), (DatabaseConfig::MySql, "MySQL")];

#[tokio::test]
async fn a_server_that_accepts_and_is_silent() {
    // the system accepts connections for it
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    for (config, product) in KINDS {
        let text = format!(
            "cannot connect to {product} at 127.0.0.1:{port}: the server accepted the connection, but did not answer within \
             0.3 s (DB_HOST, DB_PORT, DB_CONNECT_TIMEOUT)"
        );
        assert_eq!(refusal(&config(server(port))).await, (ErrorKind::Unavailable, text));
    }
}

#[tokio::test]
async fn a_port_on_which_no_server_listens() {
    let port = plugin_testkit::servers::free_port().unwrap();
    for (config, product) in KINDS {
        let text = format!(
            "cannot connect to {product} at 127.0.0.1:{port}: connection refused; check that the server runs and listens \
             there (DB_HOST, DB_PORT)"
        );
        assert_eq!(refusal(&config(server(port))).await, (ErrorKind::Unavailable, text));
    }
}

#[tokio::test]
async fn a_host_that_does_not_exist() {
    for (config, product) in KINDS {
        let server = ServerConfig { host: "no host".to_owned(), connect_timeout: Duration::from_secs(30), ..server(1) };
        let (kind, text) = refusal(&config(server)).await;
        let start = format!("cannot connect to {product} at no host:1: the host name \"no host\" cannot be resolved: ");
        assert!(kind == ErrorKind::Unavailable && text.starts_with(&start) && text.ends_with(" (DB_HOST)"), "{text}");
    }
}

#[tokio::test]
async fn what_postgresql_refuses() {
    let Some(present) = POSTGRES.new_database().await else { return };
    let DatabaseConfig::Postgres(server) = &present else { unreachable!() };
    let database = open(&present).await;
    database.sql.pool.0.script("CREATE ROLE checked LOGIN PASSWORD 'right'").await.unwrap();
    let at = format!("PostgreSQL at 127.0.0.1:{}", server.port);
    let with = |change: &dyn Fn(&mut ServerConfig)| {
        let mut server = server.clone();
        change(&mut server);
        DatabaseConfig::Postgres(server)
    };

    let wrong = with(&|server| {
        server.username = "checked".to_owned();
        server.password = "SECRET".to_owned();
    });
    let text = format!(
        "cannot connect to {at}: password authentication failed for user \"checked\" (SQLSTATE 28P01) (DB_USERNAME, DB_PASSWORD)"
    );
    assert_eq!(refusal(&wrong).await, (ErrorKind::Other, text));

    let unknown = with(&|server| server.options = "-c nonsense=1".to_owned());
    let text = format!(
        "cannot connect to {at}: unrecognized configuration parameter \"nonsense\" (SQLSTATE 42704) (DB_EXTRAS)"
    );
    assert_eq!(refusal(&unknown).await, (ErrorKind::Other, text));
    let (kind, text) = refusal(&with(&|server| server.options = "statement_timeout=1".to_owned())).await;
    assert!(kind == ErrorKind::Invalid && text.ends_with("are not of the form -c name=value (DB_EXTRAS)"), "{text}");

    let powerless = with(&|server| {
        server.username = "checked".to_owned();
        server.password = "right".to_owned();
        server.database = "missing".to_owned();
    });
    let text = format!(
        "the database \"missing\" does not exist on {at} and cannot be created: permission denied to create database (SQLSTATE \
         42501); create it, or let the user \"checked\" create databases and connect to \"postgres\" (DB_DATABASE, \
         DB_DEFAULT_DATABASE, DB_USERNAME)"
    );
    assert_eq!(refusal(&powerless).await, (ErrorKind::Other, text));
}

#[tokio::test]
async fn what_mysql_refuses() {
    let Some(present) = MYSQL.new_database().await else { return };
    let DatabaseConfig::MySql(server) = &present else { unreachable!() };
    let database = open(&present).await;
    database.sql.pool.0.script("CREATE USER checked@'%' IDENTIFIED BY 'right'").await.unwrap();
    let wrong = ServerConfig { username: "checked".to_owned(), password: "SECRET".to_owned(), ..server.clone() };
    let (kind, text) = refusal(&DatabaseConfig::MySql(wrong)).await;
    let start = format!("cannot connect to MySQL at 127.0.0.1:{}: Access denied for user 'checked'@'", server.port);
    let end = "(using password: YES) (SQLSTATE 28000) (DB_USERNAME, DB_PASSWORD)";
    assert!(kind == ErrorKind::Other && text.starts_with(&start) && text.ends_with(end), "{text}");
}

#[tokio::test]
async fn a_file_that_sqlite_cannot_use() {
    let folder = tempfile::tempdir().unwrap();
    let check = async |path: &std::path::Path, expected: &str| {
        let (_, text) = refusal(&DatabaseConfig::Sqlite { path: path.to_owned() }).await;
        let start = format!("cannot open the SQLite database {}: {expected}", path.display());
        assert!(text.starts_with(&start) && text.ends_with("(DB_DATABASE, PLUGIN_DATA_PATH)"), "{text}");
    };
    check(folder.path(), "unable to open database file (code 14); ").await;
    let junk = folder.path().join("junk");
    std::fs::write(&junk, "no database ".repeat(100)).unwrap();
    check(&junk, "file is not a database (code 26); move the file away").await;
    let below = DatabaseConfig::Sqlite { path: junk.join("below/daemon.db") };
    let (_, text) = refusal(&below).await;
    assert!(
        text.starts_with(&format!("cannot create the folder {}/below of the database: ", junk.display())),
        "{text}"
    );
}

#[tokio::test]
async fn statements_fail_in_the_servers_words() {
    let Some(config) = POSTGRES.new_database().await else { return };
    let database = open(&config).await;
    let failed = database.sql.execute(crate::sql::statement::sql("SELECT nonsense")).await.unwrap_err();
    assert_eq!(failed.to_string(), "database: column \"nonsense\" does not exist (SQLSTATE 42703)");
}
