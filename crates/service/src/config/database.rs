//! The variables of the database on their own, for commands that need no other, and as the store takes them.

use std::collections::BTreeMap;

use plugin_store::{DatabaseConfig, ServerConfig, SslMode};

use super::registry::Reader;
use super::report::Problem;
use super::{ConfigError, Database, DatabaseType, SERVER_VARIABLES, check, compute_defaults};

impl Database {
    /// Reads the variables of the database alone; `None` when none of them names one.
    ///
    /// # Errors
    ///
    /// Every variable of the database that cannot be used.
    pub fn from_vars(variables: BTreeMap<String, String>) -> Result<Option<Self>, ConfigError> {
        let mut reader = Reader::new(variables);
        if reader.text("DB_TYPE").is_none() && SERVER_VARIABLES.iter().all(|name| reader.text(name).is_none()) {
            return Ok(None);
        }
        compute_defaults(&mut reader);
        let database = Self::read(&mut reader);
        check::database(&database, &mut |text| reader.report(Problem::invalid(text)));
        ConfigError::from_problems(reader.into_problems())?;
        Ok(Some(database))
    }

    /// How the store connects to it.
    pub fn connection(&self) -> DatabaseConfig {
        match self.kind {
            DatabaseType::Sqlite => DatabaseConfig::Sqlite { path: self.name.clone().into() },
            DatabaseType::Postgresql | DatabaseType::Pgbouncer => DatabaseConfig::Postgres(self.server()),
            DatabaseType::Mysql => DatabaseConfig::MySql(self.server()),
        }
    }

    fn server(&self) -> ServerConfig {
        let given = |text: &Option<String>| text.clone().unwrap_or_default();
        ServerConfig {
            host: given(&self.host),
            port: self.port,
            username: given(&self.username),
            password: self.password.as_ref().map(|password| password.expose().to_owned()).unwrap_or_default(),
            database: self.name.clone(),
            default_database: self.initial.clone(),
            ssl_mode: match self.ssl_mode {
                super::SslMode::Disable => SslMode::Disable,
                super::SslMode::Require => SslMode::Require,
                super::SslMode::VerifyCa => SslMode::VerifyCa,
                super::SslMode::VerifyFull => SslMode::VerifyFull,
            },
            ssl_authorities: self.ssl_authorities.clone(),
            options: given(&self.extras).trim_start_matches("options=").to_owned(),
            pooled_by_server: self.kind == DatabaseType::Pgbouncer,
            max_connections: self.max_open,
            max_lifetime: self.max_lifetime,
            connect_timeout: self.connect_timeout,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Option<DatabaseConfig>, String> {
        let variables = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let database = Database::from_vars(variables).map_err(|error| error.to_string())?;
        Ok(database.map(|database| database.connection()))
    }

    #[test]
    fn databases() {
        // what is wrong elsewhere does not matter
        assert!(read(&[("HOME", "/"), ("SERVER_PORT", "x")]).unwrap().is_none());
        let Some(DatabaseConfig::Sqlite { path }) = read(&[("DB_TYPE", "sqlite"), ("PLUGIN_DATA_PATH", "/d")]).unwrap()
        else {
            panic!("it is not SQLite")
        };
        assert_eq!(path, std::path::Path::new("/d/daemon.db"));
        let server = [("DB_HOST", "db"), ("DB_USERNAME", "u"), ("DB_PASSWORD", "p"), ("DB_DATABASE", "d")];
        let Some(DatabaseConfig::Postgres(server)) = read(&server).unwrap() else { panic!("it is not PostgreSQL") };
        assert_eq!((server.port, &*server.default_database, &*server.password), (5432, "postgres", "p"));
        let error = read(&[("DB_HOST", "db"), ("DB_PORT", "x")]).unwrap_err();
        for name in ["DB_PORT", "DB_USERNAME", "DB_PASSWORD", "DB_DATABASE"] {
            assert!(error.contains(name), "{error}");
        }
    }
}
