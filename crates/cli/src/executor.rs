//! Runs asynchronous work of a command until it is done or the program is asked to end.

use tokio::signal::unix::{SignalKind, signal};

/// Runs `work` on a runtime of its own.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    plugin_runtime::local::check_threads()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(work);
    // a read of standard input cannot be interrupted, and must not be waited for
    runtime.shutdown_background();
    outcome
}

/// Resolves at SIGINT, SIGTERM or SIGHUP; never where signals cannot be watched, so that they end the process as usual.
pub(crate) async fn ended() {
    let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = signals else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}
