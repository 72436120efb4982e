//! The database of a daemon, and files of variables.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use plugin_service::config::{Database, environment};
use plugin_store::DatabaseConfig;

use crate::failure::Failure;

/// The database that the daemon's variables name: those of the process, and those of `.env` in the working folder that
/// the process does not set. `None` when no variable names one.
pub(super) fn database() -> Result<Option<DatabaseConfig>, Failure> {
    let mut variables = env_file(Path::new(".env"))?;
    variables.extend(environment());
    let database = Database::from_vars(variables);
    let database = database
        .map_err(|error| Failure::new("invalid configuration").because(error).hint("set it as for the daemon"))?;
    Ok(database.map(|database| database.connection()))
}

/// The variables of a file in the form of `.env`; none when there is no such file.
pub(super) fn env_file(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(parse(&text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(Failure::new(format!("failed to read {}", path.display())).because(error)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_variables() {
        let text = "# c\nA=1\nexport B = \"x # y\" # c\nC='z'\nD= plain value # c\nnonsense\nE=\n";
        let expected = [("A", "1"), ("B", "x # y"), ("C", "z"), ("D", "plain value"), ("E", "")];
        let expected: BTreeMap<_, _> = expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        assert!(env_file(&path).unwrap().is_empty());
        std::fs::write(&path, text).unwrap();
        assert_eq!(env_file(&path).unwrap(), expected);
        assert!(env_file(folder.path()).is_err(), "what is there and cannot be read is reported");
    }
}
