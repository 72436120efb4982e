//! The checks of `dify doctor`.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use plugin_runtime::transport::with_causes;
use reqwest::Client;

use super::Finding;
use crate::check::{self, Options, Severity};
use crate::commands::database::env_file;
use crate::export::{find_uv, on_path};
use crate::files;
use crate::source::Source;

/// Time limit of one request.
const PATIENCE: Duration = Duration::from_secs(10);
/// An environment with a large model library needs as much.
const ENOUGH: u64 = 2 << 30;
const INDEX: &str = "https://pypi.org/simple";
const MARKETPLACE: &str = "https://marketplace.dify.ai";

/// Where uv downloads a Python from.
const PYTHONS: &str = "https://github.com/astral-sh/python-build-standalone/releases";

/// The line that a program prints, or why it prints none.
fn says(program: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && !text.is_empty() {
        return Ok(text);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .map_or_else(|| output.status.to_string(), str::to_owned))
}

fn search_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

/// A Python 3.12, which plugins are run on.
pub(super) fn python() -> Finding {
    let fix = "install Python 3.12, for example with `uv python install 3.12`";
    let version = |path: &Path| says(path, &["-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"]);
    let named = on_path("python3.12", &search_path()).map(|path| (version(&path), path));
    // the first one on PATH is also the one that uv takes, and uv takes no other where it does not run
    if let Some((Err(reason), path)) = &named {
        let text = format!("{} does not run: {reason}", path.display());
        let fix = "make it run (one of pyenv's, with `pyenv global`), or put another python3.12 before it on PATH";
        return Finding::missing("python", text, fix);
    }
    let default = on_path("python3", &search_path()).and_then(|path| Some((version(&path).ok()?, path)));
    let named = named.and_then(|(version, path)| Some((version.ok()?, path)));
    if let Some((version, path)) = named.iter().chain(&default).find(|(version, _)| version.starts_with("3.12.")) {
        return Finding::good("python", format!("{version}, {}", path.display()));
    }
    let managed = find_uv().ok().and_then(|uv| says(&uv, &["python", "find", "--no-project", "3.12"]).ok());
    match (managed, default) {
        (Some(path), _) => Finding::good("python", format!("3.12, {path} (found by uv)")),
        (None, Some((version, path))) => {
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
            Ok(version) => Finding::good("uv", format!("{version}, {}", path.display())),
            Err(reason) => Finding::missing("uv", format!("{} does not run: {reason}", path.display()), fix),
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
    let variables = match env_file(&file) {
        Ok(variables) => variables,
        Err(error) => {
            return Finding::missing("debugging", with_causes(&error), "make the file readable, as UTF-8 text");
        }
    };
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

/// Whether packages and plugins can be had, and a Python where there is none.
pub(super) async fn network(has_python: bool) -> Vec<Finding> {
    let index = ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"].iter().find_map(|name| std::env::var(name).ok());
    let index = index.filter(|url| !url.is_empty()).unwrap_or_else(|| INDEX.to_owned());
    let marketplace = std::env::var("SLIM_MARKETPLACE_URL").ok().filter(|url| !url.is_empty());
    let marketplace = marketplace.unwrap_or_else(|| MARKETPLACE.to_owned());
    let url = format!("{}/dify-plugin/", index.trim_end_matches('/'));
    let pythons = std::env::var("UV_PYTHON_INSTALL_MIRROR").ok().filter(|url| !url.is_empty());
    let pythons = pythons.unwrap_or_else(|| PYTHONS.to_owned());
    let download = async {
        let fix = "install Python 3.12 in another way, or name a mirror in UV_PYTHON_INSTALL_MIRROR";
        if has_python { None } else { Some(reached("download", &pythons, fix).await) }
    };
    let (index, mut marketplace, download) = tokio::join!(
        reached("index", &url, "check the network, set HTTPS_PROXY, or name a mirror in UV_DEFAULT_INDEX"),
        reached("marketplace", &marketplace, "check the network or HTTPS_PROXY; plugins can be run without it"),
        download,
    );
    if marketplace.verdict == super::Verdict::Missing {
        marketplace.verdict = super::Verdict::Warning;
    }
    [index, marketplace].into_iter().chain(download).collect()
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
        Err(error) => Finding::missing(name, with_causes(&error), fix),
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
