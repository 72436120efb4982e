//! What building environments takes besides the plugin: settings, uv, the index.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, OnceCell};

use super::build::names_index;
use super::configuration::operators_hosts;
use super::dependencies::Dependencies;
use super::error::EnvironmentError;
use super::settings::EnvironmentSettings;
use super::{mirror, uv};

/// The tools of one daemon.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) settings: EnvironmentSettings,
    /// What of the daemon's environment reaches tools.
    pub(crate) variables: BTreeMap<OsString, OsString>,
    uv: Mutex<Option<PathBuf>>,
    mirror: OnceCell<Option<String>>,
}

impl Tools {
    pub(crate) fn new(mut settings: EnvironmentSettings) -> Self {
        if let Some(python) = settings.inherited.get(OsStr::new("UV_PYTHON")).and_then(|python| python.to_str())
            && !python.is_empty()
        {
            python.clone_into(&mut settings.python);
        }
        settings.mirror_url = settings.mirror_url.filter(|url| !url.is_empty());
        let variables = uv::environment(&settings, &settings.working_path.join(".uv-cache"));
        Self { settings, variables, uv: Mutex::default(), mirror: OnceCell::new() }
    }

    /// The folder of uv's cache.
    pub(crate) fn cache(&self) -> Option<PathBuf> {
        self.variables.get(OsStr::new("UV_CACHE_DIR")).map(PathBuf::from)
    }

    /// The uv binary; looked for again when it is not there any more.
    pub(crate) async fn uv(&self) -> Result<PathBuf, EnvironmentError> {
        let mut known = self.uv.lock().await;
        if let Some(path) = &*known
            && uv::is_executable(path).await
        {
            return Ok(path.clone());
        }
        let found = uv::find(&self.settings, &self.variables).await?;
        *known = Some(found.clone());
        Ok(found)
    }

    /// The configured mirror, or the one that was found to be fast. Not looked for when the operator has said where
    /// packages come from, or that there is no network.
    pub(crate) async fn mirror(&self) -> Option<&str> {
        let find = async {
            match (&self.settings.mirror_url, &self.settings.mirror_detection) {
                (Some(url), _) => Some(url.clone()),
                (None, Some(detection))
                    if !names_index(&self.variables, &self.settings.extra_args) && !self.is_offline() =>
                {
                    mirror::detect(detection, &self.settings.proxies).await
                }
                (None, _) => None,
            }
        };
        self.mirror.get_or_init(|| find).await.as_deref()
    }

    /// Whether a package names hosts that the operator does not take packages from.
    pub(crate) async fn is_foreign(&self, dependencies: &Dependencies) -> bool {
        let known = operators_hosts(&self.variables, &self.settings.extra_args, self.mirror().await);
        dependencies.hosts.iter().any(|host| !known.contains(host))
    }

    /// A digest of everything that decides which environment dependencies lead to.
    pub(crate) async fn inputs(&self, dependencies: &Dependencies) -> String {
        let mut hash = Sha256::new_with_prefix("inputs 2\n");
        let settings = &self.settings;
        let mirror = self.mirror().await.unwrap_or_default();
        for part in [&*dependencies.digest, std::env::consts::OS, std::env::consts::ARCH, &settings.python, mirror] {
            hash.update(part);
            hash.update("\n");
        }
        for argument in &settings.extra_args {
            hash.update(argument);
            hash.update("\n");
        }
        for (name, value) in uv::decisive(&self.variables) {
            hash.update(format!("{name}={}\n", value.to_string_lossy()));
        }
        let mut digest = hex::encode(hash.finalize());
        digest.truncate(40);
        digest
    }

    fn is_offline(&self) -> bool {
        let value = self.variables.get(OsStr::new("UV_OFFLINE"));
        value.and_then(|value| value.to_str()).is_some_and(|value| !matches!(value, "" | "0" | "false"))
            || self.settings.extra_args.iter().any(|argument| argument == "--offline")
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::TcpListener;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::super::settings::{MirrorDetection, Proxies};
    use super::*;

    /// A mirror that is tried first; whoever connects waits in its queue.
    struct Candidate {
        listener: TcpListener,
        url: String,
    }

    impl Candidate {
        fn new() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            let url = format!("http://{}/simple/", listener.local_addr().unwrap());
            Self { listener, url }
        }

        /// Tools that look for a mirror, unless something forbids it. The official index is out of reach.
        fn tools(&self, variables: &[(&str, &str)], arguments: &[&str], mirror_url: Option<&str>) -> Tools {
            let candidates = vec![self.url.clone()];
            let proxies = Proxies { https: "http://127.0.0.1:1".into(), ..Proxies::default() };
            Tools::new(EnvironmentSettings {
                mirror_detection: Some(MirrorDetection { candidates, timeout: Duration::from_mins(1) }),
                mirror_url: mirror_url.map(str::to_owned),
                extra_args: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
                inherited: variables.iter().map(|(name, value)| (name.into(), value.into())).collect(),
                proxies,
                ..EnvironmentSettings::new("/w")
            })
        }

        #[track_caller]
        fn assert_not_asked(&self, why: &str) {
            let connection = self.listener.accept();
            assert!(connection.is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "asked in spite of {why}");
        }

        /// Answers one request.
        async fn answer(&self) {
            let listener = tokio::net::TcpListener::from_std(self.listener.try_clone().unwrap()).unwrap();
            let (mut connection, _) = listener.accept().await.unwrap();
            let read = connection.read(&mut [0; 1024]).await.unwrap();
            assert!(read > 0);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            connection.write_all(answer).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_mirror_is_looked_for_where_nothing_says_where_packages_come_from() {
        let candidate = Candidate::new();
        for (variables, arguments) in [
            (&[("UV_OFFLINE", "0"), ("UV_DEFAULT_INDEX", "")][..], &["--no-cache"][..]),
            (&[("UV_HTTP_TIMEOUT", "30")], &["--indexes", "x"]),
        ] {
            let tools = candidate.tools(variables, arguments, Some(""));
            let (mirror, ()) = tokio::join!(tools.mirror(), candidate.answer());
            assert_eq!(mirror, Some(candidate.url.as_str()), "{variables:?} {arguments:?}");
        }
    }

    #[tokio::test]
    async fn no_mirror_is_asked_when_an_index_is_configured() {
        let candidate = Candidate::new();
        for name in
            ["UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX"]
        {
            let tools = candidate.tools(&[(name, "https://index.example/simple")], &[], None);
            assert_eq!(tools.mirror().await, None, "{name}");
            candidate.assert_not_asked(name);
        }
        for arguments in [
            &["--index-url=https://index.example/simple"][..],
            &["--no-cache", "-i", "https://index.example/simple"],
            &["--default-index", "https://index.example/simple"],
            &["--extra-index-url", "https://index.example/simple"],
            &["--find-links=/wheels"],
            &["--no-index"],
        ] {
            assert_eq!(candidate.tools(&[], arguments, None).mirror().await, None, "{arguments:?}");
            candidate.assert_not_asked(arguments[0]);
        }
        let own = "https://mirror.example/simple";
        assert_eq!(candidate.tools(&[], &[], Some(own)).mirror().await, Some(own));
        candidate.assert_not_asked("PIP_MIRROR_URL");
    }

    #[tokio::test]
    async fn no_mirror_is_asked_offline_or_when_that_is_switched_off() {
        let candidate = Candidate::new();
        for offline in ["1", "true"] {
            assert_eq!(candidate.tools(&[("UV_OFFLINE", offline)], &[], None).mirror().await, None);
            candidate.assert_not_asked("UV_OFFLINE");
        }
        assert_eq!(candidate.tools(&[], &["--offline"], None).mirror().await, None);
        candidate.assert_not_asked("--offline");
        let mut tools = candidate.tools(&[], &[], None);
        tools.settings.mirror_detection = None;
        assert_eq!(tools.mirror().await, None);
        candidate.assert_not_asked("PIP_MIRROR_AUTO_DETECT=false");
    }
}
