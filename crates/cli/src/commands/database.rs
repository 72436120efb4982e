//! The database of a daemon on whose machine a command runs, as the daemon's own variables describe it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use plugin_store::{DatabaseConfig, ServerConfig, SslMode};

use crate::failure::Failure;

/// Variables of the process, and those of `.env` that it does not set.
pub(super) struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Reads the environment of the process, and `.env` in the working folder if there is one.
    pub(super) fn load() -> Result<Self, Failure> {
        let mut variables = match std::fs::read_to_string(".env") {
            Ok(text) => parse(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(Failure::new("failed to read .env").because(error)),
        };
        let own =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        variables.extend(own);
        Ok(Self(variables))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The database; `None` when no variable speaks of one.
    pub(super) fn database(&self) -> Result<Option<DatabaseConfig>, Failure> {
        let speaks = ["DB_TYPE", "DB_HOST", "DB_USERNAME", "DB_PASSWORD", "DB_DATABASE"];
        if speaks.iter().all(|name| self.get(name).is_none()) {
            return Ok(None);
        }
        Ok(Some(match self.get("DB_TYPE").unwrap_or("postgresql") {
            "sqlite" => DatabaseConfig::Sqlite { path: self.sqlite_file() },
            "postgresql" => DatabaseConfig::Postgres(self.server(5432, "postgres", false)?),
            "pgbouncer" => DatabaseConfig::Postgres(self.server(5432, "postgres", true)?),
            "mysql" => DatabaseConfig::MySql(self.server(3306, "mysql", false)?),
            other => {
                let message = format!("DB_TYPE is {other:?}: it is postgresql, pgbouncer, mysql or sqlite");
                return Err(Failure::new(message));
            }
        }))
    }

    fn sqlite_file(&self) -> PathBuf {
        let data = self.get("PLUGIN_DATA_PATH").unwrap_or("data");
        self.get("DB_DATABASE").map_or_else(|| PathBuf::from(data).join("daemon.db"), PathBuf::from)
    }

    fn server(&self, port: u16, initial: &str, pooled_by_server: bool) -> Result<ServerConfig, Failure> {
        let required = |name: &str| {
            let missing =
                || Failure::new(format!("{name} has to be set for this DB_TYPE")).hint("set it as for the daemon");
            self.get(name).map(str::to_owned).ok_or_else(missing)
        };
        let port = match self.get("DB_PORT") {
            Some(text) => text.parse().map_err(|_| Failure::new(format!("DB_PORT is {text:?}, which is no port")))?,
            None => port,
        };
        let ssl_mode = match self.get("DB_SSL_MODE").unwrap_or("disable") {
            "disable" => SslMode::Disable,
            "require" => SslMode::Require,
            "verify-ca" => SslMode::VerifyCa,
            "verify-full" => SslMode::VerifyFull,
            other => {
                let message = format!("DB_SSL_MODE is {other:?}: it is disable, require, verify-ca or verify-full");
                return Err(Failure::new(message));
            }
        };
        Ok(ServerConfig {
            host: required("DB_HOST")?,
            port,
            username: required("DB_USERNAME")?,
            password: required("DB_PASSWORD")?,
            database: required("DB_DATABASE")?,
            default_database: self.get("DB_DEFAULT_DATABASE").unwrap_or(initial).to_owned(),
            ssl_mode,
            ssl_authorities: self.get("DB_SSL_ROOT_CERT").map(Into::into),
            options: self.get("DB_EXTRAS").unwrap_or_default().trim_start_matches("options=").to_owned(),
            pooled_by_server,
            max_connections: 2,
            max_lifetime: Duration::from_hours(1),
            connect_timeout: Duration::from_secs(10),
        })
    }
}

/// `NAME=value` lines; values may be quoted, comments begin with `#`.
fn parse(text: &str) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=') else { continue };
        let value = value.trim();
        let quoted = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.split_once(quote));
        let plain = || value.split(" #").next().unwrap_or_default().trim_end();
        variables.insert(name.trim().to_owned(), quoted.map_or_else(plain, |(value, _)| value).to_owned());
    }
    variables
}

/// The variables of a file in the form of `.env`; none when it is not there.
pub(super) fn env_file(path: &std::path::Path) -> BTreeMap<String, String> {
    std::fs::read_to_string(path).map(|text| parse(&text)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn files_of_variables() {
        let text = "# c\nA=1\nexport B = \"x # y\" # c\nC='z'\nD= plain value # c\nnonsense\nE=\n";
        let expected = [("A", "1"), ("B", "x # y"), ("C", "z"), ("D", "plain value"), ("E", "")];
        let expected: BTreeMap<_, _> = expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(parse(text), expected);
    }

    #[test]
    fn databases() {
        let environment = |pairs: &[(&str, &str)]| {
            Environment(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
        };
        assert!(environment(&[("HOME", "/")]).database().unwrap().is_none());
        let sqlite = environment(&[("DB_TYPE", "sqlite"), ("PLUGIN_DATA_PATH", "/d")]).database().unwrap().unwrap();
        assert!(matches!(sqlite, DatabaseConfig::Sqlite { path } if path.as_path() == Path::new("/d/daemon.db")));
        let error = environment(&[("DB_HOST", "db")]).database().unwrap_err();
        assert_eq!(error.to_string(), "DB_USERNAME has to be set for this DB_TYPE");
        let server = [("DB_HOST", "db"), ("DB_USERNAME", "u"), ("DB_PASSWORD", "p"), ("DB_DATABASE", "d")];
        let Some(DatabaseConfig::Postgres(server)) = environment(&server).database().unwrap() else { panic!() };
        assert_eq!((server.port, &*server.default_database), (5432, "postgres"));
    }
}
