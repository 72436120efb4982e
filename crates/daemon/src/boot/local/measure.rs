//! Metrics of the plugins of this node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use plugin_manifest::{PluginId, UniqueIdentifier};
use plugin_runtime::local::{Observer, PluginStatus, State};
use tokio_util::sync::CancellationToken;

use plugin_install::LocalPlatform;
use plugin_service::telemetry::Metrics;
use plugin_service::telemetry::metrics::RuntimeKind;

/// How often the state of plugins is counted.
const EVERY: Duration = Duration::from_secs(10);

/// Keeps the metrics up to date, until `stop`.
pub(super) async fn measure(platform: Arc<LocalPlatform>, metrics: Metrics, stop: CancellationToken) {
    let mut shown = Shown::default();
    let runtime = platform.runtime();
    runtime.observe(Arc::new(Starts(metrics.clone())));
    let mut evictions = 0;
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        shown.show(&platform.status(), &metrics);
        metrics.zygotes(runtime.zygotes());
        let now = runtime.evictions();
        metrics.evicted(now - evictions);
        evictions = now;
    }
}

/// Counts the starts of workers.
#[derive(Debug)]
struct Starts(Metrics);

impl Observer for Starts {
    fn started(&self, kind: &'static str, took: Duration) {
        self.0.worker_started(kind, took);
    }

    fn prepared(&self, took: Duration) {
        self.0.worker_started("prepare", took);
    }
}

/// What was reported last.
#[derive(Debug, Default)]
struct Shown {
    plugins: BTreeSet<PluginId>,
    /// Workers that have ended by themselves, by version.
    crashes: BTreeMap<UniqueIdentifier, u64>,
}

impl Shown {
    fn show(&mut self, all: &[PluginStatus], metrics: &Metrics) {
        // several versions of a plugin are one there: it is as well as the one that is best
        let mut plugins: BTreeMap<PluginId, f64> = BTreeMap::new();
        let mut crashes = BTreeMap::new();
        for status in all {
            let plugin_id = status.plugin.plugin_id();
            let value = match status.state {
                State::Running => 1.0,
                State::Fetching | State::Preparing { .. } | State::Starting => 0.5,
                State::Absent | State::Ready | State::Failed(_) | State::Stopping => 0.0,
            };
            let before = self.crashes.get(&status.plugin).copied().unwrap_or_default();
            // one that was removed meanwhile begins anew
            let new = status.crashes.checked_sub(before).unwrap_or(status.crashes);
            metrics.plugin_ended(plugin_id.as_str(), RuntimeKind::Local, new);
            crashes.insert(status.plugin.clone(), status.crashes);
            let best = plugins.entry(plugin_id).or_default();
            *best = best.max(value);
        }
        for (plugin_id, value) in &plugins {
            metrics.runtime_status(plugin_id.as_str(), RuntimeKind::Local, *value);
        }
        for gone in self.plugins.iter().filter(|plugin_id| !plugins.contains_key(plugin_id)) {
            metrics.runtime_removed(gone.as_str(), RuntimeKind::Local);
        }
        let running = all.iter().filter(|status| status.state == State::Running).count();
        metrics.active_plugins(RuntimeKind::Local, running);
        *self = Self { plugins: plugins.into_keys().collect(), crashes };
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use plugin_service::telemetry::metrics::Format;

    fn status(version: &str, state: State, crashes: u64) -> PluginStatus {
        let plugin = format!("a/b:{version}@{}", "0".repeat(64)).parse().unwrap();
        PluginStatus { plugin, state, since: Timestamp::UNIX_EPOCH, last_failure: None, crashes, workers: Vec::new() }
    }

    /// The lines about plugins after this has been shown.
    fn check(shown: &mut Shown, metrics: &Metrics, all: &[PluginStatus], expected: &[&str]) {
        shown.show(all, metrics);
        let text = metrics.expose(Format::Plain).text;
        let names = ["plugin_runtime_status{", "plugin_restarts_total{", "active_plugins_total{"];
        let lines: Vec<_> = text.lines().filter(|line| names.iter().any(|name| line.starts_with(name))).collect();
        let expected: Vec<_> =
            expected.iter().map(|line| line.replace("AB", r#"plugin_id="a/b",runtime_type="local""#)).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn versions_are_one_plugin_and_ends_are_counted_once() {
        let (mut shown, metrics) = (Shown::default(), Metrics::new());
        let active = |count: u8| format!(r#"active_plugins_total{{runtime_type="local"}} {count}"#);
        let mut check = |all: &[PluginStatus], lines: &[&str], running: u8| {
            check(&mut shown, &metrics, all, &[lines, &[&active(running)]].concat());
        };
        let up = status("0.0.1", State::Running, 0);
        check(std::slice::from_ref(&up), &["plugin_runtime_status{AB} 1.0"], 1);
        let next = |crashes| [status("0.0.1", State::Stopping, 2), status("0.0.2", State::Running, crashes)];
        let counted = |count: u8| format!("plugin_restarts_total{{AB}} {count}");
        let all = next(1);
        check(&all, &["plugin_runtime_status{AB} 1.0", &counted(3)], 1);
        check(&all, &["plugin_runtime_status{AB} 1.0", &counted(3)], 1);
        // it was removed and installed again
        check(&[status("0.0.1", State::Starting, 1)], &["plugin_runtime_status{AB} 0.5", &counted(4)], 0);
        check(&[], &[&counted(4)], 0);
    }
}
