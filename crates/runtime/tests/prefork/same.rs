//! A forked worker is what a spawned one is.

use std::sync::Arc;

use plugin_runtime::local::Launcher as _;
use plugin_runtime::local::isolation::{Isolation, Scratch};
use plugin_runtime::{Event, Failure};
use plugin_sandbox::{Level, Support};
use serde_json::{Value, json};

use crate::program::stage_of_a_worker;
use crate::support::{Host, Place, SDK, assert_same, plugin};

fn place() -> Place {
    let place = Place::new();
    place.make_environment('a', SDK);
    place.make_plugin("one", 'a', &[]);
    place
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_sees_no_difference() {
    let place = place();
    let (host, spawning) = (Host::new(&place), Host::spawning(&place, &["one"]));
    let forked = host.ask("one", json!({"do": "all"})).await;
    let spawned = spawning.ask("one", json!({"do": "all"})).await;
    assert!(host.log("one").contains("plugin process started by a fork"), "{}", host.log("one"));
    assert!(spawning.log("one").contains("by a new interpreter"), "{}", spawning.log("one"));
    let origin = |host: &Host| host.runtime.status(&plugin("one")).unwrap().workers[0].origin;
    assert_eq!([origin(&host), origin(&spawning)], ["fork", "spawn"]);
    assert_same(&forked, &spawned);
    let without = |value: &Value, other: &Value| {
        let names = |value: &Value| value["modules"].as_array().unwrap().clone();
        let others = names(other);
        names(value).into_iter().filter(|name| !others.contains(name)).collect::<Vec<_>>()
    };
    assert_eq!(without(&spawned, &forked), Vec::<Value>::new());
    // what the program that forks needs by itself
    let more: Vec<_> = without(&forked, &spawned);
    let own = ["_ctypes", "_socket", "array", "_struct", "struct"];
    assert!(
        more.iter().all(|name| name.as_str().is_some_and(|name| own.contains(&name) || name.starts_with("ctypes"))),
        "{more:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_forks_do_not_share_their_randomness() {
    let place = place();
    place.make_plugin("two", 'a', &[]);
    let host = Host::new(&place);
    let (one, two) = (host.ask("one", json!({"do": "all"})).await, host.ask("two", json!({"do": "all"})).await);
    assert_eq!(host.launcher.kept().len(), 1);
    for (one, two) in one["differs"].as_array().unwrap().iter().zip(two["differs"].as_array().unwrap()) {
        assert_ne!(one, two);
    }
}

/// Else each look at what workers share would make it their own.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_imported_is_not_counted_but_for_what_does_something_at_its_end() {
    const HELD: &str =
        "\n\nended = []\n\n\nclass Held:\n    def __del__(self):\n        ended.append(1)\n\n\nheld = Held()\n";
    let place = Place::new();
    place.make_environment('a', &[SDK, HELD].concat());
    place.make_plugin("one", 'a', &[]);
    let (host, spawning) = (Host::new(&place), Host::spawning(&place, &["one"]));
    let spawned = spawning.ask("one", json!({"do": "end"})).await;
    assert_eq!(spawned["counted"], true);
    let forked = host.ask("one", json!({"do": "end"})).await;
    assert!(host.log("one").contains("plugin process started by a fork"), "{}", host.log("one"));
    // an interpreter that counts everything has nothing else
    assert_eq!(forked["counted"], forked["counts"]);
    assert_eq!((&forked["ended"], &spawned["ended"]), (&json!([1]), &json!([1])));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_in_the_same_way_and_with_the_same_words() {
    let place = place();
    // a plugin each: one that ends again and again is left alone for a while
    let names = ["a", "b", "c", "d", "e", "f"];
    for name in &names {
        place.make_plugin(name, 'a', &[]);
    }
    let (host, spawning) = (Host::new(&place), Host::spawning(&place, &names));
    for (name, (what, expected)) in names.into_iter().zip([
        (json!({"do": "exit", "code": 3}), "exit code 3"),
        (json!({"do": "exit", "code": "text"}), "exit code 1"),
        (json!({"do": "exit", "code": null}), "exit code 0"),
        (json!({"do": "fail"}), "exit code 1"),
        (json!({"do": "interrupt"}), "signal 2 (SIGINT)"),
        (json!({"do": "die"}), "signal 9 (SIGKILL)"),
    ]) {
        let mut ends = Vec::new();
        for host in [&host, &spawning] {
            let events = host.call(name, what.clone()).await;
            let Some(Event::Failed(Failure::WorkerExited { exit, stderr, .. })) = events.last() else {
                panic!("{what}: {events:?}")
            };
            assert_eq!(exit, expected, "{what}");
            ends.push(stderr.clone());
        }
        assert_eq!(ends[0], ends[1], "{what}");
        assert!(ends[0].starts_with("said while it is imported\n") || ends[0] == "said while it is imported");
        assert!(host.log(name).contains("by a fork") && spawning.log(name).contains("by a new interpreter"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold() {
    let place = place();
    let with = |settings: &mut plugin_runtime::local::LocalSettings| {
        settings.process.stage = stage_of_a_worker();
        settings.process.max_open_files = Some(123);
    };
    let host = Host::with(&place, |settings, _| with(settings));
    let spawning = Host::with(&place, |settings, prefork| {
        with(settings);
        prefork.except = vec!["test/one".into()];
    });
    let forked = host.ask("one", json!({"do": "all"})).await;
    assert!(host.log("one").contains("by a fork"), "{}", host.log("one"));
    assert_same(&forked, &spawning.ask("one", json!({"do": "all"})).await);
    assert_eq!(forked["seen"]["limits"]["RLIMIT_NOFILE"], json!([123, 123]));
    assert_eq!(forked["seen"]["rights"]["NoNewPrivs"], "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn confinement_holds() {
    let support = Support::probe();
    if support.level < Level::Confined {
        eprintln!("not tested: {:?}", support.gaps);
        return;
    }
    let place = place();
    let secret = place.path().join("secret");
    std::fs::write(&secret, "").unwrap();
    let host = |except: &str| {
        Host::with(&place, |settings, prefork| {
            settings.process.stage = stage_of_a_worker();
            settings.process.isolation = Isolation {
                level: Level::Confined,
                landlock: support.landlock,
                private: vec![place.path()],
                scratch: Some(Arc::new(Scratch::open(&place.path()).unwrap())),
                ..Isolation::default()
            };
            prefork.except = vec![except.into()];
        })
    };
    let (host, spawning) = (host(""), host("test/one"));
    let forked = host.ask("one", json!({"do": "all"})).await;
    assert!(host.log("one").contains("by a fork"), "{}", host.log("one"));
    assert_same(&forked, &spawning.ask("one", json!({"do": "all"})).await);
    let rights = &forked["seen"]["rights"];
    assert_eq!([&rights["Seccomp"], &rights["NoNewPrivs"]], ["2", "1"]);
    assert_eq!(rights["CapEff"], "0000000000000000");
    let own = place.path().join("one/own");
    for (path, mode, expected) in [
        (&secret, "r", "PermissionError"),
        (&secret, "w", "PermissionError"),
        (&place.sdk('a'), "r", "opened"),
        (&place.sdk('a'), "a", "PermissionError"),
        (&own, "w", "opened"),
    ] {
        for host in [&host, &spawning] {
            let answer = host.ask("one", json!({"do": "open", "path": path, "mode": mode})).await;
            assert_eq!(answer, expected, "{} {mode}", path.display());
        }
    }
}
