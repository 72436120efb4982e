//! Where a fork would not be the same, a new interpreter is started, and the log says why.

use std::sync::Arc;

use plugin_runtime::local::environment::Silent;
use plugin_runtime::local::{Launcher as _, LocalSettings, PluginSettings};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::{Host, PLUGIN, Place, SDK, write};

async fn reason(sdk: &str, files: &[(&str, &str)]) -> String {
    let place = Place::new();
    place.make_environment('a', sdk);
    place.make_plugin("one", 'a', files);
    let host = Host::new(&place);
    host.ask("one", json!({"do": "version"})).await;
    let log = host.log("one");
    log.split_once("not by a fork: ").unwrap_or_else(|| panic!("{log}")).1.lines().next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_plugins() {
    let late = format!("import socket\n{PLUGIN}");
    for (files, expected) in [
        (&[(".env", "")][..], "it has a file .env"),
        (&[("bisect.py", "from _bisect import *\nbisect = bisect_right")], "it has a module bisect of its own"),
        (&[("main.py", &late)], "its main module does something else before it imports the SDK: import socket"),
    ] {
        let reason = reason(SDK, files).await;
        assert!(reason.starts_with(expected), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_environments() {
    for (code, expected) in [
        (
            "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,), daemon=True).start()",
            "the import of dify_plugin starts threads",
        ),
        ("import socket\nkept = socket.socket()", "the import of dify_plugin leaves socket:"),
        ("import subprocess\nkept = subprocess.Popen(['sleep', '1000'])", "the import of dify_plugin starts processes"),
        ("print('x' * 40000, file=sys.stderr)", "the import of dify_plugin writes much"),
    ] {
        let reason = reason(&format!("{SDK}\n{code}\n"), &[]).await;
        assert!(reason.starts_with(expected), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_imports_that_end_the_process() {
    let place = Place::new();
    place.make_environment('a', "import os, sys\nif '--zygote' in sys.orig_argv:\n    os._exit(3)\n");
    place.make_plugin("one", 'a', &[]);
    let host = Host::new(&place);
    let plugin = crate::support::plugin("one");
    let started = host.runtime.ensure(&plugin, std::sync::Arc::new(Silent), &CancellationToken::new()).await;
    assert!(started.is_err(), "{started:?}");
    let log = host.log("one");
    assert!(log.contains("not by a fork: it has ended while it imported the SDK"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_changed_on_disk_is_imported_anew() {
    let place = Place::new();
    place.make_environment('a', &format!("{SDK}\nversion = 1\n"));
    place.make_plugin("one", 'a', &[]);
    let host = Host::new(&place);
    assert_eq!(host.ask("one", json!({"do": "version"})).await, 1);
    let before = host.zygote();
    host.stop("one").await;
    write(&place.sdk('a'), &format!("{SDK}\nversion = 2  # by hand\n"));
    assert_eq!(host.ask("one", json!({"do": "version"})).await, 2);
    assert_ne!(host.zygote(), before);
    assert!(host.log("one").contains("by a fork"));

    // also what could be imported instead
    let between = host.zygote();
    host.stop("one").await;
    write(&place.sdk('a').parent().unwrap().with_file_name("simplejson.py"), "");
    assert_eq!(host.ask("one", json!({"do": "version"})).await, 2);
    assert_ne!(host.zygote(), between);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_environment_has_its_own() {
    let place = Place::new();
    place.make_environment('a', &format!("{SDK}\nversion = 'a'\n"));
    place.make_environment('b', &format!("{SDK}\nversion = 'b'\n"));
    place.make_plugin("one", 'a', &[]);
    place.make_plugin("two", 'b', &[]);
    let host = Host::new(&place);
    assert_eq!(host.ask("one", json!({"do": "version"})).await, "a");
    assert_eq!(host.ask("two", json!({"do": "version"})).await, "b");
    assert_eq!(host.launcher.kept().len(), 2);
    host.stop("one").await;
    place.make_plugin("one", 'b', &[]);
    assert_eq!(host.ask("one", json!({"do": "version"})).await, "b");
}

/// `on` may be forked, `off` may not, `own` has a variable of its own; nothing is said of `other`.
fn own(settings: &LocalSettings, name: &str) -> PluginSettings {
    let mut own = settings.of_plugin();
    let launch = Arc::make_mut(&mut own.launch);
    launch.prefork = match name {
        "on" | "own" => Some(true),
        "off" => Some(false),
        _ => None,
    };
    if name == "own" {
        launch.process.fixed = [("FIXED".to_owned(), "1".to_owned())].into();
    }
    own
}

#[tokio::test(flavor = "multi_thread")]
async fn of_settings_of_single_plugins() {
    let place = Place::new();
    place.make_environment('a', SDK);
    for name in ["on", "off", "own", "other"] {
        place.make_plugin(name, 'a', &[]);
    }
    let started = async |host: &Host, name: &str| {
        host.ask(name, json!({"do": "version"})).await;
        let log = host.log(name);
        log.lines().find_map(|line| line.split_once("plugin process started")).unwrap().1.to_owned()
    };
    let reason = |text: &str| format!(" by a new interpreter, not by a fork: {text}");

    // where the others are forked
    let host = Host::with_own(&place, |_, prefork| prefork.except = vec!["test/on".into(), "test/other".into()], own);
    assert_eq!(started(&host, "on").await, " by a fork", "it wins over the list");
    assert_eq!(started(&host, "off").await, reason("its own settings say prefork = \"off\""));
    assert_eq!(started(&host, "own").await, reason("it has variables of its own"));
    assert_eq!(started(&host, "other").await, reason("it is named in PLUGIN_PREFORK_EXCEPT"));

    // where they are not
    let host = Host::with_own(&place, |_, prefork| prefork.by_default = false, own);
    assert_eq!(started(&host, "other").await, "");
    assert!(host.launcher.kept().is_empty(), "nothing is kept for plugins that are not forked");
    assert_eq!(started(&host, "off").await, "");
    assert_eq!(started(&host, "on").await, " by a fork");
}
