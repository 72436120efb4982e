//! The environment of a worker: what a plugin needs to know of the machine, and nothing that only the daemon may know.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::settings::ProcessSettings;

/// Names that go on to plugins; a trailing `*` stands for any ending.
pub const ALLOWED: &[&str] = &[
    // the machine and its user
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    // language and time
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    // the way out, and whom to trust there
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    // the interpreter and its libraries
    "PYTHON*",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "MALLOC_ARENA_MAX",
    // caches
    "XDG_CACHE_HOME",
    "TIKTOKEN_CACHE_DIR",
    "DATA_GYM_CACHE_DIR",
    "NLTK_DATA",
    "HF_HOME",
    "MPLCONFIGDIR",
    // settings of the SDK (plugin-protocol 6.1)
    "MAX_REQUEST_TIMEOUT",
    "MAX_INVOCATION_TIMEOUT",
    "MAX_WORKER",
    "HEARTBEAT_INTERVAL",
    "HTTPX_TIMEOUT",
];

/// The environment of a worker process, without the mark of [`super::orphans`].
pub(super) fn of_worker(settings: &ProcessSettings) -> BTreeMap<OsString, OsString> {
    let mut variables = of_plugin(settings);
    variables.insert("INSTALL_METHOD".into(), "local".into());
    variables
}

/// What every plugin may know of the machine, however it is run.
pub fn of_plugin(settings: &ProcessSettings) -> BTreeMap<OsString, OsString> {
    let allowed = |name: &OsStr| {
        let extra = settings.extra_variables.iter().map(String::as_str);
        name.to_str().is_some_and(|name| ALLOWED.iter().copied().chain(extra).any(|pattern| matches(pattern, name)))
    };
    let mut variables: BTreeMap<_, _> =
        settings.inherited.iter().filter(|(name, _)| allowed(name)).map(|(n, v)| (n.clone(), v.clone())).collect();
    let proxies = &settings.proxies;
    for (name, value) in
        [("HTTP_PROXY", &proxies.http), ("HTTPS_PROXY", &proxies.https), ("NO_PROXY", &proxies.no_proxy)]
    {
        if !value.is_empty() {
            // many programs prefer the lower case
            variables.remove(OsStr::new(&name.to_ascii_lowercase()));
            variables.insert(name.into(), value.into());
        }
    }
    variables
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::environment::Proxies;

    fn variables(inherited: &[(&str, &str)], extra: &[&str], proxies: Proxies) -> Vec<String> {
        let settings = ProcessSettings {
            inherited: inherited.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            extra_variables: extra.iter().map(|name| (*name).to_owned()).collect(),
            proxies,
            ..ProcessSettings::default()
        };
        let show = |(name, value): (OsString, OsString)| format!("{}={}", name.display(), value.display());
        of_worker(&settings).into_iter().map(show).collect()
    }

    #[test]
    fn no_secret_of_the_daemon_goes_on() {
        let daemon = [
            ("SERVER_KEY", "s"),
            ("DIFY_INNER_API_KEY", "s"),
            ("DB_PASSWORD", "s"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("REDIS_PASSWORD", "s"),
            ("PATH", "/bin"),
            ("LC_ALL", "C"),
            ("MAX_INVOCATION_TIMEOUT", "10"),
            ("INSTALL_METHOD", "remote"),
        ];
        assert_eq!(
            variables(&daemon, &[], Proxies::default()),
            ["INSTALL_METHOD=local", "LC_ALL=C", "MAX_INVOCATION_TIMEOUT=10", "PATH=/bin"]
        );
    }

    #[test]
    fn more_can_be_let_through() {
        let daemon = [("OPENAI_BASE", "1"), ("OPENAI_KEY", "2"), ("OTHER", "3")];
        assert_eq!(
            variables(&daemon, &["OPENAI_*", "OTHE"], Proxies::default()),
            ["INSTALL_METHOD=local", "OPENAI_BASE=1", "OPENAI_KEY=2"]
        );
    }

    #[test]
    fn configured_proxies_win() {
        let proxies = Proxies { http: "http://p".into(), ..Proxies::default() };
        assert_eq!(
            variables(&[("http_proxy", "x"), ("HTTP_PROXY", "y"), ("https_proxy", "z")], &[], proxies),
            ["HTTP_PROXY=http://p", "INSTALL_METHOD=local", "https_proxy=z"]
        );
    }
}
