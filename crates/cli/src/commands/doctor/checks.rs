//! What the doctor looks at.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::Client;

use super::Finding;
use crate::check::{self, Options, Severity};
use crate::commands::database::env_file;
use crate::export::{find_uv, on_path};
use crate::files;
use crate::source::Source;

/// For one answer from the network.
const PATIENCE: Duration = Duration::from_secs(10);
/// An environment with a large model library needs as much.
const ENOUGH: u64 = 2 << 30;
const INDEX: &str = "https://pypi.org/simple";
const MARKETPLACE: &str = "https://marketplace.dify.ai";

/// What a program prints on one line.
fn says(program: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

fn search_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

/// A Python 3.12, which plugins are run on.
pub(super) fn python() -> Finding {
    let fix = "install Python 3.12, for example with `uv python install 3.12`";
    let candidates = ["python3.12", "python3"].iter().filter_map(|name| on_path(name, &search_path()));
    let version = |path: &PathBuf| says(path, &["-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"]);
    let known: Vec<(PathBuf, String)> =
        candidates.filter_map(|path| version(&path).map(|version| (path, version))).collect();
    let fitting = known.iter().find(|(_, version)| version.starts_with("3.12."));
    if let Some((path, version)) = fitting {
        return Finding::good("python", format!("{version}, {}", path.display()));
    }
    let managed = find_uv().ok().and_then(|uv| says(&uv, &["python", "find", "--no-project", "3.12"]));
    match (managed, known.first()) {
        (Some(path), _) => Finding::good("python", format!("3.12, {path} (found by uv)")),
        (None, Some((path, version))) => {
            let text = format!("{} is {version}; plugins are run on 3.12, which uv will download", path.display());
            Finding::warning("python", text, fix)
        }
        (None, None) => Finding::missing("python", "there is no Python on PATH", fix),
    }
}

pub(super) fn uv() -> Finding {
    let fix = "install it: https://docs.astral.sh/uv/getting-started/installation/";
    match find_uv() {
        Ok(path) => match says(&path, &["--version"]) {
            Some(version) => Finding::good("uv", format!("{version}, {}", path.display())),
            None => Finding::missing("uv", format!("{} cannot be run", path.display()), fix),
        },
        Err(reason) => Finding::missing("uv", reason, fix),
    }
}

/// Space where environments are kept.
pub(super) fn disk() -> Finding {
    let Some(cache) = files::cache() else {
        let text = "neither HOME nor XDG_CACHE_HOME is set: every run makes an environment of its own";
        return Finding::warning("disk", text, "set HOME");
    };
    // the folder is made when it is needed
    let present = cache.ancestors().find(|path| path.is_dir()).unwrap_or_else(|| Path::new("/"));
    match rustix::fs::statvfs(present) {
        Ok(space) => {
            let free = space.f_bavail.saturating_mul(space.f_frsize);
            let text = format!("{} MiB are free for {}", free >> 20, cache.display());
            if free < ENOUGH { Finding::warning("disk", text, "make room") } else { Finding::good("disk", text) }
        }
        Err(error) => Finding::warning("disk", format!("{}: {error}", present.display()), "look at the disk"),
    }
}

/// The variables that connect a plugin to a Dify for debugging.
pub(super) fn debugging(plugin: Option<&Path>) -> Finding {
    let file = plugin.unwrap_or_else(|| Path::new(".")).join(".env");
    let variables = env_file(&file);
    let get = |name: &str| std::env::var(name).ok().or_else(|| variables.get(name).cloned()).unwrap_or_default();
    let (method, key, url) = (get("INSTALL_METHOD"), get("REMOTE_INSTALL_KEY"), get("REMOTE_INSTALL_URL"));
    let fix = "copy .env.example to .env, with the address and key that Dify shows under Plugins, Debug";
    if method != "remote" {
        return Finding::good("debugging", "not set up: `dify plugin dev` runs plugins on this machine");
    }
    if key.is_empty() || key.contains('*') {
        return Finding::warning("debugging", format!("REMOTE_INSTALL_KEY of {} is no key", file.display()), fix);
    }
    Finding::good("debugging", format!("`dify plugin dev` connects to {url}"))
}

/// Whether packages and plugins can be had.
pub(super) async fn network() -> Vec<Finding> {
    let index = ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"].iter().find_map(|name| std::env::var(name).ok());
    let index = index.filter(|url| !url.is_empty()).unwrap_or_else(|| INDEX.to_owned());
    let marketplace = std::env::var("SLIM_MARKETPLACE_URL").ok().filter(|url| !url.is_empty());
    let marketplace = marketplace.unwrap_or_else(|| MARKETPLACE.to_owned());
    let url = format!("{}/dify-plugin/", index.trim_end_matches('/'));
    let (index, marketplace) = tokio::join!(
        reached("index", &url, "check the network, set HTTPS_PROXY, or name a mirror in UV_DEFAULT_INDEX"),
        reached("marketplace", &marketplace, "check the network or HTTPS_PROXY; plugins can be run without it"),
    );
    let mut marketplace = marketplace;
    if marketplace.verdict == super::Verdict::Missing {
        marketplace.verdict = super::Verdict::Warning;
    }
    vec![index, marketplace]
}

async fn reached(name: &'static str, url: &str, fix: &str) -> Finding {
    let started = Instant::now();
    let asked = async { Client::builder().timeout(PATIENCE).build()?.get(url).send().await };
    match asked.await {
        Ok(response) if response.status().is_server_error() => {
            Finding::missing(name, format!("{url} answers {}", response.status()), fix)
        }
        Ok(response) => {
            let millis = started.elapsed().as_millis();
            Finding::good(name, format!("{url} answers {} in {millis} ms", response.status().as_u16()))
        }
        Err(error) => Finding::missing(name, crate::slim::remote::chain(&error), fix),
    }
}

/// What `plugin check` says of a plugin, in short.
pub(super) fn plugin(path: &Path) -> Finding {
    let fix = format!("dify plugin check {}", path.display());
    let source = match Source::open(path) {
        Ok(source) => source,
        Err(error) => return Finding::missing("plugin", error.to_string(), fix),
    };
    let report = check::check(&source, Options::default());
    match (report.count(Severity::Error), report.count(Severity::Warning)) {
        (0, 0) => Finding::good("plugin", format!("{}: nothing is wrong", path.display())),
        (0, warnings) => Finding::warning("plugin", format!("{}: {warnings} warnings", path.display()), fix),
        (errors, warnings) => {
            Finding::missing("plugin", format!("{}: {errors} errors, {warnings} warnings", path.display()), fix)
        }
    }
}
