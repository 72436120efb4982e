//! The only configuration that uv sees: the operator's, and of the package's what says where dependencies come from.
//!
//! Files of configuration in a package could make uv write anywhere, run programs, or send credentials to strangers.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::error::{Context as _, EnvironmentError};
use super::paths;
use super::store::write_atomically;

/// What a package may decide.
const FROM_PACKAGE: [&str; 15] = [
    "index",
    "index-url",
    "extra-index-url",
    "find-links",
    "no-index",
    "index-strategy",
    "prerelease",
    "resolution",
    "fork-strategy",
    "exclude-newer",
    "no-binary-package",
    "dependency-metadata",
    "config-settings",
    "constraint-dependencies",
    "override-dependencies",
];
/// Where the operator's file may be, below a variable's folder; the first that exists is used, else the system's.
const OPERATORS: [(&str, &str); 2] = [("XDG_CONFIG_HOME", "uv/uv.toml"), ("HOME", ".config/uv/uv.toml")];
const SYSTEM: &str = "/etc/uv/uv.toml";
/// Lists to which a package adds; its own entries come first.
const ADDED: [&str; 2] = ["index", "extra-index-url"];

/// What a package's files say to uv.
pub(crate) fn of_package(directory: &Path) -> Map<String, Value> {
    let parse = |name: &str| {
        let text = std::fs::read_to_string(directory.join(name)).ok()?;
        toml::from_str::<Value>(&text).ok()
    };
    let table = parse("uv.toml").or_else(|| parse("pyproject.toml")?.pointer("/tool/uv").cloned());
    let mut kept = match table {
        Some(Value::Object(table)) => table,
        _ => Map::new(),
    };
    kept.retain(|key, _| FROM_PACKAGE.contains(&key.as_str()));
    kept
}

/// What the operator's file says.
pub(crate) fn of_operator(variables: &BTreeMap<OsString, OsString>) -> Map<String, Value> {
    let value = |name: &str| variables.get(OsStr::new(name)).filter(|value| !value.is_empty()).map(PathBuf::from);
    let named = value("UV_CONFIG_FILE");
    let mut places = OPERATORS.iter().filter_map(|(name, path)| Some(value(name)?.join(path)));
    let file = named.or_else(|| places.find(|path| path.is_file())).unwrap_or_else(|| SYSTEM.into());
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    match toml::from_str::<Value>(&text) {
        Ok(Value::Object(table)) => table,
        Ok(_) => Map::new(),
        Err(error) => {
            tracing::warn!(file = %file.display(), %error, "uv's configuration cannot be read and is not used");
            Map::new()
        }
    }
}

/// Writes the configuration for one attempt. Blocks.
pub(crate) fn write(
    file: &Path,
    directory: &Path,
    variables: &BTreeMap<OsString, OsString>,
    builds: bool,
) -> Result<(), EnvironmentError> {
    let mut table = of_operator(variables);
    for (key, mut value) in of_package(directory) {
        if key == "find-links" {
            paths::make_absolute(&mut value, directory);
        }
        let before = table.remove(&key);
        if let (Value::Array(list), Some(Value::Array(before)), true) = (&mut value, before, ADDED.contains(&&*key)) {
            list.extend(before);
        }
        table.insert(key, value);
    }
    if !builds {
        table.insert("no-build".into(), true.into());
    }
    let text = toml::to_string(&Value::Object(table)).unwrap_or_default();
    write_atomically(file, text.as_bytes()).context(|| "failed to write uv's configuration".into())
}

/// Takes credentials of an index out of the variables where the package gives the index's name to another host.
pub(crate) fn bind_credentials(variables: &mut BTreeMap<OsString, OsString>, directory: &Path, arguments: &[String]) {
    let operators = named_by_operator(variables, arguments);
    for (name, host) in named(&of_package(directory)) {
        if operators.get(&name).is_some_and(|hosts| hosts.contains(&host)) {
            continue;
        }
        for suffix in ["USERNAME", "PASSWORD"] {
            let variable = OsString::from(format!("UV_INDEX_{name}_{suffix}"));
            if variables.remove(&variable).is_some() {
                let variable = variable.display();
                tracing::warn!(%variable, host, "withheld: a plugin gives that index's name to a host that UV_INDEX does not");
            }
        }
    }
}

/// The hosts that the operator takes packages from, the official ones among them.
pub(crate) fn operators_hosts(
    variables: &BTreeMap<OsString, OsString>,
    arguments: &[String],
    mirror: Option<&str>,
) -> BTreeSet<String> {
    const VARIABLES: [&str; 5] =
        ["UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"];
    let of_variables = VARIABLES.iter().filter_map(|name| variables.get(OsStr::new(name))?.to_str());
    let configured = Value::Object(of_operator(variables)).to_string();
    let texts = of_variables.chain(arguments.iter().map(String::as_str)).chain(mirror).chain([configured.as_str()]);
    let mut hosts: BTreeSet<_> = texts.flat_map(hosts_in).collect();
    hosts.extend(["pypi.org", "files.pythonhosted.org"].map(str::to_owned));
    hosts
}

/// The hosts of all URLs in a text.
pub(crate) fn hosts_in(text: &str) -> Vec<String> {
    let authority = |after: &str| {
        let end = after.find(|c: char| c.is_whitespace() || "/?#\"'<>,;)\\".contains(c)).unwrap_or(after.len());
        let authority = after.get(..end).unwrap_or_default();
        authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_ascii_lowercase()
    };
    text.split("://").skip(1).map(authority).collect()
}

/// Named indexes and their hosts.
fn named(table: &Map<String, Value>) -> Vec<(String, String)> {
    let indexes = table.get("index").and_then(Value::as_array).into_iter().flatten();
    let entry = |index: &Value| {
        let host = hosts_in(index.get("url")?.as_str()?).into_iter().next()?;
        Some((variable_name(index.get("name")?.as_str()?), host))
    };
    indexes.filter_map(entry).collect()
}

fn named_by_operator(
    variables: &BTreeMap<OsString, OsString>,
    arguments: &[String],
) -> BTreeMap<String, BTreeSet<String>> {
    let lists =
        ["UV_INDEX", "UV_DEFAULT_INDEX"].into_iter().filter_map(|name| variables.get(OsStr::new(name))?.to_str());
    let words = lists.flat_map(str::split_whitespace).chain(arguments.iter().map(String::as_str));
    let entry = |word: &str| {
        // `name=url`, also behind an option and another `=`
        let (before, _) = word.split_once("://")?;
        let name = before.rsplit_once('=')?.0;
        let name = name.rsplit_once('=').map_or(name, |(_, name)| name);
        Some((variable_name(name), hosts_in(word).into_iter().next()?))
    };
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, host) in words.filter_map(entry).chain(named(&of_operator(variables))) {
        all.entry(name).or_default().insert(host);
    }
    all
}

/// The name of an index as it stands in variables.
fn variable_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// The variables for a build, which runs the package's code: no credentials.
pub(crate) fn without_credentials(variables: &BTreeMap<OsString, OsString>) -> BTreeMap<OsString, OsString> {
    const WITHHELD: [&str; 6] =
        ["NETRC", "SSH_AUTH_SOCK", "UV_KEYRING_PROVIDER", "UV_CREDENTIALS_DIR", "UV_CACHE_DIR", "UV_CONFIG_FILE"];
    // the way out may need a password, and plugins know it in any case
    const PROXIES: [&str; 3] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
    let is_secret = |name: &str| {
        WITHHELD.contains(&name)
            || ["_PASSWORD", "_USERNAME", "_TOKEN", "_ASKPASS"].iter().any(|end| name.ends_with(end))
            || name.starts_with("PIP_")
    };
    let clean = |(name, value): (&OsString, &OsString)| {
        let text = name.to_string_lossy();
        if is_secret(&text) {
            return None;
        }
        if PROXIES.contains(&text.to_ascii_uppercase().as_str()) {
            return Some((name.clone(), value.clone()));
        }
        Some((name.clone(), value.to_str().map_or_else(|| value.clone(), |value| without_user(value).into())))
    };
    variables.iter().filter_map(clean).collect()
}

/// URLs without user and password.
pub(crate) fn without_user(text: &str) -> String {
    let mut clean = String::new();
    let mut parts = text.split("://");
    clean.push_str(parts.next().unwrap_or_default());
    for after in parts {
        clean.push_str("://");
        let end = after.find(|c: char| c.is_whitespace() || "/?#".contains(c)).unwrap_or(after.len());
        let (authority, rest) = after.split_at(end);
        clean.push_str(authority.rsplit_once('@').map_or(authority, |(_, host)| host));
        clean.push_str(rest);
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(list: &[(&str, &str)]) -> BTreeMap<OsString, OsString> {
        list.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn of_a_packages_configuration_only_sources_of_packages_count() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        std::fs::create_dir_all(home.join(".config/uv")).unwrap();
        std::fs::write(home.join(".config/uv/uv.toml"), "[[index]]\nurl = 'https://ours/simple'\n").unwrap();
        let package = dir.path().join("package");
        std::fs::create_dir(&package).unwrap();
        let text = "cache-dir = '/x'\nprerelease = 'allow'\nfind-links = ['wheels', 'https://l/']\n[[index]]\nurl = 'https://theirs/'\n[pip]\ntarget = '/tmp/x'\n";
        std::fs::write(package.join("uv.toml"), text).unwrap();
        let file = dir.path().join("uv.toml");
        write(&file, &package, &variables(&[("HOME", home.to_str().unwrap())]), false).unwrap();
        let written: Value = toml::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let wheels = package.join("wheels");
        assert_eq!(
            written,
            serde_json::json!({
                "prerelease": "allow",
                "find-links": [wheels, "https://l/"],
                "no-build": true,
                "index": [{"url": "https://theirs/"}, {"url": "https://ours/simple"}],
            })
        );
    }

    #[test]
    fn credentials_go_to_the_host_that_they_are_for() {
        let dir = tempfile::tempdir().unwrap();
        let declare = |host: &str| {
            let text = format!("[tool.uv]\n[[tool.uv.index]]\nname = 'our-nexus'\nurl = 'https://{host}/simple'\n");
            std::fs::write(dir.path().join("pyproject.toml"), text).unwrap();
        };
        let given = [
            ("UV_INDEX", "our-nexus=https://u@nexus.local/simple other=https://x"),
            ("UV_INDEX_OUR_NEXUS_PASSWORD", "secret"),
            ("UV_INDEX_OTHER_PASSWORD", "secret"),
        ];
        let left = |given: &[(&str, &str)]| {
            let mut variables = variables(given);
            bind_credentials(&mut variables, dir.path(), &[]);
            variables.into_keys().map(|name| name.into_string().unwrap()).collect::<Vec<_>>()
        };
        declare("nexus.local");
        assert_eq!(left(&given).len(), 3);
        declare("evil");
        assert_eq!(left(&given), ["UV_INDEX", "UV_INDEX_OTHER_PASSWORD"]);
        assert_eq!(left(&[("UV_INDEX_OUR_NEXUS_PASSWORD", "secret")]), [""; 0], "the host of this index is unknown");
    }

    #[test]
    fn a_build_gets_no_credentials() {
        let all = [
            ("UV_INDEX_X_PASSWORD", "p"),
            ("UV_DEFAULT_INDEX", "https://u:p@host/simple"),
            ("UV_INDEX", "a=https://u:p@one/ b=https://two/"),
            ("HTTPS_PROXY", "http://u:p@proxy"),
            ("NETRC", "/n"),
            ("PIP_INDEX_URL", "x"),
            ("UV_GITHUB_TOKEN", "t"),
            ("PATH", "/bin"),
        ];
        let left = without_credentials(&variables(&all));
        assert_eq!(
            left,
            variables(&[
                ("UV_DEFAULT_INDEX", "https://host/simple"),
                ("UV_INDEX", "a=https://one/ b=https://two/"),
                ("HTTPS_PROXY", "http://u:p@proxy"),
                ("PATH", "/bin"),
            ])
        );
    }

    #[test]
    fn hosts_of_urls() {
        assert_eq!(hosts_in("a https://u:p@Host:8080/x, \"git+ssh://git@h2\" file:///x"), ["host:8080", "h2", ""]);
        let hosts =
            operators_hosts(&variables(&[("UV_INDEX", "n=https://n.local/")]), &["-i".into()], Some("http://m/"));
        assert!(["n.local", "m", "pypi.org"].iter().all(|host| hosts.contains(*host)));
    }
}
