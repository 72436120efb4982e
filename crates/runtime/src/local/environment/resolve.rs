//! From dependencies to an environment: a known one, or one that is built.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tracing::Instrument as _;

use super::build::{Builder, Built};
use super::bytecode::BytecodeStore;
use super::dependencies::Dependencies;
use super::error::{Cause, Context as _, EnvironmentError};
use super::installed::{content, distributions, environment_id, site_packages, versions};
use super::locks::{self, Holder};
use super::log::ToolLog;
use super::process::Limits;
use super::progress::Step;
use super::store::{self, EnvironmentStore, Interpreter, Marker};
use super::survey::Unusable;
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
        let inputs = self.inputs(code, dependencies).await;
        // Versions of a lock are for ever; others are looked up again once in a while.
        let max_age = (!dependencies.is_locked()).then_some(self.tools.settings.resolution_max_age);
        let checking = tracing::trace_span!(target: "plugin_trace", "python.check_venv");
        if let Some(id) = self.resolved(&inputs, max_age).instrument(checking).await? {
            return Ok(id);
        }
        request.progress.report(Step::Wait, "");
        let attempt = async {
            let _lock = self.lock(&inputs.shared).await?;
            if let Some(id) = self.resolved(&inputs, max_age).await? {
                return Ok(id);
            }
            let (id, owner) = match self.build(request, code, dependencies, &inputs).await {
                Err(error) if matches!(error.cause, Cause::Network | Cause::IndexAuth | Cause::Timeout) => {
                    // Older versions are better than none.
                    let Some(known) = self.resolved(&inputs, None).await? else { return Err(error) };
                    tracing::warn!(plugin = %request.plugin, %error, "using the versions that were current before");
                    return Ok(known);
                }
                result => result?,
            };
            let key = if owner.is_some() { inputs.own.clone() } else { inputs.shared.clone() };
            let (store, name) = (self.store.clone(), id.clone());
            blocking(move || store.remember(&key, &name)).await?;
            Ok(id)
        };
        self.attempts.run(&inputs.shared, attempt).await
    }

    /// What decides which environment the dependencies lead to.
    async fn inputs(&self, code: &Code, dependencies: &Dependencies) -> Inputs {
        let digest = self.tools.inputs(dependencies).await;
        let mut own = hex::encode(Sha256::digest(format!("{digest}\n{}", code.state.checksum)));
        own.truncate(40);
        let is_foreign = self.tools.is_foreign(dependencies).await;
        let is_own = is_foreign || dependencies.is_local;
        Inputs { shared: if is_own { own.clone() } else { digest }, own, is_foreign, is_own }
    }

    async fn resolved(&self, inputs: &Inputs, max_age: Option<Duration>) -> Result<Option<String>, EnvironmentError> {
        let (store, inputs) = (self.store.clone(), inputs.clone());
        let known = move || store.resolved(&inputs.own, max_age).or_else(|| store.resolved(&inputs.shared, max_age));
        blocking(move || Ok(known())).await
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
        inputs: &Inputs,
    ) -> Result<(String, Option<String>), EnvironmentError> {
        // Closed never: the semaphore lives as long as this.
        let _slot = self.builds.acquire().await;
        let area = self.staging.clone();
        let staging = blocking(move || area.create().context(|| "failed to create a staging folder".into())).await?;
        let (uv, mirror) = (self.tools.uv().await?, self.tools.mirror().await);
        let mut bench = self.workbench(request, code, true).await;
        let unusable = match self.tools.cache() {
            Some(cache) => blocking(move || make_cache(&cache)).await?,
            None => None,
        };
        let mut builder = Builder::new(&mut bench, &uv, mirror);
        if let Some(why) = unusable {
            tracing::warn!(%why, "uv's cache cannot be used: the packages of this environment are fetched anew");
            builder.has_cache = false;
        }
        let Built { directory: made, by_packages } =
            Box::pin(builder.build(dependencies, inputs.is_foreign, staging.path())).await?;
        let owner = (inputs.is_own || by_packages).then(|| code.state.checksum.clone());
        let (environment, of) = (made.clone(), owner.clone());
        let (marker, packages) = blocking(move || describe(&environment, of)).await?;
        let (store, id) = (self.store.clone(), marker.environment.clone());
        let is_new = {
            let (store, id) = (store.clone(), id.clone());
            blocking(move || Ok(!EnvironmentStore::check(&store.directory(&id)))).await?
        };
        if is_new {
            self.finish(&mut bench, made, marker, packages).await?;
        }
        drop(staging);
        Ok((id, owner))
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
        let is_shared = marker.owner.is_none();
        bench.python = Some(environment.join("bin/python"));
        bench.own = vec![environment.clone()];
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
            // the compiler may have run what a package has made of the environment's interpreter
            if is_shared {
                bytecode.keep(&site_packages, &version);
            }
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
            python: Some(code.directory.join(".venv/bin/python")),
            own: vec![code.directory.clone()],
        }
    }
}

/// The keys under which it is remembered what dependencies led to.
#[derive(Clone, Debug)]
struct Inputs {
    /// Of all plugins with the same dependencies; the same as `own` if no other plugin can have the environment.
    shared: String,
    /// Of this plugin alone.
    own: String,
    /// Something comes from a host that the operator does not take packages from.
    is_foreign: bool,
    /// Something comes from there, or from the plugin's own files.
    is_own: bool,
}

/// Makes uv's cache, since a tool that is confined can be allowed only what is there. Returns what of it this process may
/// not use.
fn make_cache(cache: &Path) -> Result<Option<Unusable>, EnvironmentError> {
    let made = std::fs::create_dir_all(cache);
    if made.is_err()
        && let Some(unusable) = Unusable::find_above(cache)
    {
        return Ok(Some(unusable));
    }
    made.context(|| "failed to make uv's cache".into())?;
    Ok(Unusable::find_within(cache))
}

/// The marker of a freshly installed environment, and the folder of its packages.
fn describe(environment: &Path, owner: Option<String>) -> Result<(Marker, PathBuf), EnvironmentError> {
    let broken =
        |what: &str| EnvironmentError::new(Cause::Crashed, format!("uv has made an unusable environment: {what}"));
    let packages = site_packages(environment).ok_or_else(|| broken("it has no site-packages"))?;
    let python = environment.join("bin/python");
    let mut interpreter =
        Interpreter::of(&python, String::new()).context(|| "failed to find the environment's interpreter".into())?;
    if environment.canonicalize().is_ok_and(|environment| interpreter.path.starts_with(environment)) {
        return Err(broken("a package has replaced its python"));
    }
    interpreter.version = store::ask_version(&interpreter.path).ok_or_else(|| broken("its python does not run"))?;
    let content = content(environment).context(|| "failed to read the environment".into())?;
    let marker = Marker {
        timestamp: store::unix_now(),
        environment: environment_id(&content, &interpreter, owner.as_deref()),
        interpreter,
        owner,
        packages: versions(&distributions(&packages)),
    };
    Ok((marker, packages))
}
