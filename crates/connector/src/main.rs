//! The connector's program: reads flags and the environment, then wires the parts together.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Parser as _;
use plugin_connector::backend::Backend;
use plugin_connector::backend::process::{ProcessBackend, ProcessOptions};
use plugin_connector::options::{BackendKind, Options, SECRETS};
use plugin_connector::server::{self, ServiceOptions};
use plugin_package::Limits;
use plugin_runtime::local::environment::EnvironmentSettings;
use plugin_runtime::local::isolation::Isolation;
use plugin_runtime::local::{ProcessSettings, kill_orphans, stage};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How long calls may go on after the first signal.
const DRAIN: Duration = Duration::from_secs(8);

fn main() -> ExitCode {
    if let Some(status) = stage::enter(std::env::args_os().skip(1)) {
        return status;
    }
    match serve(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            fail(&error);
            ExitCode::FAILURE
        }
    }
}

fn fail(error: &anyhow::Error) {
    // without a standard error there is nowhere to report to
    let _ignored = writeln!(io::stderr(), "{error:#}");
}

fn serve(options: Options) -> anyhow::Result<()> {
    plugin_sandbox::check_threads()?;
    plugin_sandbox::protect()?;
    let problems = options.problems();
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    let filter: Targets = options.log.parse().context("CONNECTOR_LOG")?;
    let lines = tracing_subscriber::fmt::layer().with_target(false).with_writer(io::stderr);
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(options))
}

async fn run(options: Options) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let cut = watch_signals(&stop)?;
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("CONNECTOR_LISTEN: cannot listen on {}", options.listen))?;
    let backend = backend(&options, &stop).await?;
    let routes = server::routes(ServiceOptions {
        key: options.api_key.clone(),
        backend: Arc::clone(&backend),
        max_package_bytes: options.max_package_bytes,
        stop: stop.clone(),
    });
    tracing::info!(address = %listener.local_addr()?, backend = ?options.backend, "the connector is listening");
    let drained = {
        let stop = stop.clone();
        axum::serve(listener, routes).with_graceful_shutdown(async move { stop.cancelled().await })
    };
    let limit = async {
        stop.cancelled().await;
        tokio::select! {
            () = cut.cancelled() => {}
            () = tokio::time::sleep(DRAIN) => {}
        }
    };
    tokio::select! {
        served = async { drained.await } => served.context("the HTTP server failed")?,
        () = limit => tracing::warn!("calls are still running, cutting them"),
    }
    backend.stop().await;
    tracing::info!("stopped");
    Ok(())
}

async fn backend(options: &Options, stop: &CancellationToken) -> anyhow::Result<Arc<dyn Backend>> {
    match options.backend {
        BackendKind::Process => {
            let settings = process_options(options)?;
            let open = move || {
                match kill_orphans() {
                    0 => {}
                    count => tracing::warn!(count, "killed processes that an earlier connector left behind"),
                }
                ProcessBackend::open(settings)
            };
            let backend = tokio::task::spawn_blocking(open).await?.context("CONNECTOR_DATA_PATH")?;
            tokio::spawn(backend.clone().run(stop.clone()));
            Ok(Arc::new(backend))
        }
        #[cfg(feature = "lambda")]
        BackendKind::Lambda => {
            let inherited = std::env::vars_os().collect();
            let environments = environments(options, inherited);
            Ok(Arc::new(plugin_connector::backend::lambda::LambdaBackend::open(options, environments).await?))
        }
    }
}

fn process_options(options: &Options) -> anyhow::Result<ProcessOptions> {
    let inherited: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    let mut isolation = Isolation::of_system(options.process.isolation, &options.data_path, vec![".env".into()])?;
    isolation.write.push("/tmp".into());
    tracing::info!(level = isolation.summary(), "isolation of plugins");
    let process = ProcessSettings {
        isolation,
        inherited: inherited.clone(),
        extra_variables: options.process.pass_variables.clone(),
        withheld: SECRETS.to_vec(),
        stage: stage::command().context("the connector cannot locate its own executable")?,
        ..ProcessSettings::default()
    };
    Ok(ProcessOptions {
        data_path: options.data_path.clone(),
        public_url: options.public_url(),
        daemon_url: options.daemon_url.clone(),
        key: options.api_key.clone(),
        environments: EnvironmentSettings {
            stage: process.stage.clone(),
            isolation: process.isolation.clone(),
            ..environments(options, inherited)
        },
        process,
        idle: Duration::from_secs(options.process.idle_seconds),
        start_timeout: Duration::from_secs(options.process.start_timeout_seconds),
        stop_grace: Duration::from_secs(options.process.stop_grace_seconds),
        max_processes: options.process.max_processes,
    })
}

fn environments(options: &Options, inherited: BTreeMap<OsString, OsString>) -> EnvironmentSettings {
    let python = &options.python;
    EnvironmentSettings {
        package_limits: Limits { uncompressed: options.max_package_bytes, ..Limits::default() },
        python_interpreter: python.interpreter.clone(),
        uv: python.uv.clone(),
        mirror_url: python.pip_mirror_url.as_ref().map(|url| url.expose().to_owned()).filter(|url| !url.is_empty()),
        verbose: false,
        inherited,
        concurrent_builds: python.concurrent_builds,
        ..EnvironmentSettings::new(&options.data_path)
    }
}

/// The first SIGTERM or SIGINT cancels `stop`, the second the result.
fn watch_signals(stop: &CancellationToken) -> io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (stop, cut) = (stop.clone(), CancellationToken::new());
    let hard = cut.clone();
    tokio::spawn(async move {
        for token in [stop, hard] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("received a signal to stop");
            token.cancel();
        }
    });
    Ok(cut)
}
