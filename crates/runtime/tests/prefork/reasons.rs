//! Where a fork would not be the same, a new interpreter is started, and the log says why.

use plugin_runtime::local::Launcher as _;
use plugin_runtime::local::environment::Silent;
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
