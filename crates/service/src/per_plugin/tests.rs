use std::path::Path;

use super::*;
use crate::base::Base;
use crate::config::kind::{Kind, Platform};
use crate::telemetry::testing::Logged;

fn config(path: &Path) -> Config {
    Config::from_vars([("PLUGIN_SETTINGS_FILE".to_owned(), path.display().to_string())].into()).unwrap()
}

fn open(path: &Path) -> Result<PerPlugin, Faults> {
    PerPlugin::open(&config(path), &BTreeMap::new(), vec!["@aws"])
}

fn plugin() -> UniqueIdentifier {
    format!("acme/search:0.3.1@{}", "0".repeat(32)).parse().unwrap()
}

/// The refusal without the path of the test.
fn refusal(path: &Path) -> String {
    open(path).unwrap_err().to_string().replace(&path.display().to_string(), "FILE")
}

#[test]
fn a_file_that_cannot_be_read_is_refused_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing.toml");
    let large = dir.path().join("large.toml");
    std::fs::write(&large, vec![b'#'; usize::try_from(MAX_BYTES).unwrap() + 1]).unwrap();
    let binary = dir.path().join("binary.toml");
    std::fs::write(&binary, b"# \xff\n").unwrap();
    let refusals = [&missing, dir.path(), &large, &binary].map(refusal).join("\n");
    insta::assert_snapshot!(refusals);
    std::fs::write(&large, vec![b'#'; usize::try_from(MAX_BYTES).unwrap()]).unwrap();
    assert!(open(&large).unwrap().current().is_empty());
}

/// Waits until `/ready` says this of the file.
async fn until(base: &Base, expected: &str) -> String {
    loop {
        let report = base.readiness.report();
        let said = report.components.get(watch::COMPONENT).cloned().unwrap_or_default();
        assert!(report.ready, "{report:?}");
        if said.contains(expected) {
            return said;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_change_comes_into_force_and_a_fault_leaves_what_was_read_before() {
    let logged = Logged::on_this_thread();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plugins.toml");
    std::fs::write(&path, "[plugins.\"acme/search\"]\nworkers_max = 2\n").unwrap();
    let base = Base::new(config(&path));
    let per_plugin = open(&path).unwrap();
    let max = || per_plugin.of(&plugin()).workers_max.map(|given| given.value);
    let mut changes = per_plugin.subscribe();
    per_plugin.follow(&base).unwrap();
    assert!(until(&base, "ok: 1 tables of ").await.ends_with("plugins.toml"));

    std::fs::write(&path, "[plugins.\"acme/search\"]\nworkers_max = 3\n").unwrap();
    changes.changed().await.unwrap();
    assert_eq!(max(), Some(3));
    assert!(per_plugin.of_call(&plugin()).is_none(), "nothing that concerns calls");

    std::fs::write(&path, "[plugins.\"acme/search\"]\nworkers_max = 4\nworkers = 0\nprefork = 1\n").unwrap();
    let said = until(&base, "failing: ").await;
    assert!(said.contains("plugins.toml as it is now is not in force: line 3, "), "{said}");
    assert!(said.ends_with(" (and 1 more, see the log)"), "{said}");
    assert_eq!(max(), Some(3));
    let text = logged.text();
    assert_eq!(text.matches("ERROR").count(), 2, "{text}");
    assert!(text.contains("line 3, ") && text.contains("line 4, "), "{text}");

    std::fs::remove_file(&path).unwrap();
    until(&base, "No such file").await;
    assert_eq!(max(), Some(3));

    // as the files of a ConfigMap are exchanged
    std::fs::write(dir.path().join("other.toml"), "[plugins.\"acme/*\"]\nworkers_max = 5\n").unwrap();
    std::os::unix::fs::symlink("other.toml", dir.path().join("link")).unwrap();
    std::fs::rename(dir.path().join("link"), &path).unwrap();
    changes.changed().await.unwrap();
    assert_eq!(max(), Some(5));
    until(&base, "ok: 1 tables of ").await;
    base.lifecycle.soft().cancel();
}

#[tokio::test]
async fn what_has_no_effect_on_functions_is_said() {
    let logged = Logged::on_this_thread();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plugins.toml");
    std::fs::write(&path, "[plugins.a]\nworkers_max = 2\ncall_timeout_seconds = 5\nvariables = {A = \"1\"}\n").unwrap();
    for (platform, expected) in [("local", false), ("serverless", true)] {
        let mut config = config(&path);
        config.plugins.platform = <Platform as Kind>::parse(platform).unwrap();
        let base = Base::new(config);
        open(&path).unwrap().follow(&base).unwrap();
        let text = logged.text();
        assert_eq!(text.contains("have no effect"), expected, "{text}");
        assert_eq!(text.contains("variables, workers_max"), expected, "{text}");
        base.lifecycle.soft().cancel();
    }
}
