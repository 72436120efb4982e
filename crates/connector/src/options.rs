//! Settings: each is a flag and an environment variable, declared once.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::secret::Secret;

/// Turns plugin packages into functions, for a Dify plugin daemon with `PLATFORM=serverless`.
///
/// The daemon calls this service at `DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL` with
/// `DIFY_PLUGIN_SERVERLESS_CONNECTOR_API_KEY`. It takes a package, makes a function of it, and returns its URL,
/// which the daemon then calls.
///
/// Two back ends: `process` runs plugins on this machine, started by the first call and stopped when idle;
/// `lambda` makes functions on AWS Lambda (builds with the feature `lambda` only).
#[derive(Clone, Debug, Parser)]
#[command(name = "dify-plugin-connector", version, after_help = EXAMPLE, max_term_width = 110)]
pub struct Options {
    /// Address to listen on. Put anything but a local address behind TLS: the key is sent in a header.
    #[arg(long, env = "CONNECTOR_LISTEN", default_value = "127.0.0.1:5004")]
    pub listen: SocketAddr,
    /// Key that the daemon sends; the same variable as the daemon's, at least 10 bytes.
    #[arg(long, env = "DIFY_PLUGIN_SERVERLESS_CONNECTOR_API_KEY", hide_env_values = true)]
    pub api_key: Secret,
    /// Where functions reach the daemon, to call back into Dify.
    #[arg(long, env = "CONNECTOR_DAEMON_URL", default_value = "http://127.0.0.1:5002")]
    pub daemon_url: String,
    /// Where functions run.
    #[arg(long, env = "CONNECTOR_BACKEND", value_enum, default_value = "process")]
    pub backend: BackendKind,
    /// Folder for packages, working folders and environments.
    #[arg(long, env = "CONNECTOR_DATA_PATH", default_value = "./data/connector")]
    pub data_path: PathBuf,
    /// Largest package in bytes, as it is and unpacked.
    #[arg(long, env = "CONNECTOR_MAX_PACKAGE_BYTES", default_value_t = 52_428_800)]
    pub max_package_bytes: u64,
    /// Log filter: a level, or levels of parts as in `info,plugin_connector=debug`.
    #[arg(long, env = "CONNECTOR_LOG", default_value = "info")]
    pub log: String,
    #[command(flatten, next_help_heading = "Python")]
    pub python: Python,
    #[command(flatten, next_help_heading = "Back end `process`")]
    pub process: Process,
    #[cfg(feature = "lambda")]
    #[command(flatten, next_help_heading = "Back end `lambda`")]
    pub lambda: Lambda,
}

const EXAMPLE: &str = "\
Example, on one machine:

  export DIFY_PLUGIN_SERVERLESS_CONNECTOR_API_KEY=a-long-secret
  dify-plugin-connector &
  PLATFORM=serverless DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL=http://127.0.0.1:5004 dify-plugin-daemon

SIGTERM or SIGINT ends launches, lets running calls end, and stops all plugins; a second signal cuts calls.";

/// The connector's variables that hold secrets, which no plugin gets, whatever `CONNECTOR_PASS_VARIABLES` says.
pub const SECRETS: [&str; 2] = ["DIFY_PLUGIN_SERVERLESS_CONNECTOR_API_KEY", "PIP_MIRROR_URL"];

/// Where functions run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BackendKind {
    /// Processes of this machine.
    Process,
    /// AWS Lambda.
    #[cfg(feature = "lambda")]
    Lambda,
}

/// How dependencies are installed; the variables are the daemon's.
#[derive(Clone, Debug, clap::Args)]
pub struct Python {
    /// The uv program [default: found on PATH].
    #[arg(long, env = "UV_PATH")]
    pub uv: Option<PathBuf>,
    /// Interpreter of last resort before a download.
    #[arg(long = "python-interpreter", env = "PYTHON_INTERPRETER_PATH", default_value = "/usr/bin/python3")]
    pub interpreter: PathBuf,
    /// Index to install from instead of the official one.
    #[arg(long, env = "PIP_MIRROR_URL", hide_env_values = true)]
    pub pip_mirror_url: Option<Secret>,
    /// Environments built at a time.
    #[arg(long, env = "PLUGIN_LOCAL_LAUNCHING_CONCURRENT", default_value_t = 2)]
    pub concurrent_builds: usize,
}

/// Plugins as processes.
#[derive(Clone, Debug, clap::Args)]
pub struct Process {
    /// Where the daemon reaches this service, for the URLs of functions; http:// and the listening address when it is
    /// not given. Changing it makes the functions that daemons know unreachable until they are reinstalled.
    #[arg(long, env = "CONNECTOR_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// Seconds without a call after which a process is stopped; the next call starts it again.
    #[arg(long, env = "CONNECTOR_IDLE_SECONDS", default_value_t = 300)]
    pub idle_seconds: u64,
    /// Seconds that a process may take to start and answer.
    #[arg(long, env = "CONNECTOR_START_TIMEOUT_SECONDS", default_value_t = 120)]
    pub start_timeout_seconds: u64,
    /// Seconds that a process may take to end after SIGTERM.
    #[arg(long, env = "CONNECTOR_STOP_GRACE_SECONDS", default_value_t = 5)]
    pub stop_grace_seconds: u64,
    /// Processes at a time. At the limit, the process that has been idle longest is stopped; calls wait if none is idle.
    #[arg(long, env = "CONNECTOR_MAX_PROCESSES", default_value_t = 64)]
    pub max_processes: usize,
    /// Names of further variables that are passed to plugins; a trailing * matches any ending. The connector's own
    /// secrets never are.
    #[arg(long, env = "CONNECTOR_PASS_VARIABLES", value_delimiter = ',')]
    pub pass_variables: Vec<String>,
    /// How plugins are kept apart from the connector and each other: `auto` as far as the system allows, `off`, or
    /// `required` with a level (`required:L1`), below which the connector does not start.
    #[arg(long, env = "PLUGIN_ISOLATION", default_value_t)]
    pub isolation: plugin_sandbox::Mode,
}

/// Plugins as functions on AWS Lambda. Region and credentials come from where the tools of AWS look for them.
#[cfg(feature = "lambda")]
#[derive(Clone, Debug, clap::Args)]
pub struct Lambda {
    /// ARN of the role that functions run as; it needs the policy `AWSLambdaBasicExecutionRole`. Required for `lambda`.
    #[arg(long = "lambda-role", env = "CONNECTOR_LAMBDA_ROLE")]
    pub role: Option<String>,
    /// Beginning of the functions' names; several connectors in one account need different ones.
    #[arg(long = "lambda-prefix", env = "CONNECTOR_LAMBDA_PREFIX", default_value = "dify-")]
    pub prefix: String,
    /// S3 bucket for code of more than 50 MB, which cannot be sent in a request.
    #[arg(long = "lambda-bucket", env = "CONNECTOR_LAMBDA_BUCKET")]
    pub bucket: Option<String>,
    /// ARN of the layer with the Lambda Web Adapter; {region} and {arch} (X86 or Arm64) are replaced.
    #[arg(long = "lambda-adapter-layer", env = "CONNECTOR_LAMBDA_ADAPTER_LAYER", default_value = ADAPTER)]
    pub adapter_layer: String,
    /// Processor of the functions; `auto` takes arm64, which costs less, where the plugin allows it.
    #[arg(long = "lambda-architecture", env = "CONNECTOR_LAMBDA_ARCHITECTURE", value_enum, default_value = "auto")]
    pub architecture: Processor,
    /// Longest time of one call in seconds, at most 900; not below `PLUGIN_MAX_EXECUTION_TIMEOUT` of the daemon.
    #[arg(long = "lambda-timeout-seconds", env = "CONNECTOR_LAMBDA_TIMEOUT_SECONDS", default_value_t = 900,
        value_parser = clap::value_parser!(i32).range(1..=900))]
    pub timeout_seconds: i32,
    /// Least memory in MiB; many manifests ask for less than Python takes.
    #[arg(long = "lambda-min-memory-mib", env = "CONNECTOR_LAMBDA_MIN_MEMORY_MIB", default_value_t = 512,
        value_parser = clap::value_parser!(u64).range(128..=10240))]
    pub min_memory_mib: u64,
    /// Subnets of a VPC for the functions, separated by commas.
    #[arg(long = "lambda-subnets", env = "CONNECTOR_LAMBDA_SUBNETS", value_delimiter = ',')]
    pub subnets: Vec<String>,
    /// Security groups there, separated by commas.
    #[arg(long = "lambda-security-groups", env = "CONNECTOR_LAMBDA_SECURITY_GROUPS", value_delimiter = ',')]
    pub security_groups: Vec<String>,
    /// Build dependencies without a wheel on this machine; works only for pure Python.
    #[arg(long = "lambda-allow-builds", env = "CONNECTOR_LAMBDA_ALLOW_BUILDS")]
    pub allow_builds: bool,
    /// Do not call a new function to check that it answers.
    #[arg(long = "lambda-skip-probe", env = "CONNECTOR_LAMBDA_SKIP_PROBE")]
    pub skip_probe: bool,
}

#[cfg(feature = "lambda")]
const ADAPTER: &str = "arn:aws:lambda:{region}:753240598075:layer:LambdaAdapterLayer{arch}:27";

/// Processor of functions.
#[cfg(feature = "lambda")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Processor {
    Auto,
    Arm64,
    #[value(name = "x86_64")]
    X86_64,
}

/// Shortest key, in bytes.
const KEY_BYTES: usize = 10;

impl Options {
    /// Every setting that parses but cannot be used, as messages.
    ///
    /// ```
    /// use clap::Parser as _;
    /// use plugin_connector::options::Options;
    ///
    /// let given = ["dify-plugin-connector", "--api-key", "short", "--daemon-url", "daemon:5002"];
    /// assert_eq!(
    ///     Options::try_parse_from(given)?.problems(),
    ///     [
    ///         "DIFY_PLUGIN_SERVERLESS_CONNECTOR_API_KEY: must have at least 10 bytes",
    ///         "CONNECTOR_DAEMON_URL: 'daemon:5002' is not an http or https URL",
    ///     ],
    /// );
    /// # Ok::<(), clap::Error>(())
    /// ```
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.api_key.expose().len() < KEY_BYTES {
            problems.push(format!("DIFY_PLUGIN_SERVERLESS_CONNECTOR_API_KEY: must have at least {KEY_BYTES} bytes"));
        }
        #[cfg(feature = "lambda")]
        if self.backend == BackendKind::Lambda && self.lambda.role.is_none() {
            problems.push("CONNECTOR_LAMBDA_ROLE: must be set when CONNECTOR_BACKEND is lambda".to_owned());
        }
        let urls = [
            ("CONNECTOR_DAEMON_URL", Some(&self.daemon_url)),
            ("CONNECTOR_PUBLIC_URL", self.process.public_url.as_ref()),
        ];
        for (name, url) in urls {
            let Some(url) = url else { continue };
            let parsed = url.parse::<http::Uri>();
            let is_http = parsed.is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
            if !is_http {
                problems.push(format!("{name}: '{url}' is not an http or https URL"));
            } else if name == "CONNECTOR_PUBLIC_URL" && url.contains([',', '=']) {
                problems.push(format!(
                    "{name}: neither a comma nor an equals sign may be in it, the protocol splits there"
                ));
            }
        }
        problems
    }

    /// Where the daemon reaches this service.
    pub fn public_url(&self) -> String {
        self.process.public_url.clone().unwrap_or_else(|| format!("http://{}", self.listen))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_declarations_are_sound() {
        Options::command().debug_assert();
    }

    #[test]
    fn all_secrets_are_known() {
        let command = Options::command();
        let hidden = command.get_arguments().filter(|argument| argument.is_hide_env_values_set());
        let mut names: Vec<_> = hidden.filter_map(|argument| argument.get_env()?.to_str()).collect();
        names.sort_unstable();
        assert_eq!(names, SECRETS);
    }

    #[test]
    fn keys_are_not_printed() {
        let mirror = "https://user:the-password@mirror/simple";
        let all = ["connector", "--api-key", "the-shared-key", "--pip-mirror-url", mirror];
        let printed = format!("{:?}", Options::try_parse_from(all).unwrap());
        assert!(!printed.contains("the-shared-key") && !printed.contains("the-password"), "{printed}");
    }

    #[test]
    fn all_problems_are_reported_together() {
        let parse = |arguments: &[&str]| {
            let all = ["connector", "--api-key"].iter().chain(arguments);
            Options::try_parse_from(all).unwrap().problems()
        };
        assert!(parse(&["long enough"]).is_empty());
        assert_eq!(
            parse(&["short", "--daemon-url", "daemon:5002", "--public-url", "http://h/a=b"]),
            [
                "DIFY_PLUGIN_SERVERLESS_CONNECTOR_API_KEY: must have at least 10 bytes",
                "CONNECTOR_DAEMON_URL: 'daemon:5002' is not an http or https URL",
                "CONNECTOR_PUBLIC_URL: neither a comma nor an equals sign may be in it, the protocol splits there",
            ]
        );
    }
}
