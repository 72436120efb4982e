//! Settings of single plugins: what a process is started with, and how a change takes hold.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use plugin_manifest::UniqueIdentifier;
use plugin_runtime::local::isolation::Isolation;
use plugin_runtime::local::{LocalSettings, PluginSettings, SettingsOfPlugins, State};
use plugin_runtime::{Event, OpenError};
use plugin_sandbox::{Level, Support};
use plugin_testkit::process::{eventually, runs};
use serde_json::json;

use crate::program::stage_of_a_worker;
use crate::support::{Host, all, chunks, within};

/// Settings by the names of plugins.
#[derive(Clone)]
struct Own(Arc<Mutex<BTreeMap<String, PluginSettings>>>, LocalSettings);

impl SettingsOfPlugins for Own {
    fn of(&self, plugin: &UniqueIdentifier) -> PluginSettings {
        self.0.lock().unwrap().get(plugin.name()).cloned().unwrap_or_else(|| self.1.of_plugin())
    }
}

impl Own {
    /// Changes what holds for a plugin, starting from what holds for all.
    fn set(&self, name: &str, change: impl FnOnce(&mut PluginSettings)) {
        let mut settings = self.1.of_plugin();
        change(&mut settings);
        self.0.lock().unwrap().insert(name.to_owned(), settings);
    }
}

/// Two plugins on one node, and what holds for each.
fn two(change: impl FnOnce(&mut LocalSettings)) -> (Host, Host, Own) {
    let mut own = None;
    let host = Host::with_own("main", change, |settings| {
        let made = Own(Arc::default(), settings.clone());
        own = Some(made.clone());
        Arc::new(made)
    });
    let (one, other) = (host.beside("one"), host.beside("other"));
    (one, other, own.unwrap())
}

async fn said(host: &Host, what: &str) -> String {
    chunks(&host.call(json!({"do": what})).await)[0].to_string()
}

/// The process and its limit, once a worker is up.
fn limit(limits: &str, name: &str) -> String {
    let rest = limits.split(name).nth(1).unwrap_or_else(|| panic!("{name} in {limits}"));
    rest.split_whitespace().next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_starts_with_limits_and_variables_of_its_own() {
    let (one, other, own) = two(|settings| {
        settings.process.stage = stage_of_a_worker();
        settings.process.max_open_files = Some(200);
        settings.process.inherited.insert("OF_THE_DAEMON".into(), "1".into());
        settings.process.inherited.insert("A_SECRET".into(), "s3cr3t".into());
        settings.process.withheld = vec!["A_SECRET"];
    });
    own.set("one", |settings| {
        let launch = Arc::make_mut(&mut settings.launch);
        launch.process.max_open_files = Some(100);
        launch.process.max_file_bytes = Some(4096);
        launch.process.extra_variables = vec!["OF_THE_DAEMON".into(), "A_*".into()];
        launch.process.fixed = [("FIXED".to_owned(), "1".to_owned())].into();
    });
    let (limits, variables) = (said(&one, "limits").await, said(&one, "variables").await);
    assert_eq!((limit(&limits, "Max open files"), limit(&limits, "Max file size")), ("100".into(), "4096".into()));
    assert!(variables.contains("\"OF_THE_DAEMON\"") && variables.contains("\"FIXED\""), "{variables}");
    assert!(!variables.contains("A_SECRET"), "{variables}");
    let (limits, variables) = (said(&other, "limits").await, said(&other, "variables").await);
    assert_eq!((limit(&limits, "Max open files"), limit(&limits, "Max file size")), ("200".into(), "unlimited".into()));
    assert!(!variables.contains("OF_THE_DAEMON") && !variables.contains("FIXED"), "{variables}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_starts_at_an_isolation_of_its_own() {
    let support = Support::probe();
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().to_owned();
    let (one, other, own) = two(|settings| {
        settings.process.stage = stage_of_a_worker();
        let mode = plugin_sandbox::Mode::Auto;
        settings.process.isolation = Isolation::of(&support, mode, &work, Vec::new()).unwrap();
        // the program that stands in for an interpreter, and this one
        settings.process.isolation.read =
            vec![crate::support::worker_binary(), std::env::current_exe().unwrap().parent().unwrap().into()];
    });
    own.set("one", |settings| {
        let launch = Arc::make_mut(&mut settings.launch);
        launch.process.isolation = launch.process.isolation.at_level(Level::None, &support, None);
    });
    let confined = |host: &Host| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
        status.contains("Seccomp:\t2")
    };
    one.echo().await;
    other.echo().await;
    assert!(!confined(&one));
    assert_eq!(confined(&other), support.level == Level::Confined);

    // and back, for new processes
    own.set("one", |_| {});
    one.runtime.renew();
    let old = one.pid();
    eventually("another is up", || one.status().workers.iter().any(|worker| !worker.draining && worker.pid != old))
        .await;
    eventually("the old one is gone", || one.status().workers.len() == 1).await;
    assert_eq!(confined(&one), confined(&other));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_replaces_the_workers_it_concerns_after_their_calls() {
    let (one, other, own) = two(|_| {});
    other.echo().await;
    let what = json!({"do": "stream", "count": 10, "size": 1, "every_us": 100_000});
    let open = one.open(what).await.unwrap();
    let (old, of_other) = (one.pid(), other.pid());
    assert_eq!(one.runtime.renew(), [], "nothing has changed");

    own.set("one", |settings| Arc::make_mut(&mut settings.launch).worker.memory_hard_limit = Some(1 << 40));
    assert_eq!(one.runtime.renew(), [(one.plugin.clone(), 1)]);
    eventually("another takes the calls", || one.status().workers.iter().any(|it| it.pid != old && !it.draining)).await;
    one.echo().await;
    assert!(one.status().workers.iter().any(|worker| worker.pid == old && worker.draining), "{:?}", one.status());
    assert_eq!(all(open).await.len(), 11, "the call in the old one comes to its end");
    eventually("the old one is gone", || !runs(old) && one.status().workers.len() == 1).await;
    assert_eq!((one.status().crashes, other.pid()), (0, of_other));
    assert_eq!(one.runtime.renew(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_workers_change_without_another_process() {
    let (one, other, own) = two(|_| {});
    one.echo().await;
    let old = one.pid();
    own.set("one", |settings| (settings.pool.min_workers, settings.pool.max_workers) = (2, 2));
    assert_eq!(one.runtime.renew(), [(one.plugin.clone(), 0)]);
    eventually("a second one is up", || one.status().workers.len() == 2).await;
    assert!(one.status().workers.iter().any(|worker| worker.pid == old && !worker.draining));
    other.echo().await;
    assert_eq!(other.status().workers.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_with_old_settings_ends_although_the_plugin_does_not_start_with_the_new_ones() {
    let (one, _, own) = two(|_| {});
    one.echo().await;
    let old = one.pid();
    let why = "isolation level L1 is required, this system allows L0: Landlock: absent";
    own.set("one", |settings| Arc::make_mut(&mut settings.launch).refused = Some(why.to_owned()));
    assert_eq!(one.runtime.renew(), [(one.plugin.clone(), 1)]);
    eventually("the old one is gone", || !runs(old)).await;
    let State::Failed(failed) = one.status().state else { panic!("{:?}", one.status()) };
    assert_eq!((failed.cause, failed.message), ("refused", format!("the plugin is not started: {why}")));
    let refused = within(Duration::from_secs(20), one.open(json!({"do": "echo"}))).await.unwrap_err();
    assert!(matches!(&refused, OpenError::NotReady { cause, .. } if cause.contains(why)), "{refused:?}");

    own.set("one", |_| {});
    one.runtime.renew();
    one.ensure().await.unwrap();
    assert_eq!(one.call(json!({"do": "echo", "value": 1})).await, [Event::Chunk("1".into()), Event::End]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_began_before_a_change_is_replaced_in_its_turn() {
    let (one, _, own) = two(|settings| settings.process.inherited = std::env::vars_os().collect());
    one.will_start("slow:500");
    let calling = one.echo();
    let changing = async {
        eventually("it starts", || one.runtime.status(&one.plugin).is_some_and(|it| it.state == State::Starting)).await;
        own.set("one", |settings| {
            Arc::make_mut(&mut settings.launch).process.fixed = [("FIXED".to_owned(), "1".to_owned())].into();
        });
        one.runtime.renew();
    };
    tokio::join!(calling, changing);
    eventually("only a new one is left", || {
        let workers = one.status().workers;
        workers.len() == 1 && !workers[0].draining && has_variable(workers[0].pid)
    })
    .await;
}

fn has_variable(pid: u32) -> bool {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == b"FIXED=1")
}
