//! Plugins as processes of this node.

mod isolation;
mod launcher;
mod measure;
mod own;
mod survey;
mod uv_cache;

pub(super) use isolation::COMPONENT;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;

use plugin_runtime::local::environment::{EnvironmentSettings, Environments, MirrorDetection, Proxies};
use plugin_runtime::local::isolation::Isolation;
use plugin_runtime::local::{
    EnvironmentPreparer, LocalRuntime, LocalSettings, PoolSettings, ProcessSettings, WorkerSettings, kill_orphans,
    stage, variables,
};
use tokio::time::Instant;

use super::{BootError, bytes, count};
use plugin_install::{Keeping, LocalPlatform};
use plugin_registry::packages::Packages;
use plugin_service::base::Base;
use plugin_service::config::Config;
use plugin_service::lifecycle::OnEnd;
use plugin_service::per_plugin::PerPlugin;

pub(super) fn start(
    base: &Arc<Base>,
    per_plugin: &PerPlugin,
    packages: Arc<Packages>,
) -> Result<Arc<LocalPlatform>, BootError> {
    let config = &base.config;
    let mut inherited: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    uv_cache::choose(config, &mut inherited);
    let isolation = isolation::of(base)?;
    let settings = local_settings(config, inherited.clone(), isolation)?;
    for (preset, names) in variables::dropped(&settings.process) {
        let names = names.join(", ");
        tracing::warn!(
            names,
            preset,
            "plugins do not get these variables; PLUGIN_PASS_VARIABLES passes them by name or preset"
        );
    }
    let environments = Arc::new(Environments::new(environment_settings(config, inherited, &settings.process)));
    let launcher = launcher::of(config, &settings.process, &environments, per_plugin.path().is_some())
        .map_err(|source| BootError::System { what: "failed to start the thread that starts plugins", source })?;
    let preparer = EnvironmentPreparer { environments: Arc::clone(&environments), packages };
    let drain = settings.worker.stop_grace;
    let preparer = Arc::new(preparer);
    let runtime = if per_plugin.path().is_some() {
        let own = own::OwnSettings::new(base, per_plugin, &settings)?;
        let runtime = Arc::new(LocalRuntime::with_own_settings(settings, preparer, launcher, Arc::new(own)));
        own::follow(base, per_plugin, &runtime);
        runtime
    } else {
        Arc::new(LocalRuntime::new(settings, preparer, launcher))
    };
    let lifecycle = &base.lifecycle;
    let stopped = Arc::clone(&runtime);
    lifecycle.on_stop("local plugins", move || async move { stopped.stop_all(Instant::now() + drain).await });
    let warm = Arc::clone(&environments);
    lifecycle.spawn("preparations for local plugins", OnEnd::Ignore, async move {
        // before anything in the working path is tidied up: they may still write there
        if let Err(error) = tokio::task::spawn_blocking(kill_orphans).await {
            tracing::error!(%error, "failed to look for what a daemon that died has left running");
        }
        warm.warm_up().await;
    });
    let (surveyed, based) = (Arc::clone(&environments), Arc::clone(base));
    lifecycle.supervise("survey of the working path", move || survey::watch(Arc::clone(&surveyed), Arc::clone(&based)));
    let keeping = Keeping { running: config.workers.start_all_at_boot, files: config.workers.unused_files_grace };
    let platform = Arc::new(LocalPlatform::new(runtime, environments, lifecycle.clone(), keeping));
    let (measured, metrics, stop) = (Arc::clone(&platform), base.metrics.clone(), lifecycle.soft().clone());
    lifecycle.supervise("metrics of local plugins", move || {
        measure::measure(Arc::clone(&measured), metrics.clone(), stop.clone())
    });
    Ok(platform)
}

fn environment_settings(
    config: &Config,
    inherited: BTreeMap<OsString, OsString>,
    process: &ProcessSettings,
) -> EnvironmentSettings {
    let python = &config.python;
    let words =
        |text: &Option<String>| text.iter().flat_map(|text| text.split_whitespace()).map(str::to_owned).collect();
    EnvironmentSettings {
        package_limits: plugin_package::Limits { uncompressed: config.plugins.max_package_bytes, ..Default::default() },
        python_interpreter: python.interpreter.clone(),
        python: python.version.clone(),
        uv: python.uv_path.clone(),
        mirror_url: python.mirror_url.clone(),
        mirror_fallback: python.mirror_fallback,
        mirror_detection: python
            .mirror_detect
            .then(|| MirrorDetection { candidates: python.mirror_candidates.clone(), timeout: python.mirror_timeout }),
        verbose: python.verbose,
        extra_args: words(&python.extra_args),
        ignore_lock: python.ignore_lock,
        idle_timeout: python.init_timeout,
        compile_extra_args: words(&python.compile_args),
        proxies: proxies(config),
        inherited,
        concurrent_builds: count(config.plugins.launching_concurrency),
        stage: process.stage.clone(),
        isolation: process.isolation.clone(),
        ..EnvironmentSettings::new(&config.plugins.working_path)
    }
}

fn local_settings(
    config: &Config,
    inherited: BTreeMap<OsString, OsString>,
    isolation: Isolation,
) -> Result<LocalSettings, BootError> {
    let workers = &config.workers;
    let stage = stage::command()
        .map_err(|source| BootError::System { what: "the daemon cannot locate its executable", source })?;
    let extra_variables = names(&workers.pass_variables);
    check_presets(&extra_variables)?;
    let mut process = ProcessSettings {
        inherited,
        extra_variables,
        withheld: plugin_service::config::secrets().collect(),
        isolation,
        max_open_files: limit(workers.max_open_files.into()),
        max_file_bytes: limit(workers.max_file_bytes),
        proxies: proxies(config),
        bootstrap: workers.cancel_calls.then(|| config.plugins.working_path.join(".bootstrap")),
        stage,
        ..ProcessSettings::default()
    };
    let files = variables::files(&process);
    process.isolation.read.extend(files);
    let launching_concurrent = count(config.plugins.launching_concurrency);
    let node_memory_bytes = limit(workers.node_memory_bytes).or_else(plugin_runtime::local::memory_for_plugins);
    if let Some(bytes) = node_memory_bytes {
        tracing::info!(
            bytes,
            variable = "PLUGIN_NODE_MEMORY_BYTES",
            "what the processes of all plugins may take together"
        );
    }
    Ok(LocalSettings {
        pool: pool(config),
        worker: worker(config),
        process,
        launching_concurrent,
        node_buffer_bytes: bytes(workers.node_buffer_bytes),
        node_memory_bytes,
        ..LocalSettings::default()
    })
}

/// How many workers a plugin has.
fn pool(config: &Config) -> PoolSettings {
    let workers = &config.workers;
    PoolSettings {
        min_workers: count(workers.min),
        max_workers: count(workers.max),
        target_in_flight: count(workers.target_calls),
        idle_timeout: workers.idle_timeout,
        drain_timeout: config.plugins.max_execution_timeout,
    }
}

/// The limits of a worker.
fn worker(config: &Config) -> WorkerSettings {
    let workers = &config.workers;
    WorkerSettings {
        start_timeout: config.python.init_timeout,
        silence_warning: workers.silence_limit / 2,
        silence_limit: workers.silence_limit,
        cancel_grace: workers.cancel_calls.then_some(workers.cancel_grace),
        stop_grace: workers.stop_grace,
        max_line_bytes: bytes(workers.max_line_bytes),
        log_lines_per_second: workers.log_lines_per_second,
        session_buffer_bytes: bytes(workers.session_buffer_bytes),
        memory_soft_limit: limit(workers.memory_soft_limit_bytes),
        memory_hard_limit: limit(workers.memory_limit_bytes),
        max_processes: Some(count(workers.max_processes)).filter(|count| *count > 0),
        max_scratch: limit(workers.max_scratch_bytes),
        ..WorkerSettings::default()
    }
}

/// Names without those that a trailing comma makes.
fn names(list: &[String]) -> Vec<String> {
    list.iter().filter(|name| !name.is_empty()).cloned().collect()
}

fn check_presets(names: &[String]) -> Result<(), BootError> {
    let known = || variables::PRESETS.iter().map(|(preset, _)| *preset);
    let unknown = names.iter().find(|name| name.starts_with('@') && !known().any(|preset| preset == *name));
    unknown.map_or(Ok(()), |name| {
        let known = known().collect::<Vec<_>>().join(", ");
        Err(BootError::Unsupported(format!("PLUGIN_PASS_VARIABLES: there is no preset '{name}', there are {known}")))
    })
}

fn proxies(config: &Config) -> Proxies {
    let proxy = &config.proxy;
    let given = |proxy: &Option<String>| proxy.clone().unwrap_or_default();
    Proxies { http: given(&proxy.http), https: given(&proxy.https), no_proxy: given(&proxy.none) }
}

/// Zero stands for no limit.
fn limit(number: u64) -> Option<u64> {
    Some(number).filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Config {
        let all = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::from_vars(all).unwrap()
    }

    #[test]
    fn an_unknown_preset_of_variables_does_not_start() {
        let settings = |names: &str| {
            local_settings(&config(&[("PLUGIN_PASS_VARIABLES", names)]), BTreeMap::new(), Isolation::default())
                .map(|settings| settings.process.extra_variables)
                .map_err(|error| error.to_string())
        };
        assert_eq!(settings("@aws,MY_VARIABLE,HF_*").unwrap(), ["@aws", "MY_VARIABLE", "HF_*"]);
        let known: Vec<_> = variables::PRESETS.iter().map(|(preset, _)| *preset).collect();
        assert_eq!(settings(&known.join(",")).unwrap(), known);
        for unknown in ["@amazon", "@", "@AWS"] {
            let text = format!("PLUGIN_PASS_VARIABLES: there is no preset '{unknown}', there are {}", known.join(", "));
            assert_eq!(settings(&format!("@aws,{unknown}")).unwrap_err(), text);
        }
    }

    #[test]
    fn one_variable_switches_the_search_for_mirrors_off() {
        let detection = |variables: &[(&str, &str)]| {
            let config = config(variables);
            environment_settings(&config, BTreeMap::new(), &ProcessSettings::default()).mirror_detection
        };
        assert!(detection(&[("PIP_MIRROR_AUTO_DETECT", "false")]).is_none());
        let asked = [("PIP_MIRROR_AUTO_DETECT", "true"), ("PIP_MIRROR_CANDIDATES", "http://a/,http://b/")];
        assert_eq!(detection(&asked).unwrap().candidates, ["http://a/", "http://b/"]);
    }
}
