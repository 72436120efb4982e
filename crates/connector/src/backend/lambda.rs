//! Functions on AWS Lambda (cluster-serverless-observability 5).
//!
//! A plugin becomes a zip file with its dependencies for Lambda's platform, started by the Lambda Web Adapter, behind a
//! function URL that streams. Every launch is a new version to which the alias `live` then points, so that what runs goes
//! on until the new version stands, and there is a way back. What there is, Lambda knows: nothing is kept here.

mod api;
mod build;
mod code;
mod spec;
#[cfg(test)]
mod tests;
mod zip;

use std::fmt;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use plugin_runtime::local::environment::{EnvironmentSettings, Environments};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::api::Api;
use self::build::Builder;
use self::code::Uploads;
use self::spec::Specs;
use super::{Backend, BackendError, Function, LaunchError, Progress, Stage};
use crate::options::{Lambda, Options};
use crate::plugin::{Plugin, function_name};
use crate::secret::Secret;

/// How long a new function may take until it answers.
const PROBE: Duration = Duration::from_mins(1);
const PROBE_PAUSE: Duration = Duration::from_secs(1);

/// The back end; see the module.
pub struct LambdaBackend {
    api: Api,
    builder: Builder,
    specs: Specs,
    uploads: Uploads,
    prefix: String,
    /// Calls new functions; `None` leaves that out.
    probe: Option<Probe>,
}

/// Checks that a new function answers.
struct Probe {
    client: reqwest::Client,
    patience: Duration,
}

/// The settings of functions on Lambda.
#[derive(Debug)]
pub struct LambdaOptions {
    pub lambda: Lambda,
    /// Where functions reach the daemon.
    pub daemon_url: String,
    /// The key that daemon and connector share.
    pub key: Secret,
    pub environments: EnvironmentSettings,
}

impl LambdaBackend {
    /// With region and credentials as the tools of AWS find them.
    pub async fn open(options: &Options, environments: EnvironmentSettings) -> anyhow::Result<Self> {
        let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
        let options = LambdaOptions {
            lambda: options.lambda.clone(),
            daemon_url: options.daemon_url.clone(),
            key: options.api_key.clone(),
            environments,
        };
        Self::with(&config, options)
    }

    fn with(config: &aws_config::SdkConfig, options: LambdaOptions) -> anyhow::Result<Self> {
        let region = config.region().context("AWS_REGION: must be set when CONNECTOR_BACKEND is lambda")?.to_string();
        let lambda = options.lambda;
        let probe = if lambda.skip_probe {
            None
        } else {
            Some(Probe { client: reqwest::Client::builder().timeout(PROBE).build()?, patience: PROBE })
        };
        Ok(Self {
            api: Api::new(aws_sdk_lambda::Client::new(config)),
            builder: Builder::new(Environments::new(options.environments), lambda.allow_builds),
            uploads: Uploads::new(lambda.bucket.as_deref(), &region)?,
            prefix: lambda.prefix.clone(),
            specs: Specs { lambda, region, daemon_url: options.daemon_url, key: options.key },
            probe,
        })
    }

    /// `live` is the version that serves now.
    async fn make(&self, plugin: &Plugin, live: Option<&String>, progress: &Progress) -> Result<Function, LaunchError> {
        let name = function_name(&self.prefix, &plugin.filename);
        let failed = |stage| move |error: BackendError| LaunchError::new(stage, error);
        let spec = self.specs.of(plugin).map_err(|error| LaunchError::new(Stage::Start, error))?;
        progress(Stage::Build, "installing dependencies for Lambda");
        let zip = self.builder.build(plugin, &spec).await.map_err(|error| LaunchError::new(Stage::Build, error))?;
        let code = self.uploads.code(&name, zip).await.map_err(failed(Stage::Build))?;

        progress(Stage::Run, "making the function");
        let version = self.api.publish(&name, &spec, &code).await.map_err(failed(Stage::Run))?;
        self.api.point_live(&name, &version).await.map_err(failed(Stage::Run))?;
        let url = self.api.open_url(&name).await.map_err(failed(Stage::Run))?;
        if let Some(probe) = &self.probe {
            progress(Stage::Run, "waiting for the function to answer");
            probe.answers(&url).await.map_err(|error| LaunchError::new(Stage::Run, error))?;
        }
        self.api.tag(&name, spec::WHOLE_TAG, "true").await.map_err(failed(Stage::Run))?;
        let kept: Vec<_> = live.into_iter().chain([&version]).collect();
        if let Err(error) = self.api.delete_versions_but(&name, &kept).await {
            tracing::warn!(function = name, %error, "old versions of a function are left");
        }
        Ok(Function {
            id: name.clone(),
            resource: format!("lambda:{name}:{version}"),
            name,
            url,
            filename: plugin.filename.clone(),
        })
    }

    /// A function that a connector has launched completely: neither one from another tool, nor one left by a launch that
    /// was interrupted by a kill.
    async fn function(&self, name: String) -> Result<Option<Function>, BackendError> {
        let Some(mut tags) = self.api.tags(&name).await? else { return Ok(None) };
        let (Some(filename), true) = (tags.remove(spec::FILENAME_TAG), tags.contains_key(spec::WHOLE_TAG)) else {
            return Ok(None);
        };
        let url = self.api.url(&name).await?;
        let resource = format!("lambda:{name}");
        Ok(url.map(|url| Function { id: name.clone(), resource, name, url, filename }))
    }

    /// The version that serves calls of a function, if it is whole.
    async fn live(&self, name: &str) -> Result<Option<String>, BackendError> {
        let Some(tags) = self.api.tags(name).await? else { return Ok(None) };
        if tags.contains_key(spec::WHOLE_TAG) { self.api.live(name).await } else { Ok(None) }
    }

    /// Reverts a failed launch: the earlier version serves again; without one the function is deleted.
    async fn undo(&self, name: &str, live: Option<&String>) {
        let undone = match live {
            Some(version) => self.api.point_live(name, version).await,
            None => self.api.delete(name).await.map(drop),
        };
        if let Err(error) = undone {
            tracing::warn!(function = name, %error, "a failed launch is not cleared away");
        }
    }
}

impl Probe {
    /// Waits until a function answers well.
    async fn answers(&self, url: &str) -> Result<(), String> {
        let deadline = Instant::now() + self.patience;
        loop {
            let problem = match self.client.get(format!("{url}/health")).send().await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => {
                    let status = answer.status();
                    format!("the function answers {status}: {}", answer.text().await.unwrap_or_default())
                }
                Err(error) => format!("the function does not answer: {}", plugin_runtime::transport::describe(error)),
            };
            if Instant::now() + PROBE_PAUSE > deadline {
                return Err(problem);
            }
            sleep(PROBE_PAUSE).await;
        }
    }
}

#[async_trait]
impl Backend for LambdaBackend {
    async fn launch(
        &self,
        plugin: &Plugin,
        progress: Progress,
        cancel: &CancellationToken,
    ) -> Result<Function, LaunchError> {
        let name = function_name(&self.prefix, &plugin.filename);
        let live = self.live(&name).await.map_err(|error| LaunchError::new(Stage::Start, error))?;
        let made = cancel.run_until_cancelled(Box::pin(self.make(plugin, live.as_ref(), &progress))).await;
        let made = made.unwrap_or_else(|| Err(LaunchError::new(Stage::Run, "cancelled")));
        self.uploads.clear(&name).await;
        if made.is_err() {
            self.undo(&name, live.as_ref()).await;
        }
        made
    }

    async fn find(&self, filename: &str) -> Result<Option<Function>, BackendError> {
        self.function(function_name(&self.prefix, filename)).await
    }

    async fn list(&self) -> Result<Vec<Function>, BackendError> {
        let mut functions = Vec::new();
        for name in self.api.functions(&self.prefix).await? {
            functions.extend(self.function(name).await?);
        }
        Ok(functions)
    }

    async fn delete(&self, filename: &str) -> Result<bool, BackendError> {
        self.api.delete(&function_name(&self.prefix, filename)).await
    }
}

impl fmt::Debug for LambdaBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LambdaBackend")
            .field("prefix", &self.prefix)
            .field("specs", &self.specs)
            .finish_non_exhaustive()
    }
}
