//! From dependencies to an environment: a known one, or one that is built.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::build::Builder;
use super::bytecode::BytecodeStore;
use super::dependencies::Dependencies;
use super::error::{Cause, Context as _, EnvironmentError};
use super::installed::{distributions, environment_id, site_packages, versions};
use super::locks::{self, Holder};
use super::log::ToolLog;
use super::process::Limits;
use super::progress::Step;
use super::store::{self, EnvironmentStore, Interpreter, Marker};
use super::workbench::{Compile, Workbench};
use super::{Code, Environments, Request, blocking, patch};

/// How often a lock that another process holds is tried.
const LOCK_POLL: Duration = Duration::from_millis(100);

impl Environments {
    /// The environment that the dependencies lead to: a known one, or a new one. One build at a time for the same inputs,
    /// on all nodes that share the working path.
    pub(super) async fn environment(
        &self,
        request: Request<'_>,
        code: &Code,
        dependencies: &Dependencies,
    ) -> Result<String, EnvironmentError> {
        let inputs = self.tools.inputs(dependencies).await;
        // Versions of a lock are for ever; others are looked up again once in a while.
        let max_age = (!dependencies.is_locked()).then_some(self.tools.settings.resolution_max_age);
        if let Some(id) = self.resolved(&inputs, max_age).await? {
            return Ok(id);
        }
        request.progress.report(Step::Wait, "");
        let attempt = async {
            let _lock = self.lock(&inputs).await?;
            if let Some(id) = self.resolved(&inputs, max_age).await? {
                return Ok(id);
            }
            let id = match self.build(request, code, dependencies).await {
                Err(error) if matches!(error.cause, Cause::Network | Cause::IndexAuth | Cause::Timeout) => {
                    // Older versions are better than none.
                    let Some(known) = self.resolved(&inputs, None).await? else { return Err(error) };
                    tracing::warn!(plugin = %request.plugin, %error, "using the versions that were current before");
                    return Ok(known);
                }
                result => result?,
            };
            let (store, inputs, name) = (self.store.clone(), inputs.clone(), id.clone());
            blocking(move || store.remember(&inputs, &name)).await?;
            Ok(id)
        };
        self.flights.run(&inputs, attempt).await
    }

    async fn resolved(&self, inputs: &str, max_age: Option<Duration>) -> Result<Option<String>, EnvironmentError> {
        let (store, inputs) = (self.store.clone(), inputs.to_owned());
        blocking(move || Ok(store.resolved(&inputs, max_age))).await
    }

    /// Waits for the lock that keeps other processes from building the same.
    async fn lock(&self, inputs: &str) -> Result<File, EnvironmentError> {
        let fail = || "failed to lock an environment".to_owned();
        let (store, name) = (self.store.clone(), inputs.to_owned());
        let mut file = blocking(move || store.lock_file(&name).context(fail)).await?;
        loop {
            let (back, holder) = blocking(move || {
                let holder = locks::try_exclusive(&file).context(fail)?;
                Ok((file, holder))
            })
            .await?;
            file = back;
            if holder != Holder::Another {
                return Ok(file);
            }
            tokio::time::sleep(LOCK_POLL).await;
        }
    }

    /// Builds the environment, finishes it and gives it its name, unless there is an equal one.
    async fn build(
        &self,
        request: Request<'_>,
        code: &Code,
        dependencies: &Dependencies,
    ) -> Result<String, EnvironmentError> {
        // Closed never: the semaphore lives as long as this.
        let _slot = self.builds.acquire().await;
        let area = self.staging.clone();
        let staging = blocking(move || area.create().context(|| "failed to create a staging folder".into())).await?;
        let (uv, mirror) = (self.tools.uv().await?, self.tools.mirror().await);
        let mut bench = self.workbench(request, code, true).await;
        let made = Builder::new(&mut bench, &uv, mirror).build(dependencies, staging.path()).await?;
        let environment = made.clone();
        let (marker, packages) = blocking(move || describe(&environment)).await?;
        let (store, id) = (self.store.clone(), marker.environment.clone());
        let is_new = {
            let (store, id) = (store.clone(), id.clone());
            blocking(move || Ok(!EnvironmentStore::check(&store.directory(&id)))).await?
        };
        if is_new {
            self.finish(&mut bench, made, marker, packages).await?;
        }
        drop(staging);
        Ok(id)
    }

    /// Patches and compiles a freshly installed environment, and gives it its name.
    async fn finish(
        &self,
        bench: &mut Workbench<'_>,
        environment: PathBuf,
        marker: Marker,
        site_packages: PathBuf,
    ) -> Result<(), EnvironmentError> {
        let bytecode = BytecodeStore::new(self.store.root());
        let version = marker.interpreter.version.clone();
        {
            let (environment, site_packages) = (environment.clone(), site_packages.clone());
            let (bytecode, version) = (bytecode.clone(), version.clone());
            blocking(move || {
                patch::apply(&environment);
                bytecode.fill(&site_packages, &version);
                Ok(())
            })
            .await?;
        }
        let what = Compile::Packages { site_packages: &site_packages, environment: &environment };
        bench.compile(&environment.join("bin/python"), what).await?;
        let store = self.store.clone();
        blocking(move || {
            bytecode.keep(&site_packages, &version);
            store::write_marker(&environment, &marker)?;
            store::sync_tree(&environment).context(|| "failed to write the environment to disk".into())?;
            store.publish(&environment, &marker.environment)
        })
        .await
    }

    /// What tools need to work for the plugin. Its log starts anew, or goes on.
    pub(super) async fn workbench<'a>(&'a self, request: Request<'a>, code: &'a Code, new_log: bool) -> Workbench<'a> {
        Workbench {
            settings: &self.tools.settings,
            variables: &self.tools.variables,
            working_dir: &code.directory,
            limits: Limits {
                idle: self.tools.settings.idle_timeout,
                total: self.tools.settings.command_timeout,
                deadline: request.deadline,
            },
            cancel: request.cancel,
            progress: request.progress,
            log: ToolLog::open(&self.log_path(request.plugin), new_log).await,
        }
    }
}

/// The marker of a freshly installed environment, and the folder of its packages.
fn describe(environment: &Path) -> Result<(Marker, PathBuf), EnvironmentError> {
    let broken =
        |what: &str| EnvironmentError::new(Cause::Crashed, format!("uv has made an unusable environment: {what}"));
    let packages = site_packages(environment).ok_or_else(|| broken("it has no site-packages"))?;
    let python = environment.join("bin/python");
    let version = store::ask_version(&python).ok_or_else(|| broken("its python does not run"))?;
    let interpreter =
        Interpreter::of(&python, version).context(|| "failed to find the environment's interpreter".into())?;
    let distributions = distributions(&packages);
    let marker = Marker {
        timestamp: store::unix_now(),
        environment: environment_id(&distributions, &interpreter),
        interpreter,
        packages: versions(&distributions),
    };
    Ok((marker, packages))
}
