//! The calls of Lambda's API that it takes.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_lambda::types::{
    Environment, FunctionCode, FunctionUrlAuthType, InvokeMode, LastUpdateStatus, Runtime, State, VpcConfig,
};
use plugin_runtime::transport::with_causes;
use tokio::time::{Instant, sleep};

use super::code::Code;
use super::spec::{HANDLER, Spec};
use crate::backend::BackendError;

/// The alias that the function URL belongs to.
const LIVE: &str = "live";
/// How long a function may take until a change is in place.
const CHANGE: Duration = Duration::from_mins(5);
const LOOK_EVERY: Duration = Duration::from_secs(1);

type Result<T> = std::result::Result<T, BackendError>;

/// The client.
#[derive(Debug)]
pub(super) struct Api(Client);

/// What the service says, or what kept it from saying anything, and what was tried.
fn failed<E>(what: &str, error: &SdkError<E>) -> BackendError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let said = [error.code(), error.message()].into_iter().flatten().collect::<Vec<_>>().join(": ");
    if !said.is_empty() {
        return BackendError(format!("AWS Lambda: {what} failed: {said}"));
    }
    BackendError(format!("AWS Lambda: {what} failed: {}", with_causes(error)))
}

/// Nothing where the service says that there is nothing.
fn absent<T, E>(what: &str, result: std::result::Result<T, SdkError<E>>) -> Result<Option<T>>
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
        Err(error) => Err(failed(what, &error)),
    }
}

impl Api {
    pub(super) fn new(client: Client) -> Self {
        Self(client)
    }

    /// Makes a function or changes it, and publishes what it is then as a version.
    pub(super) async fn publish(&self, name: &str, spec: &Spec, code: &Code) -> Result<String> {
        if self.is_there(name).await? {
            self.ready(name).await?;
            self.change(name, spec, code).await?;
        } else {
            self.create(name, spec, code).await?;
        }
        self.ready(name).await?;
        let published = self.0.publish_version().function_name(name).send().await;
        let version = published.map_err(|error| failed("publish a version", &error))?.version;
        version.ok_or_else(|| BackendError("AWS Lambda: a version has no number".to_owned()))
    }

    async fn is_there(&self, name: &str) -> Result<bool> {
        let found = self.0.get_function_configuration().function_name(name).send().await;
        Ok(absent("look for a function", found)?.is_some())
    }

    async fn create(&self, name: &str, spec: &Spec, code: &Code) -> Result<()> {
        let source = match code {
            Code::Zip(zip) => FunctionCode::builder().zip_file(zip.clone()),
            Code::Stored { bucket, key } => FunctionCode::builder().s3_bucket(bucket).s3_key(key),
        };
        let created = self
            .0
            .create_function()
            .function_name(name)
            .runtime(Runtime::from(spec.runtime().as_str()))
            .handler(HANDLER)
            .role(&spec.role)
            .code(source.build())
            .architectures(spec.architecture.clone())
            .memory_size(spec.memory_mib)
            .timeout(spec.timeout_seconds)
            .layers(&spec.layer)
            .environment(environment(spec))
            .set_vpc_config(network(spec))
            .set_tags(Some(spec.tags.clone()))
            .send()
            .await;
        created.map(|_| ()).map_err(|error| failed("create a function", &error))
    }

    async fn change(&self, name: &str, spec: &Spec, code: &Code) -> Result<()> {
        let change = self.0.update_function_code().function_name(name).architectures(spec.architecture.clone());
        let change = match code {
            Code::Zip(zip) => change.zip_file(zip.clone()),
            Code::Stored { bucket, key } => change.s3_bucket(bucket).s3_key(key),
        };
        change.send().await.map_err(|error| failed("change a function's code", &error))?;
        self.ready(name).await?;
        let changed = self
            .0
            .update_function_configuration()
            .function_name(name)
            .runtime(Runtime::from(spec.runtime().as_str()))
            .handler(HANDLER)
            .role(&spec.role)
            .memory_size(spec.memory_mib)
            .timeout(spec.timeout_seconds)
            .layers(&spec.layer)
            .environment(environment(spec))
            .set_vpc_config(network(spec))
            .send()
            .await;
        let arn = changed.map_err(|error| failed("change a function", &error))?.function_arn.unwrap_or_default();
        let tagged = self.0.tag_resource().resource(arn).set_tags(Some(spec.tags.clone())).send().await;
        tagged.map(|_| ()).map_err(|error| failed("tag a function", &error))
    }

    /// Waits until what was changed last is in place.
    async fn ready(&self, name: &str) -> Result<()> {
        let deadline = Instant::now() + CHANGE;
        loop {
            let found = self.0.get_function_configuration().function_name(name).send().await;
            let found = found.map_err(|error| failed("look at a function", &error))?;
            let (state, change) = (found.state(), found.last_update_status());
            if matches!(state, Some(State::Failed)) || matches!(change, Some(LastUpdateStatus::Failed)) {
                let reasons = [found.state_reason(), found.last_update_status_reason()];
                let reason = reasons.into_iter().flatten().next().unwrap_or("AWS gives no reason");
                return Err(BackendError(format!("AWS Lambda: the function cannot be made: {reason}")));
            }
            let is_pending =
                matches!(state, Some(State::Pending)) || matches!(change, Some(LastUpdateStatus::InProgress));
            if !is_pending {
                return Ok(());
            }
            if Instant::now() > deadline {
                let minutes = CHANGE.as_secs() / 60;
                return Err(BackendError(format!("AWS Lambda: the function is not ready after {minutes} min")));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// The version that the alias points to.
    pub(super) async fn live(&self, name: &str) -> Result<Option<String>> {
        let found = self.0.get_alias().function_name(name).name(LIVE).send().await;
        Ok(absent("look for an alias", found)?.and_then(|alias| alias.function_version))
    }

    /// Points the alias to a version.
    pub(super) async fn point_live(&self, name: &str, version: &str) -> Result<()> {
        match self.live(name).await? {
            Some(now) if now == version => Ok(()),
            Some(_) => {
                let moved = self.0.update_alias().function_name(name).name(LIVE).function_version(version).send().await;
                moved.map(drop).map_err(|error| failed("move an alias", &error))
            }
            None => {
                let made = self.0.create_alias().function_name(name).name(LIVE).function_version(version).send().await;
                made.map(drop).map_err(|error| failed("create an alias", &error))
            }
        }
    }

    /// Makes the function's URL, which the daemon calls without credentials: it cannot be guessed.
    pub(super) async fn open_url(&self, name: &str) -> Result<String> {
        self.permit(name).await?;
        if let Some(url) = self.url(name).await? {
            return Ok(url);
        }
        let created = self
            .0
            .create_function_url_config()
            .function_name(name)
            .qualifier(LIVE)
            .auth_type(FunctionUrlAuthType::None)
            .invoke_mode(InvokeMode::ResponseStream)
            .send()
            .await;
        let created = created.map_err(|error| failed("create a function URL", &error))?;
        Ok(without_slash(created.function_url()))
    }

    /// Lets everybody who knows the URL call it; both permissions are needed.
    async fn permit(&self, name: &str) -> Result<()> {
        let permission = |id: &str, action: &str| {
            let add = self.0.add_permission().function_name(name).qualifier(LIVE).principal("*");
            add.statement_id(id).action(action)
        };
        let url =
            permission("dify-call-url", "lambda:InvokeFunctionUrl").function_url_auth_type(FunctionUrlAuthType::None);
        let function = permission("dify-call-function", "lambda:InvokeFunction").invoked_via_function_url(true);
        for permission in [url, function] {
            match permission.send().await {
                Ok(_) => {}
                Err(error) if error.code() == Some("ResourceConflictException") => {}
                Err(error) => return Err(failed("let a function be called", &error)),
            }
        }
        Ok(())
    }

    /// The function's URL, if it has one.
    pub(super) async fn url(&self, name: &str) -> Result<Option<String>> {
        let found = self.0.get_function_url_config().function_name(name).qualifier(LIVE).send().await;
        let found = absent("look for a function URL", found)?;
        Ok(found.map(|config| without_slash(config.function_url())))
    }

    /// Deletes all versions but these.
    pub(super) async fn delete_versions_but(&self, name: &str, kept: &[&String]) -> Result<()> {
        let mut pages = self.0.list_versions_by_function().function_name(name).into_paginator().items().send();
        let mut old = Vec::new();
        while let Some(version) = pages.next().await {
            let version = version.map_err(|error| failed("list versions", &error))?.version.unwrap_or_default();
            // the one that is not published yet has a name
            if version.parse::<u64>().is_ok() && !kept.iter().any(|kept| **kept == version) {
                old.push(version);
            }
        }
        for version in old {
            let deleted = self.0.delete_function().function_name(name).qualifier(version).send().await;
            deleted.map_err(|error| failed("delete a version", &error))?;
        }
        Ok(())
    }

    /// Names of the functions whose name begins so.
    pub(super) async fn functions(&self, prefix: &str) -> Result<Vec<String>> {
        let mut pages = self.0.list_functions().into_paginator().items().send();
        let mut functions = Vec::new();
        while let Some(function) = pages.next().await {
            let function = function.map_err(|error| failed("list functions", &error))?;
            functions.extend(function.function_name.filter(|name| name.starts_with(prefix)));
        }
        Ok(functions)
    }

    /// A function's tags, if there is one.
    pub(super) async fn tags(&self, name: &str) -> Result<Option<HashMap<String, String>>> {
        let found = self.0.get_function().function_name(name).send().await;
        Ok(absent("look for a function", found)?.map(|function| function.tags.unwrap_or_default()))
    }

    /// Adds a tag to a function.
    pub(super) async fn tag(&self, name: &str, tag: &str, value: &str) -> Result<()> {
        let found = self.0.get_function_configuration().function_name(name).send().await;
        let arn = found.map_err(|error| failed("look at a function", &error))?.function_arn.unwrap_or_default();
        let tagged = self.0.tag_resource().resource(arn).tags(tag, value).send().await;
        tagged.map(drop).map_err(|error| failed("tag a function", &error))
    }

    /// Deletes a function with all that belongs to it; true if there was one.
    pub(super) async fn delete(&self, name: &str) -> Result<bool> {
        let deleted = self.0.delete_function().function_name(name).send().await;
        Ok(absent("delete a function", deleted)?.is_some())
    }
}

fn environment(spec: &Spec) -> Environment {
    Environment::builder().set_variables(Some(spec.variables.clone())).build()
}

fn network(spec: &Spec) -> Option<VpcConfig> {
    let (subnets, groups) = (spec.subnets.clone(), spec.security_groups.clone());
    let is_wanted = !subnets.is_empty() || !groups.is_empty();
    is_wanted.then(|| VpcConfig::builder().set_subnet_ids(Some(subnets)).set_security_group_ids(Some(groups)).build())
}

fn without_slash(url: &str) -> String {
    url.trim_end_matches('/').to_owned()
}
