//! What a function must be like for its plugin (cluster-serverless-observability 5.2 to 5.4).

use std::collections::HashMap;
use std::fmt;

use aws_sdk_lambda::types::Architecture;
use plugin_runtime::serverless::callback_url;

use crate::options::{Lambda, Processor};
use crate::plugin::Plugin;
use crate::secret::Secret;

/// The tag that names the package of a function.
pub(super) const FILENAME_TAG: &str = "dify-filename";
/// The tag of a function that has been launched to the end.
pub(super) const WHOLE_TAG: &str = "dify-launched";
/// Where dependencies are in the zip file, beside the plugin's own files.
pub(super) const DEPENDENCIES: &str = ".dependencies";
/// What starts the plugin; the adapter runs it.
pub(super) const HANDLER: &str = ".dify-start.sh";
/// The adapter's port, and the SDK's.
const PORT: &str = "8080";
/// Where Lambda puts the zip file.
const ROOT: &str = "/var/task";
/// Most memory of a function, in MiB.
const MAX_MEMORY: u64 = 10_240;

/// All but the code of one function.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) architecture: Architecture,
    /// `3.12`
    pub(super) python: String,
    pub(super) entrypoint: String,
    pub(super) memory_mib: i32,
    pub(super) timeout_seconds: i32,
    pub(super) role: String,
    pub(super) layer: String,
    pub(super) variables: HashMap<String, String>,
    pub(super) tags: HashMap<String, String>,
    pub(super) subnets: Vec<String>,
    pub(super) security_groups: Vec<String>,
}

impl Spec {
    /// What uv calls the platform: that of the managed runtime, Amazon Linux 2023, which has glibc 2.34.
    pub(super) fn platform(&self) -> &'static str {
        if self.architecture == Architecture::Arm64 { "aarch64-manylinux_2_34" } else { "x86_64-manylinux_2_34" }
    }

    /// The name of the managed runtime.
    pub(super) fn runtime(&self) -> String {
        format!("python{}", self.python)
    }
}

/// Makes specs.
pub(super) struct Specs {
    pub(super) lambda: Lambda,
    pub(super) region: String,
    pub(super) daemon_url: String,
    pub(super) key: Secret,
}

impl Specs {
    /// The function of a plugin; the error says why it cannot have one.
    pub(super) fn of(&self, plugin: &Plugin) -> Result<Spec, String> {
        let lambda = &self.lambda;
        let meta = &plugin.manifest.meta;
        let architecture = architecture(lambda.architecture, meta.arch.as_deref().unwrap_or_default())?;
        let layer_name = if architecture == Architecture::Arm64 { "Arm64" } else { "X86" };
        let python = python(&meta.runner.version)?;
        let entrypoint = meta.runner.entrypoint.as_str();
        if !is_module(entrypoint) {
            return Err(format!("the manifest's entry point '{entrypoint}' is not the name of a module"));
        }
        let mib = u64::try_from(plugin.manifest.resource.memory).unwrap_or_default() / (1024 * 1024);
        let memory = mib.clamp(lambda.min_memory_mib, MAX_MEMORY);
        let variables = [
            ("INSTALL_METHOD", "serverless".to_owned()),
            ("DIFY_PLUGIN_DAEMON_URL", callback_url(&self.daemon_url, self.key.expose(), plugin.identifier.as_str())),
            ("SERVERLESS_HOST", "127.0.0.1".to_owned()),
            ("SERVERLESS_PORT", PORT.to_owned()),
            ("AWS_LAMBDA_EXEC_WRAPPER", "/opt/bootstrap".to_owned()),
            ("AWS_LWA_PORT", PORT.to_owned()),
            ("AWS_LWA_READINESS_CHECK_PATH", "/health".to_owned()),
            ("AWS_LWA_INVOKE_MODE", "response_stream".to_owned()),
            // imports may take longer than the 10 s that Lambda gives a start
            ("AWS_LWA_ASYNC_INIT", "true".to_owned()),
            ("PYTHONPATH", format!("{ROOT}/{DEPENDENCIES}")),
            // nothing else can be written to
            ("HOME", "/tmp".to_owned()),
            ("XDG_CACHE_HOME", "/tmp/cache".to_owned()),
            ("TIKTOKEN_CACHE_DIR", "/tmp/tiktoken".to_owned()),
            ("MPLCONFIGDIR", "/tmp/matplotlib".to_owned()),
        ];
        let tags = [
            (FILENAME_TAG, plugin.filename.clone()),
            ("dify-plugin", plugin.identifier.identity().to_owned()),
            ("dify-verified", plugin.verified.to_string()),
            ("dify-connector", env!("CARGO_PKG_VERSION").to_owned()),
        ];
        Ok(Spec {
            layer: lambda.adapter_layer.replace("{region}", &self.region).replace("{arch}", layer_name),
            architecture,
            python,
            entrypoint: entrypoint.to_owned(),
            memory_mib: i32::try_from(memory).unwrap_or(i32::MAX),
            timeout_seconds: lambda.timeout_seconds,
            role: lambda.role.clone().unwrap_or_default(),
            variables: variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            tags: tags.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            subnets: lambda.subnets.clone(),
            security_groups: lambda.security_groups.clone(),
        })
    }
}

impl fmt::Debug for Specs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Specs").field("lambda", &self.lambda).field("region", &self.region).finish_non_exhaustive()
    }
}

/// The wanted processor, if the plugin can do with it. A manifest that names none can do with any.
fn architecture(wanted: Processor, allowed: &[impl AsRef<str>]) -> Result<Architecture, String> {
    let allows = |name: &str| allowed.is_empty() || allowed.iter().any(|arch| arch.as_ref() == name);
    match wanted {
        Processor::Arm64 | Processor::Auto if allows("arm64") => Ok(Architecture::Arm64),
        Processor::X86_64 | Processor::Auto if allows("amd64") => Ok(Architecture::X8664),
        _ => {
            let allowed = allowed.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
            Err(format!("the plugin runs on {allowed} only, which is not what CONNECTOR_LAMBDA_ARCHITECTURE says"))
        }
    }
}

fn is_module(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
}

/// Major and minor version of the interpreter.
fn python(version: &str) -> Result<String, String> {
    let mut parts = version.split('.');
    let mut number = || parts.next().and_then(|part| part.parse::<u32>().ok());
    let numbers = (number(), number());
    match numbers {
        (Some(3_u32), Some(minor)) => Ok(format!("3.{minor}")),
        _ => Err(format!("the manifest asks for Python '{version}', which is no version such as 3.12")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors() {
        let check = |wanted, allowed: &[&str], expected: Option<Architecture>| {
            assert_eq!(architecture(wanted, allowed).ok(), expected, "{wanted:?} {allowed:?}");
        };
        check(Processor::Auto, &["amd64", "arm64"], Some(Architecture::Arm64));
        check(Processor::Auto, &["amd64"], Some(Architecture::X8664));
        check(Processor::Auto, &[], Some(Architecture::Arm64));
        check(Processor::Auto, &["riscv"], None);
        check(Processor::X86_64, &["arm64", "amd64"], Some(Architecture::X8664));
        check(Processor::Arm64, &["amd64"], None);
    }

    #[test]
    fn interpreters() {
        for (version, expected) in
            [("3.12", Some("3.12")), ("3.11.4", Some("3.11")), ("3", None), ("2.7", None), ("", None)]
        {
            assert_eq!(python(version).ok().as_deref(), expected, "{version}");
        }
    }
}
