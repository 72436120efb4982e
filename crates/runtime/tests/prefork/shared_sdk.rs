//! Plugins of several environments are forked from one interpreter, which runs from an environment of the SDK alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use plugin_runtime::Event;
use plugin_runtime::local::Launcher as _;
use plugin_runtime::local::isolation::{Isolation, Scratch};
use plugin_sandbox::{Level, Support};
use plugin_testkit::process::eventually;
use serde_json::json;

use crate::program::stage_of_a_worker;
use crate::support::{Host, Place, SDK, assert_same, within, write};

/// Environment `s` holds the SDK alone; `a` and `b` have a package more each.
fn place() -> Place {
    let mut place = Place::new();
    let sdk = format!("{SDK}\ntry:\n    import brotli\nexcept ImportError:\n    brotli = None\n");
    for digit in ['a', 'b', 'c'] {
        place.make_environment(digit, &sdk);
        write(&beside_sdk(&place, digit, "dify_plugin/late.py"), "");
    }
    for (digit, name) in [('a', "one"), ('b', "two")] {
        place.set_sdk(digit, 'c');
        write(&beside_sdk(&place, digit, "extra.py"), "");
        place.make_plugin(name, digit, &[]);
    }
    place
}

fn beside_sdk(place: &Place, digit: char, path: &str) -> PathBuf {
    place.sdk(digit).parent().and_then(Path::parent).unwrap().join(path)
}

#[tokio::test(flavor = "multi_thread")]
async fn they_share_it_and_see_no_difference() {
    let place = place();
    let (host, spawning) = (Host::new(&place), Host::spawning(&place, &["one"]));
    let forked = host.ask("one", json!({"do": "all"})).await;
    assert!(host.log("one").contains("plugin process started by a fork"), "{}", host.log("one"));
    assert_same(&forked, &spawning.ask("one", json!({"do": "all"})).await);
    host.ask("two", json!({"do": "version"})).await;
    assert!(host.log("two").contains("plugin process started by a fork"), "{}", host.log("two"));
    assert_eq!(host.launcher.kept().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn modules_come_from_the_plugins_own_environment_also_where_plugins_are_confined() {
    let support = Support::probe();
    if support.level < Level::Confined {
        eprintln!("not tested: {:?}", support.gaps);
        return;
    }
    let place = place();
    let host = Host::with(&place, |settings, _| {
        settings.process.stage = stage_of_a_worker();
        settings.process.isolation = Isolation {
            level: Level::Confined,
            landlock: support.landlock,
            private: vec![place.path()],
            scratch: Some(Arc::new(Scratch::open(&place.path()).unwrap())),
            ..Isolation::default()
        };
    });
    for (name, digit) in [("one", 'a'), ("two", 'b')] {
        let extra = host.ask(name, json!({"do": "import", "name": "extra"})).await;
        assert_eq!(extra, json!(beside_sdk(&place, digit, "extra.py")));
        assert!(host.log(name).contains("plugin process started by a fork"), "{}", host.log(name));
        // of what is imported in part, the rest comes from the same place
        let late = host.ask(name, json!({"do": "import", "name": "dify_plugin.late"})).await;
        assert_eq!(late, json!(beside_sdk(&place, 'c', "dify_plugin/late.py")));
        let other = beside_sdk(&place, if digit == 'a' { 'b' } else { 'a' }, "extra.py");
        let answer = host.ask(name, json!({"do": "open", "path": other, "mode": "r"})).await;
        assert_eq!(answer, "PermissionError");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_package_does_to_the_sdk_is_not_run_before_plugins_are_confined() {
    for (path, text, expected) in [
        (
            "dify_plugin/__init__.py",
            format!("{SDK}\nif '--zygote' in sys.orig_argv:\n    open('MARKER', 'w')\n"),
            "__init__.py",
        ),
        ("evil.pth", "import sys; '--zygote' in sys.orig_argv and open('MARKER', 'w')\n".to_owned(), "evil.pth"),
        (
            "sitecustomize.py",
            "import sys\n'--zygote' in sys.orig_argv and open('MARKER', 'w')\n".to_owned(),
            "sitecustomize.py",
        ),
        ("brotli.py", "import sys\n'--zygote' in sys.orig_argv and open('MARKER', 'w')\n".to_owned(), "brotli.py"),
        ("evil-1.dist-info/entry_points.txt", "[json]\nevil = evil:run\n".to_owned(), "extends json"),
    ] {
        let place = place();
        let marker = place.path().join("marker");
        let text = text.replace("MARKER", &marker.display().to_string());
        write(&beside_sdk(&place, 'a', path), &text);
        let host = Host::new(&place);
        host.ask("one", json!({"do": "version"})).await;
        let log = host.log("one");
        assert!(
            log.contains("by a new interpreter, not by a fork: its environment has ") && log.contains(expected),
            "{log}"
        );
        assert_eq!(host.launcher.kept().len(), 1, "the others go on");
        assert!(!marker.exists(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_for_another_one_is_taken_if_it_is_the_same() {
    let mut place = place();
    for digit in ['a', 'b'] {
        place.set_sdk(digit, digit);
    }
    let host = Host::new(&place);
    host.ask("one", json!({"do": "version"})).await;
    assert!(
        host.log("one").contains("not by a fork: the environment that it would be forked from"),
        "{}",
        host.log("one")
    );
    eventually("it is kept for the next ones", || !host.launcher.kept().is_empty()).await;
    host.ask("two", json!({"do": "version"})).await;
    assert!(host.log("two").contains("plugin process started by a fork"), "{}", host.log("two"));
    host.stop("one").await;
    host.ask("one", json!({"do": "version"})).await;
    assert!(host.log("one").contains("plugin process started by a fork"), "{}", host.log("one"));
    assert_eq!(host.launcher.kept().len(), 1);
}

/// The first plugin of an SDK is started before there is something that it could be forked from.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_spawned_for_lack_of_it_is_replaced_by_a_fork_once_it_rests() {
    for seconds in [0, 3] {
        let mut place = place();
        place.set_sdk('a', 'a');
        let host = Host::new(&place);
        let mut call = host.open("one", json!({"do": "sleep", "seconds": seconds})).await;
        let spawned = host.pid("one");
        // a call that is at work meanwhile is not disturbed
        let answer = within(call.recv()).await;
        assert!(matches!(answer, Some(Event::Chunk(_))), "{answer:?}\n{}", host.log("one"));
        assert_eq!(within(call.recv()).await, Some(Event::End));
        eventually("a fork takes its place, without a call", || {
            host.log("one").contains("plugin process started by a fork") && host.pid("one").is_some()
        })
        .await;
        let log = host.log("one");
        assert!(log.contains("plugin process is replaced by a fork, which costs less"), "{log}");
        host.ask("one", json!({"do": "version"})).await;
        assert_ne!(host.pid("one"), spawned);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_plugins_environment_is_seen() {
    let place = place();
    let host = Host::new(&place);
    host.ask("one", json!({"do": "version"})).await;
    assert!(host.log("one").contains("by a fork"));
    host.stop("one").await;
    write(&beside_sdk(&place, 'a', "brotli.py"), "");
    host.ask("one", json!({"do": "version"})).await;
    assert!(host.log("one").contains("another brotli.py"), "{}", host.log("one"));
}
