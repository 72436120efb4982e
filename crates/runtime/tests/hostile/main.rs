//! What a plugin that means harm gets away with: nothing that docs/security.md says is closed.
//!
//! Everything is real: a daemon in a process of its own, as root and, when the tests run as root, as nobody; Python; the
//! kernel. What the kernel of the machine does not have is left out, and said.

#[cfg(test)]
#[path = "../shared/program.rs"]
mod program;
#[cfg(test)]
mod real;
#[cfg(test)]
mod support;

use std::path::PathBuf;
use std::time::Duration;

use plugin_sandbox::{Level, Support};
use plugin_testkit::process::runs;
use serde_json::json;

use self::support::{Daemon, FOLDER, attack, each_user, eventually, snapshot, users, working_dir};

/// Not a test: the process that plays the daemon.
#[tokio::test(flavor = "multi_thread")]
async fn daemon() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        support::serve(&PathBuf::from(folder)).await;
    }
}

#[test]
fn plugins_do_what_they_always_did() {
    each_user(|mut daemon| {
        assert_eq!(daemon.call("attacker", "works", json!({})), json!([]));
        daemon.stop();
    });
}

#[test]
fn other_processes_are_closed() {
    each_user(|mut daemon| {
        assert_eq!(attack(&mut daemon, "other_processes", json!({})), json!([]));
        daemon.stop();
    });
}

#[test]
fn other_processes_get_no_signal() {
    each_user(|mut daemon| {
        assert_eq!(attack(&mut daemon, "signals", json!({})), json!([]));
        daemon.stop();
    });
}

#[test]
fn keys_storage_and_others_files_are_closed() {
    each_user(|mut daemon| {
        let victim = daemon.call("victim", "who", json!({}))[0].clone();
        let folder = daemon.folder.path().to_owned();
        let before = snapshot(&folder.join("keys"));
        let scratch: Vec<_> = snapshot(&folder.join("cwd/.scratch")).into_keys().collect();
        let mut secret: Vec<PathBuf> = [
            "",
            "keys",
            "keys/server_key",
            "storage",
            "storage/other_tenant",
            "cwd",
            "cwd/.uv-cache",
            "cwd/.uv-cache/wheel",
            "cwd/.environments/other/site.pth",
            "cwd/.scratch",
        ]
        .map(|path| folder.join(path))
        .into();
        secret.extend(scratch);
        secret.push(working_dir(&folder, "victim"));
        secret.push(working_dir(&folder, "victim").join("plugin.py"));
        secret.push(format!("/proc/{victim}/root{}/keys/server_key", folder.display()).into());
        secret.push(format!("/proc/self/root{}/keys/server_key", folder.display()).into());
        let shared = ["/usr/bin/python3", "/usr/lib", "/usr"].map(PathBuf::from);
        let more = json!({"secret": secret, "shared": shared});
        assert_eq!(attack(&mut daemon, "files", more), json!([]));
        assert_eq!(snapshot(&folder.join("keys")), before);
        daemon.stop();
    });
}

#[test]
fn the_kernel_is_closed() {
    each_user(|mut daemon| {
        assert_eq!(attack(&mut daemon, "kernel", json!({})), json!([]));
        daemon.stop();
    });
}

#[test]
fn nothing_survives_an_uninstall() {
    each_user(|mut daemon| {
        let escaped = u32::try_from(daemon.call("attacker", "escape", json!({}))[0].as_u64().unwrap()).unwrap();
        let neighbour = u32::try_from(daemon.call("victim", "escape", json!({}))[0].as_u64().unwrap()).unwrap();
        assert!(runs(escaped) && runs(neighbour));
        daemon.remove("attacker");
        eventually("the escaped process is gone", Duration::from_mins(2), || !runs(escaped));
        assert!(runs(neighbour), "another plugin's processes are left alone");
        daemon.stop();
        eventually("so is the other one", Duration::from_mins(2), || !runs(neighbour));
    });
}

#[test]
fn nothing_survives_a_daemon_that_is_killed_and_started() {
    for user in users() {
        if Support::probe().level < Level::Confined {
            return;
        }
        let mut daemon = Daemon::start(user, Level::Confined);
        let escaped = u32::try_from(daemon.call("attacker", "escape", json!({}))[0].as_u64().unwrap()).unwrap();
        let folder = daemon.kill();
        assert!(runs(escaped), "it has escaped");
        let mut next = Daemon::start_in(folder, user, Level::Confined, &[]);
        next.call("victim", "who", json!({}));
        eventually("the escaped process is gone", Duration::from_mins(2), || !runs(escaped));
        next.stop();
    }
}

#[test]
fn descriptors_and_files_have_a_limit() {
    each_user(|mut daemon| {
        let count = daemon.call("attacker", "descriptors", json!({"stop": 5000}))[0].as_u64().unwrap();
        assert!((400..512).contains(&count), "{count}");
        assert_eq!(daemon.call("attacker", "fill", json!({"stop": 200})), json!([64]));
        daemon.stop();
    });
}

#[test]
fn a_tree_that_takes_too_much_is_killed_and_the_others_go_on() {
    each_user(|mut daemon| {
        daemon.call("victim", "who", json!({}));
        for (attack, more, cause) in [
            ("grow", json!({"bytes": 800 << 20, "wait": 60}), "bytes of memory"),
            ("multiply", json!({"count": 1000, "wait": 60}), "processes, the limit is 100"),
            ("hoard", json!({"files": 80, "bytes": 1 << 20, "wait": 60}), "PLUGIN_WORKER_MAX_SCRATCH_BYTES"),
        ] {
            let answer = daemon.call("attacker", attack, more);
            let told = answer["failed"].as_str().unwrap_or_default();
            assert!(told.contains(cause), "{attack}: {answer}");
            assert!(daemon.call("victim", "who", json!({})).is_array(), "the victim still answers");
        }
        assert_eq!(daemon.call("attacker", "hoarded", json!({})), json!([]), "it starts again, with an empty home");
        daemon.stop();
    });
}

#[test]
fn without_isolation_everything_is_as_it_was() {
    let mut daemon = Daemon::start(None, Level::None);
    assert_eq!(daemon.call("attacker", "works", json!({})), json!([]));
    daemon.stop();
    let mut daemon = Daemon::start(None, Level::Limited);
    assert_eq!(daemon.call("attacker", "works", json!({})), json!([]));
    daemon.stop();
}
