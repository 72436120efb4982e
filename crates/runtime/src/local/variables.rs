//! The environment of a worker: what a plugin needs to know of the machine, and nothing that only the daemon may know.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

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
    "AWS_CA_BUNDLE",
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
    "HF_ENDPOINT",
    "HF_HUB_*",
    "MPLCONFIGDIR",
    // where Dify serves files
    "FILES_URL",
    "INTERNAL_FILES_URL",
    // settings of the SDK (plugin-protocol 6.1)
    "MAX_REQUEST_TIMEOUT",
    "MAX_INVOCATION_TIMEOUT",
    "MAX_WORKER",
    "HEARTBEAT_INTERVAL",
    "HTTPX_TIMEOUT",
];

/// Variables that belong together, which an operator passes by one name.
pub const PRESETS: &[(&str, &[&str])] = &[
    (
        "@aws",
        &[
            "AWS_ROLE_ARN",
            "AWS_ROLE_SESSION_NAME",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_*",
            "AWS_REGION",
            "AWS_DEFAULT_REGION",
            "AWS_STS_REGIONAL_ENDPOINTS",
            "AWS_PROFILE",
            "AWS_CONFIG_FILE",
            "AWS_SHARED_CREDENTIALS_FILE",
        ],
    ),
    ("@google", &["GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_*", "GCLOUD_PROJECT", "CLOUDSDK_CONFIG"]),
    (
        "@azure",
        &[
            "AZURE_CLIENT_ID",
            "AZURE_TENANT_ID",
            "AZURE_FEDERATED_TOKEN_FILE",
            "AZURE_AUTHORITY_HOST",
            "AZURE_SUBSCRIPTION_ID",
            "IDENTITY_ENDPOINT",
            "IDENTITY_HEADER",
        ],
    ),
    ("@huggingface", &["HF_*"]),
];

/// Variables of the presets that say nothing about what plugins are to use.
const UNREMARKABLE: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// Variables of the presets that hold the path of a file.
const FILES: [&str; 6] = [
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "AZURE_FEDERATED_TOKEN_FILE",
];

/// Variables of the daemon's environment that plugins commonly read and do not get, by the preset that passes them.
pub fn dropped(settings: &ProcessSettings) -> BTreeMap<&'static str, Vec<String>> {
    let mut dropped: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for (name, value) in &settings.inherited {
        let Some(name) = name.to_str().filter(|name| !value.is_empty() && !UNREMARKABLE.contains(name)) else {
            continue;
        };
        let preset = PRESETS.iter().find(|(_, patterns)| patterns.iter().any(|pattern| matches(pattern, name)));
        if let Some((preset, _)) = preset
            && !passes(settings, name)
        {
            dropped.entry(preset).or_default().push(name.to_owned());
        }
    }
    dropped
}

/// The files that passed variables name, or the folders that they are replaced in.
pub fn files(settings: &ProcessSettings) -> Vec<PathBuf> {
    let file = |name: &&str| {
        let file = Path::new(settings.inherited.get(OsStr::new(name)).filter(|_| passes(settings, name))?);
        let folder = file.parent().filter(|folder| folder.components().count() > 3);
        file.is_absolute().then(|| folder.unwrap_or(file).to_owned())
    };
    FILES.iter().filter_map(file).collect()
}

/// The environment of a worker process, without the mark of [`super::orphans`].
pub(super) fn of_worker(settings: &ProcessSettings) -> BTreeMap<OsString, OsString> {
    let mut variables = of_plugin(settings);
    variables.insert("INSTALL_METHOD".into(), "local".into());
    variables
}

/// What every plugin may know of the machine, however it is run.
pub fn of_plugin(settings: &ProcessSettings) -> BTreeMap<OsString, OsString> {
    let allowed = |name: &OsStr| name.to_str().is_some_and(|name| passes(settings, name));
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
    variables.extend(settings.fixed.iter().map(|(name, value)| (name.into(), value.into())));
    variables
}

fn passes(settings: &ProcessSettings, name: &str) -> bool {
    let preset = |extra: &str| PRESETS.iter().find(|(preset, _)| *preset == extra).map(|(_, patterns)| *patterns);
    let is_extra = |extra: &String| match preset(extra) {
        Some(patterns) => patterns.iter().any(|pattern| matches(pattern, name)),
        None => matches(extra, name),
    };
    !settings.withheld.contains(&name)
        && (ALLOWED.iter().any(|pattern| matches(pattern, name)) || settings.extra_variables.iter().any(is_extra))
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
    fn secrets_of_the_daemon_are_withheld_even_from_a_star() {
        let inherited = [("SERVER_KEY", "s3cr3t"), ("OTHER", "1")].map(|(name, value)| (name.into(), value.into()));
        let settings = ProcessSettings {
            inherited: inherited.into(),
            extra_variables: vec!["*".to_owned(), "SERVER_KEY".to_owned()],
            withheld: vec!["SERVER_KEY"],
            ..ProcessSettings::default()
        };
        assert_eq!(of_plugin(&settings).into_keys().collect::<Vec<_>>(), ["OTHER"]);
    }

    #[test]
    fn an_identity_is_passed_by_its_preset_and_missed_without() {
        let token = "/var/run/secrets/eks.amazonaws.com/serviceaccount/token";
        let daemon = [
            ("AWS_ROLE_ARN", "arn"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", token),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_SECRET_KEY", "s3cr3t"),
            ("FILES_URL", "http://files"),
            ("HF_ENDPOINT", "http://mirror"),
            ("HF_TOKEN", "s3cr3t"),
        ];
        let settings = |extra: &[&str]| ProcessSettings {
            inherited: daemon.map(|(name, value)| (name.into(), value.into())).into(),
            extra_variables: extra.iter().map(|name| (*name).to_owned()).collect(),
            ..ProcessSettings::default()
        };
        let names = |settings: &ProcessSettings| {
            of_plugin(settings).into_keys().map(|name| name.into_string().unwrap()).collect::<Vec<_>>()
        };
        let plain = settings(&[]);
        assert_eq!(names(&plain), ["FILES_URL", "HF_ENDPOINT"]);
        let missed = dropped(&plain);
        assert_eq!(missed["@aws"], ["AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"]);
        assert_eq!(missed["@huggingface"], ["HF_TOKEN"]);
        assert!(files(&plain).is_empty());
        let passed = settings(&["@aws", "@huggingface"]);
        assert_eq!(dropped(&passed), BTreeMap::new());
        assert_eq!(
            names(&passed),
            ["AWS_REGION", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "FILES_URL", "HF_ENDPOINT", "HF_TOKEN"]
        );
        assert_eq!(files(&passed), [Path::new(token).parent().unwrap()]);
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
