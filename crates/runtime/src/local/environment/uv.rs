//! The uv binary: where it is, and which of the daemon's variables it gets.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::error::{Cause, EnvironmentError};
use super::settings::EnvironmentSettings;

/// How long Python may take to say where its uv is.
const ASK_PYTHON: Duration = Duration::from_secs(30);

/// The question to Python (lifecycle-and-storage 1.4.1).
const WHERE_IS_UV: &str = "from uv._find_uv import find_uv_bin; print(find_uv_bin())";

/// Arguments of uv that write what a project has locked as requirements, hashes included.
pub const EXPORT_LOCKED: [&str; 7] =
    ["export", "--frozen", "--no-dev", "--no-emit-project", "--no-header", "--no-annotate", "--quiet"];

/// Variables that uv, pip's configuration, TLS, git, and compilers of source packages have a use for. A `*` at the end
/// stands for anything. Nothing else of the daemon's environment reaches a build.
const PASSED: &[&str] = &[
    "UV_*",
    "PIP_*",
    "NETRC",
    "SSL_*",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_*",
    "SSH_AUTH_SOCK",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HOME",
    "PATH",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "TMPDIR",
    "XDG_*",
    "CC",
    "CXX",
    "CPP",
    "LD",
    "AR",
    "CFLAGS",
    "CXXFLAGS",
    "CPPFLAGS",
    "LDFLAGS",
    "ARCHFLAGS",
    "MAKEFLAGS",
    "CMAKE_*",
    "PKG_CONFIG*",
    "LD_LIBRARY_PATH",
    "LIBRARY_PATH",
    "CPATH",
    "C_INCLUDE_PATH",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "CARGO_NET_*",
    "CARGO_HTTP_*",
    "CUDA_*",
    "SETUPTOOLS_*",
    "SOURCE_DATE_EPOCH",
];

/// Settings of uv that contradict how environments are made here.
const WITHHELD: &[&str] = &[
    "UV_PUBLISH_*",
    "UV_PROJECT",
    "UV_PROJECT_ENVIRONMENT",
    "UV_WORKING_DIR",
    "UV_WORKING_DIRECTORY",
    "UV_SYSTEM_PYTHON",
    "UV_BREAK_SYSTEM_PACKAGES",
    "UV_PYTHON",
    "UV_FROZEN",
    "UV_LOCKED",
    "UV_NO_SYNC",
    "UV_DEV",
    "UV_NO_DEV",
    "UV_VENV_SEED",
    "UV_VENV_CLEAR",
    "UV_VENV_RELOCATABLE",
    "UV_COMPILE_BYTECODE",
    "UV_NO_INSTALL_*",
    "UV_ONLY_*",
    "UV_NO_EDITABLE",
    "UV_ENV_FILE",
    "UV_ISOLATED",
    "UV_LOG_CONTEXT",
    "UV_NO_WRAP",
];

/// Settings of uv that change how a result is reached, not the result.
const WITHOUT_EFFECT: &[&str] = &[
    "UV_CACHE_DIR",
    "UV_CONCURRENT_*",
    "UV_HTTP_*",
    "UV_REQUEST_TIMEOUT",
    "UV_LINK_MODE",
    "UV_NO_PROGRESS",
    "UV_OFFLINE",
    "UV_NO_CACHE",
    "UV_LOCK_TIMEOUT",
    "UV_SYSTEM_CERTS",
    "UV_NATIVE_TLS",
    "UV_KEYRING_PROVIDER",
    "UV_INSTALL_DIR",
    "UV_PYTHON_*",
    "UV_TOOL_*",
    "UV_CREDENTIALS_DIR",
    "UV_PREVIEW*",
    "UV_STACK_SIZE",
    "UV_GITHUB_TOKEN",
    "*_PASSWORD",
    "*_USERNAME",
    "UV_INSECURE_HOST",
];

fn matches(name: &str, patterns: &[&str]) -> bool {
    patterns.iter().any(|pattern| match (pattern.strip_suffix('*'), pattern.strip_prefix('*')) {
        (Some(prefix), _) => name.starts_with(prefix),
        (_, Some(suffix)) => name.ends_with(suffix),
        _ => name == *pattern,
    })
}

/// What of the daemon's environment a build gets, with the configuration's proxies and the cache put in.
pub(crate) fn environment(settings: &EnvironmentSettings, default_cache: &Path) -> BTreeMap<OsString, OsString> {
    let passes = |name: &OsStr| name.to_str().is_some_and(|name| matches(name, PASSED) && !matches(name, WITHHELD));
    let mut environment: BTreeMap<_, _> = (settings.inherited.iter())
        .filter(|(name, _)| passes(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let proxies = &settings.proxies;
    for (name, value) in
        [("HTTP_PROXY", &proxies.http), ("HTTPS_PROXY", &proxies.https), ("NO_PROXY", &proxies.no_proxy)]
    {
        if !value.is_empty() {
            environment.remove(OsStr::new(&name.to_ascii_lowercase()));
            environment.insert(name.into(), value.into());
        }
    }
    environment.entry("UV_CACHE_DIR".into()).or_insert_with(|| default_cache.into());
    // Where the file system can clone, hard links still cost less, and it is them that sharing is measured with.
    environment.entry("UV_LINK_MODE".into()).or_insert_with(|| "hardlink".into());
    for (name, value) in [("UV_NO_PROGRESS", "1"), ("UV_VENV_RELOCATABLE", "1"), ("UV_NO_WRAP", "1")] {
        environment.insert(name.into(), value.into());
    }
    environment
}

/// The settings of uv that decide what ends up in an environment, in a fixed order.
pub(crate) fn decisive(environment: &BTreeMap<OsString, OsString>) -> impl Iterator<Item = (&str, &OsStr)> {
    environment.iter().filter_map(|(name, value)| {
        let name = name.to_str()?;
        (name.starts_with("UV_") && !matches(name, WITHOUT_EFFECT)).then_some((name, value.as_os_str()))
    })
}

/// Finds uv: the configured one, else the one of the configured Python, else the first on the daemon's `PATH`.
pub(crate) async fn find(
    settings: &EnvironmentSettings,
    environment: &BTreeMap<OsString, OsString>,
) -> Result<PathBuf, EnvironmentError> {
    if let Some(path) = settings.uv.as_ref().filter(|path| !path.as_os_str().is_empty()) {
        return if is_executable(path).await {
            Ok(path.clone())
        } else {
            let message = format!("failed to find uv path: UV_PATH is {}, which is no executable file", path.display());
            Err(EnvironmentError::new(Cause::NotFound, message))
        };
    }
    let asked = ask_python(&settings.python_interpreter, environment).await;
    if let Ok(path) = asked {
        return Ok(path);
    }
    if let Some(path) = on_path(environment).await {
        return Ok(path);
    }
    let reason = asked.err().unwrap_or_default();
    let message = format!(
        "failed to find uv path: {} has no uv ({reason}) and there is none on PATH; install uv or set UV_PATH",
        settings.python_interpreter.display()
    );
    Err(EnvironmentError::new(Cause::NotFound, message))
}

async fn ask_python(python: &Path, environment: &BTreeMap<OsString, OsString>) -> Result<PathBuf, String> {
    let mut command = Command::new(python);
    command.args(["-c", WHERE_IS_UV]).env_clear().envs(environment);
    let output = output_of(command).await?;
    let path = PathBuf::from(output.trim());
    if is_executable(&path).await { Ok(path) } else { Err(format!("{} is no executable file", path.display())) }
}

/// What a short-lived command prints.
pub(crate) async fn output_of(mut command: Command) -> Result<String, String> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = match tokio::time::timeout(ASK_PYTHON, command.output()).await {
        Ok(output) => output.map_err(|error| error.to_string())?,
        Err(_) => return Err(format!("no answer in {} s", ASK_PYTHON.as_secs())),
    };
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(text.lines().last().unwrap_or("no message").to_owned())
}

async fn on_path(environment: &BTreeMap<OsString, OsString>) -> Option<PathBuf> {
    let path = environment.get(OsStr::new("PATH"))?;
    // not from a folder that depends on where the daemon was started
    let absolute = std::env::join_paths(std::env::split_paths(path).filter(|folder| folder.is_absolute())).ok()?;
    let find = move || which::which_in_global("uv", Some(absolute)).ok()?.next();
    tokio::task::spawn_blocking(find).await.ok().flatten()
}

pub(crate) async fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    tokio::fs::metadata(path).await.is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(inherited: &[(&str, &str)]) -> EnvironmentSettings {
        let mut settings = EnvironmentSettings::new("/w");
        settings.inherited = inherited.iter().map(|(name, value)| (name.into(), value.into())).collect();
        settings
    }

    #[test]
    fn only_what_a_build_needs_is_passed() {
        let mut settings = settings(&[
            ("SERVER_KEY", "secret"),
            ("DB_PASSWORD", "secret"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("VIRTUAL_ENV", "/x"),
            ("PYTHONPATH", "/x"),
            ("UV_PROJECT_ENVIRONMENT", "/x"),
            ("UV_INDEX_NEXUS_PASSWORD", "p"),
            ("UV_DEFAULT_INDEX", "https://index/"),
            ("UV_CACHE_DIR", "/cache"),
            ("HOME", "/home/d"),
            ("SSL_CERT_FILE", "/ca.pem"),
            ("https_proxy", "http://old"),
        ]);
        settings.proxies.https = "http://new".into();
        let environment = environment(&settings, Path::new("/w/.uv-cache"));
        let text: Vec<_> =
            environment.iter().map(|(n, v)| format!("{}={}", n.to_string_lossy(), v.to_string_lossy())).collect();
        assert_eq!(
            text,
            [
                "HOME=/home/d",
                "HTTPS_PROXY=http://new",
                "SSL_CERT_FILE=/ca.pem",
                "UV_CACHE_DIR=/cache",
                "UV_DEFAULT_INDEX=https://index/",
                "UV_INDEX_NEXUS_PASSWORD=p",
                "UV_LINK_MODE=hardlink",
                "UV_NO_PROGRESS=1",
                "UV_NO_WRAP=1",
                "UV_VENV_RELOCATABLE=1",
            ]
        );
        let decisive: Vec<_> = decisive(&environment).map(|(name, _)| name).collect();
        assert_eq!(decisive, ["UV_DEFAULT_INDEX", "UV_NO_WRAP", "UV_VENV_RELOCATABLE"]);
    }

    #[tokio::test]
    async fn uv_is_looked_for_in_three_places() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let script = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            path
        };
        let mut settings = settings(&[("PATH", dir.path().to_str().unwrap())]);
        settings.python_interpreter = "/nonexistent/python3".into();
        let look = async |settings: &EnvironmentSettings| {
            find(settings, &environment(settings, Path::new("/cache"))).await.map_err(|error| error.message)
        };
        insta::assert_snapshot!(
            look(&settings).await.unwrap_err(),
            @"failed to find uv path: /nonexistent/python3 has no uv (No such file or directory (os error 2)) and there is none on PATH; install uv or set UV_PATH"
        );
        let on_path = script("uv", "#!/bin/sh\n");
        assert_eq!(look(&settings).await, Ok(on_path));
        let of_python = script("other", "#!/bin/sh\n");
        settings.python_interpreter = script("python3", &format!("#!/bin/sh\necho {}\n", of_python.display()));
        assert_eq!(look(&settings).await, Ok(of_python));
        settings.uv = Some("/nonexistent/uv".into());
        assert_eq!(
            look(&settings).await.unwrap_err(),
            "failed to find uv path: UV_PATH is /nonexistent/uv, which is no executable file"
        );
        let configured = script("mine", "#!/bin/sh\n");
        settings.uv = Some(configured.clone());
        assert_eq!(look(&settings).await, Ok(configured));
    }
}
