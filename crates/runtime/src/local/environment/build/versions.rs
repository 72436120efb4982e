//! Which versions there are, where the wanted one is not.

use std::path::Path;

use super::super::classify::sentence::missing_version;
use super::super::error::{Cause, EnvironmentError};
use super::Builder;

impl Builder<'_, '_> {
    /// Adds to a failure for want of a version which versions the index has. uv is asked, since it alone knows how to reach
    /// the indexes.
    pub(super) async fn name_versions(
        &mut self,
        installed: Result<(), EnvironmentError>,
        environment: &Path,
        staging: &Path,
    ) -> Result<(), EnvironmentError> {
        let Err(error) = installed else { return Ok(()) };
        let missing = match error.cause {
            Cause::Resolve => missing_version(&error.message),
            _ => None,
        };
        let Some((name, version)) = missing.map(|(name, version)| (name.to_owned(), version.map(str::to_owned))) else {
            return Err(error);
        };
        let mut around = Vec::new();
        for relation in version.iter().flat_map(|version| [format!("<{version}"), format!(">{version}")]) {
            around.extend(
                self.newest(&format!("{name}{relation}"), relation.starts_with('>'), environment, staging).await,
            );
        }
        let newest = self.newest(&name, false, environment, staging).await;
        let around = if around.is_empty() { String::new() } else { format!("next to it are {}", around.join(" and ")) };
        let newest = newest.map(|newest| format!("the newest is {newest}"));
        let known: Vec<_> = [around].into_iter().filter(|text| !text.is_empty()).chain(newest).collect();
        if known.is_empty() {
            return Err(error);
        }
        let (first, rest) = error.message.split_once('\n').unwrap_or((&error.message, ""));
        Err(EnvironmentError { message: format!("{first}; {}\n{rest}", known.join(", ")), ..error })
    }

    /// The newest version that a requirement allows, or the oldest.
    async fn newest(&mut self, requirement: &str, oldest: bool, environment: &Path, staging: &Path) -> Option<String> {
        let (question, answer) = (staging.join("question.in"), staging.join("question.txt"));
        tokio::fs::write(&question, format!("{requirement}\n")).await.ok()?;
        let mut command = self.install_command(environment);
        command.args(["pip", "compile", "--quiet", "--no-deps", "--no-header", "--no-annotate"]);
        command.args(["--resolution", if oldest { "lowest" } else { "highest" }]).args(self.mirror_args());
        command.arg("--python").arg(environment.join("bin/python"));
        command.arg("--output-file").arg(&answer).arg(&question);
        let asked = self.bench.run("failed to ask for versions", None, self.trust(), command).await;
        asked.inspect_err(|error| tracing::debug!(error = error.message, "no versions to name")).ok()?;
        let text = tokio::fs::read_to_string(&answer).await.ok()?;
        tokio::fs::remove_file(&answer).await.ok()?;
        text.lines().find_map(|line| Some(line.trim().split_once("==")?.1.to_owned()))
    }
}
