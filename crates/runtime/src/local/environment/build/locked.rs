//! Installs what a lock names from the plugin's own wheels or the configured index.

use std::ffi::OsStr;
use std::path::Path;

use super::super::classify::sentence::WRONG_BYTES;
use super::super::error::{Cause, EnvironmentError};
use super::super::progress::Step;
use super::super::uv::EXPORT_LOCKED;
use super::{Builder, NEEDS_BUILD, names_index};

/// What lets an installation leave the configured index.
const FALLBACK: &str = "PIP_MIRROR_FALLBACK=true allows locked packages from the URLs in the lock instead";

impl Builder<'_, '_> {
    /// Installs what a lock names from the plugin's own wheels or the configured index, hashes checked.
    ///
    /// `uv sync --frozen` downloads from the URLs in the lock whatever index is configured, which fails or crawls where a
    /// mirror is needed. It runs after this all the same: it adds the project itself, and has the last word.
    ///
    /// Returns the failure of an index that may be left for the URLs in the lock. An index that the operator has
    /// configured may only if `PIP_MIRROR_FALLBACK` says so, and none whose files do not have the lock's hashes.
    pub(super) async fn prefill(
        &mut self,
        environment: &Path,
        staging: &Path,
        wheels: Option<&str>,
        extra: &[String],
    ) -> Result<Option<EnvironmentError>, EnvironmentError> {
        let is_configured = self.bench.settings.mirror_url.is_some() || names_index(self.bench.variables, extra);
        let has_index = self.mirror.is_some() || is_configured;
        if wheels.is_none() && !has_index {
            return Ok(None);
        }
        let exported = staging.join("requirements.txt");
        let mut command = self.install_command(environment);
        command.args(EXPORT_LOCKED);
        command.arg("--output-file").arg(&exported);
        // the lock cannot be read then, and so nothing can be installed from it
        self.bench.run("failed to read the lock", Some(Step::Install), self.trust(), command).await?;
        let arguments = ["pip".as_ref(), "sync".as_ref(), exported.as_os_str()];
        if let Some(wheels) = wheels
            && self.install_offline(environment, &arguments, wheels).await?
        {
            return Ok(None);
        }
        if !has_index {
            return Ok(None);
        }
        let mut command = self.install_command(environment);
        command.args(arguments).args(self.mirror_args()).arg("-v").args(extra);
        let what = self.install_from();
        let Err(error) = self.bench.run(&what, Some(Step::Install), self.trust(), command).await else {
            return Ok(None);
        };
        let is_wrong = WRONG_BYTES.iter().any(|sign| error.message.contains(sign));
        if is_last(error.cause) || is_wrong || error.message.contains(NEEDS_BUILD) {
            return Err(error);
        }
        if is_configured && !self.bench.settings.mirror_fallback {
            return Err(EnvironmentError { message: format!("{}\n{FALLBACK}", error.message), ..error });
        }
        let reason = error.message.lines().next().unwrap_or_default();
        tracing::warn!(reason, "locked packages are taken from the URLs in the lock");
        self.bench.progress.report(Step::Install, &format!("from the URLs in the lock, since: {reason}"));
        Ok(Some(error))
    }

    /// Whether everything could be installed from a folder of the plugin's.
    pub(super) async fn install_offline(
        &mut self,
        environment: &Path,
        arguments: &[impl AsRef<OsStr>],
        wheels: &str,
    ) -> Result<bool, EnvironmentError> {
        let mut command = self.install_command(environment);
        command.args(arguments).args(["--no-index", "--offline", "--find-links", wheels, "-v"]);
        let what = "failed to install from the plugin's own wheels";
        match self.bench.run(what, Some(Step::Install), self.trust(), command).await {
            Ok(()) => Ok(true),
            Err(error) if is_last(error.cause) => Err(error),
            Err(error) => {
                tracing::info!(error = error.message, "not everything is among the plugin's own wheels");
                Ok(false)
            }
        }
    }
}

/// What comes next would fail for the same reason.
fn is_last(cause: Cause) -> bool {
    matches!(cause, Cause::Cancelled | Cause::Timeout | Cause::DiskFull | Cause::OutOfMemory | Cause::Io)
}

/// The failure of the index, and that the URLs in the lock did not help.
pub(super) fn both(index: EnvironmentError, lock: &EnvironmentError) -> EnvironmentError {
    if is_last(lock.cause) || lock.message.contains(NEEDS_BUILD) {
        return lock.clone();
    }
    let second = lock.message.lines().next().unwrap_or_default();
    EnvironmentError {
        message: format!("{}\nthe URLs in the lock do not help either: {second}", index.message),
        ..index
    }
}
