//! What becomes of plugins when the daemon is killed.
//!
//! The daemon is this test program, started again to run one "test" that only does something then.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use plugin_runtime::local::kill_orphans;
use plugin_testkit::process::{eventually, kill, runs};
use serde_json::json;

use crate::program::{stage_of_a_worker, this_program};
use crate::support::{Host, chunks};

/// Set in the process that plays the daemon.
const ROLE: &str = "RUNTIME_TEST_PARENT";

fn staged_host(change: impl FnOnce(&mut plugin_runtime::local::LocalSettings)) -> Host {
    Host::with("main", |settings| {
        settings.process.stage = stage_of_a_worker();
        change(settings);
    })
}

/// Not a test: a daemon with a worker that has children, which says who they are and waits to be killed.
#[tokio::test(flavor = "multi_thread")]
async fn daemon_with_a_worker() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let host = staged_host(|_| {});
    let events = host.call(json!({"do": "fork"})).await;
    let mut pids = chunks(&events);
    pids.push(host.pid().into());
    println!("pids {}", json!(pids));
    std::io::stdout().flush().unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_plugin_outlives_a_daemon_that_is_killed() {
    crate::support::worker_binary();
    let program = this_program("parent::daemon_with_a_worker");
    let mut daemon = Command::new(&program[0])
        .args(&program[1..4])
        .env(ROLE, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(daemon.stdout.take().unwrap()).lines();
    let pids = lines.map(Result::unwrap).find_map(|line| Some(line.split_once("pids ")?.1.to_owned())).unwrap();
    let pids: Vec<u32> = serde_json::from_str(&pids).unwrap();
    assert!(pids.len() == 3 && pids.iter().all(|pid| runs(*pid)));

    kill(daemon.id(), nix::sys::signal::Signal::SIGKILL);
    daemon.wait().unwrap();
    let worker = pids[2];
    tokio::time::timeout(Duration::from_mins(2), eventually("the worker is gone", || !runs(worker))).await.unwrap();

    // its children are found by the next daemon
    kill_orphans();
    eventually("its children are gone", || pids.iter().all(|pid| !runs(*pid))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stage_sets_limits() {
    let host = staged_host(|settings| settings.process.max_open_files = Some(123));
    let events = host.call(json!({"do": "limits"})).await;
    let limits = chunks(&events)[0].as_str().unwrap().to_owned();
    let line = |name: &str| limits.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert_eq!(line("Max open files").split_whitespace().nth(3), Some("123"), "{limits}");
    assert_eq!(line("Max core file size").split_whitespace().nth(4), Some("0"), "{limits}");
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_without_its_daemon_does_not_become_a_worker() {
    let program = stage_of_a_worker();
    let output = Command::new(&program[0]).args(&program[1..]).args(["--parent", "1", "true"]).output().unwrap();
    assert_eq!(output.status.code(), Some(127));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the daemon is gone"));
}
