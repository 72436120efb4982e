//! What the database servers have in common: how they are connected to, and why that fails.

use std::fmt;
use std::io::ErrorKind::InvalidData;

use jiff::Timestamp;
use sqlx::{ConnectOptions, Connection};
use time::OffsetDateTime;
use tokio::time::timeout;

use crate::silence::silence;
use crate::sql::error::{SQLSTATE_LENGTH, cause, kind};
use crate::{Error, ErrorKind, Result, ServerConfig, SslMode};

/// A kind of server, as messages name it.
#[derive(Clone, Copy)]
pub(super) struct Product(pub(super) &'static str);

/// Why a server could not be connected to.
#[derive(Debug)]
pub(super) enum Failure {
    /// No answer within [`ServerConfig::connect_timeout`].
    TimedOut,
    Driver(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Driver(error)
    }
}

impl Failure {
    pub(super) fn database(&self) -> Option<&dyn sqlx::error::DatabaseError> {
        match self {
            Self::Driver(error) => error.as_database_error(),
            Self::TimedOut => None,
        }
    }
}

/// Connects within the time limit.
pub(super) async fn connect<O>(config: &ServerConfig, options: &O) -> Result<O::Connection, Failure>
where
    O: ConnectOptions,
    O::Connection: Sized,
{
    match timeout(config.connect_timeout, options.connect()).await {
        Ok(connected) => Ok(connected?),
        Err(_) => Err(Failure::TimedOut),
    }
}

/// Where a server is, for messages: without the password.
struct Target<'a>(Product, &'a ServerConfig);

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Product(product), ServerConfig { host, port, .. }) = self;
        write!(f, "{product} at {host}:{port}")
    }
}

impl Product {
    /// Makes sure that the database of the options is there and lets itself be connected to; a missing one is created.
    pub(super) async fn ensure_database<O>(
        self,
        config: &ServerConfig,
        options: &O,
        is_missing: fn(&Failure) -> bool,
        create: impl Future<Output = Result<(), Failure>>,
    ) -> Result<()>
    where
        O: ConnectOptions,
        O::Connection: Sized,
    {
        match connect(config, options).await {
            // What goes wrong with the farewell is no concern of the connections to come.
            Ok(connection) => drop(connection.close().await),
            Err(failure) if is_missing(&failure) => {
                if let Err(failure) = create.await {
                    return Err(self.not_created(config, &failure).await);
                }
            }
            Err(failure) => return Err(self.refused(config, &failure).await),
        }
        Ok(())
    }

    /// The error of a connection that failed.
    async fn refused(self, config: &ServerConfig, failure: &Failure) -> Error {
        let (kind, reason, variables) = self.reason(config, failure).await;
        Error::new(kind, format!("cannot connect to {}: {reason}", Target(self, config))).in_variables(variables)
    }

    /// The error of a database that is missing and cannot be created.
    async fn not_created(self, config: &ServerConfig, failure: &Failure) -> Error {
        let (kind, reason, _) = self.reason(config, failure).await;
        let text = format!(
            "the database {:?} does not exist on {} and cannot be created: {reason}; create it, or let the user {:?} create \
             databases and connect to {:?}",
            config.database,
            Target(self, config),
            config.username,
            config.default_database
        );
        Error::new(kind, text).in_variables(&["DB_DATABASE", "DB_DEFAULT_DATABASE", "DB_USERNAME"])
    }

    async fn reason(self, config: &ServerConfig, failure: &Failure) -> (ErrorKind, String, &'static [&'static str]) {
        match failure {
            Failure::TimedOut => {
                let reason = silence(&config.host, config.port, config.connect_timeout).await;
                (ErrorKind::Unavailable, reason, &["DB_HOST", "DB_PORT", "DB_CONNECT_TIMEOUT"])
            }
            Failure::Driver(error) => self.refusal(config, error),
        }
    }

    fn refusal(self, config: &ServerConfig, error: &sqlx::Error) -> (ErrorKind, String, &'static [&'static str]) {
        let Self(product) = self;
        let (reason, variables): (String, &[&'static str]) = match error {
            sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                ("connection refused; check that the server runs and listens there".to_owned(), ADDRESS)
            }
            sqlx::Error::Io(error) if is_unknown_host(error) => {
                (format!("the host name {:?} cannot be resolved: {error}", config.host), &["DB_HOST"])
            }
            // the handshake fails with an error of the socket
            sqlx::Error::Io(error) if config.ssl_mode != SslMode::Disable && error.kind() == InvalidData => {
                (format!("TLS: {error}"), TLS)
            }
            sqlx::Error::Io(error) => (error.to_string(), ADDRESS),
            sqlx::Error::Tls(error) => (format!("TLS: {error}"), TLS),
            sqlx::Error::Protocol(text) => (format!("the server does not answer as {product} does: {text}"), ADDRESS),
            sqlx::Error::Configuration(error) => (format!("the settings are not usable: {error}"), TLS),
            sqlx::Error::Database(refusal) => (cause(error), variables_behind(config, refusal.as_ref())),
            _ => (cause(error), ADDRESS),
        };
        (kind(error), reason, variables)
    }
}

const ADDRESS: &[&str] = &["DB_HOST", "DB_PORT"];
const TLS: &[&str] = &["DB_SSL_MODE", "DB_SSL_ROOT_CERT"];

/// What to look at when a server refuses a connection.
fn variables_behind(config: &ServerConfig, refusal: &dyn sqlx::error::DatabaseError) -> &'static [&'static str] {
    const UNKNOWN_PARAMETER: &str = "42704";
    let code = refusal.code().unwrap_or_default();
    let is_sqlstate = code.len() == SQLSTATE_LENGTH;
    let of_options = code == UNKNOWN_PARAMETER || (is_sqlstate && code.starts_with("22"));
    if !config.options.is_empty() && (of_options || refusal.message().contains("startup parameter")) {
        return &["DB_EXTRAS"];
    }
    match code.as_ref() {
        code if is_sqlstate && code.starts_with("28") => &["DB_USERNAME", "DB_PASSWORD"],
        code if is_sqlstate && (code.starts_with("3D") || code.starts_with("42")) => &["DB_DATABASE", "DB_USERNAME"],
        code if is_sqlstate && code.starts_with("53") => &["DB_MAX_OPEN_CONNS"],
        _ => &["DB_HOST", "DB_PORT", "DB_USERNAME", "DB_DATABASE"],
    }
}

fn is_unknown_host(error: &std::io::Error) -> bool {
    error.to_string().contains("failed to lookup address")
}

pub(super) fn to_offset(time: Timestamp) -> OffsetDateTime {
    // Both types end with the year 9999.
    OffsetDateTime::from_unix_timestamp_nanos(time.as_nanosecond()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

pub(super) fn from_offset(time: OffsetDateTime) -> sqlx::Result<Timestamp> {
    Timestamp::from_nanosecond(time.unix_timestamp_nanos()).map_err(|error| sqlx::Error::Decode(error.into()))
}
