//! What becomes of workers and zygotes when one of them, or the daemon, is killed.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use plugin_runtime::local::Launcher as _;
use plugin_testkit::process::{eventually, kill, runs};
use serde_json::json;

use crate::program::{stage_of_a_worker, this_program};
use crate::support::{Host, Place, SDK};

/// Set in the process that plays the daemon: where its plugins are.
const ROLE: &str = "PREFORK_TEST_PARENT";

fn place() -> Place {
    let place = Place::new();
    place.make_environment('a', SDK);
    place.make_plugin("one", 'a', &[]);
    place.make_plugin("two", 'a', &[]);
    place
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_outlive_their_zygote_and_the_next_one_has_another() {
    let place = place();
    let host = Host::new(&place);
    host.ask("one", json!({"do": "version"})).await;
    let (zygote, worker) = (host.zygote(), host.pid("one").unwrap());
    kill(zygote, Signal::SIGKILL);
    eventually("it is gone", || !runs(zygote)).await;
    host.ask("one", json!({"do": "version"})).await;
    assert_eq!(host.pid("one"), Some(worker));
    host.ask("two", json!({"do": "version"})).await;
    assert!(host.log("two").contains("by a fork"), "{}", host.log("two"));
    assert_ne!(host.zygote(), zygote);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_is_forked_again() {
    let place = place();
    let host = Host::new(&place);
    host.ask("two", json!({"do": "version"})).await;
    for _ in 0..3 {
        host.ask("one", json!({"do": "version"})).await;
        let (worker, zygote) = (host.pid("one").unwrap(), host.zygote());
        kill(worker, Signal::SIGKILL);
        eventually("it is seen", || host.pid("one") != Some(worker)).await;
        host.ask("one", json!({"do": "version"})).await;
        assert_ne!(host.pid("one"), Some(worker));
        assert_eq!(host.zygote(), zygote);
    }
    assert_eq!(host.log("one").matches("by a fork").count(), 4, "{}", host.log("one"));
}

#[tokio::test(flavor = "multi_thread")]
async fn both_at_once() {
    let place = place();
    let host = Host::new(&place);
    host.ask("one", json!({"do": "version"})).await;
    let (worker, zygote) = (host.pid("one").unwrap(), host.zygote());
    kill(zygote, Signal::SIGKILL);
    kill(worker, Signal::SIGKILL);
    eventually("they are gone", || !runs(zygote) && host.pid("one") != Some(worker)).await;
    host.ask("one", json!({"do": "version"})).await;
    assert_ne!(host.pid("one"), Some(worker));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_plugin_takes_along_what_it_has_left_behind() {
    let place = place();
    let host = Host::new(&place);
    host.ask("one", json!({"do": "leave"})).await;
    let worker = host.pid("one").unwrap();
    let marked = |pid: u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment)
            .split('\0')
            .find(|v| v.starts_with("DIFY_PLUGIN_WORKER="))
            .map(str::to_owned)
    };
    let mark = marked(worker).unwrap();
    let all = || {
        let names = std::fs::read_dir("/proc").unwrap().flatten();
        names
            .filter_map(|name| name.file_name().to_str()?.parse().ok())
            .filter(|pid| marked(*pid).as_ref() == Some(&mark))
            .collect::<Vec<u32>>()
    };
    assert_eq!(all().len(), 2, "{mark}");
    host.stop("one").await;
    eventually("nothing is left", || all().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_start_at_once() {
    let place = place();
    let names: Vec<String> = (0..12).map(|number| format!("many{number}")).collect();
    for name in &names {
        place.make_plugin(name, 'a', &[]);
    }
    let host = Host::with(&place, |settings, _| settings.launching_concurrent = 12);
    futures_util::future::join_all(names.iter().map(|name| host.ask(name, json!({"do": "version"})))).await;
    assert!(names.iter().all(|name| host.log(name).contains("by a fork")));
    host.zygote();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_daemon_makes_a_zygote_before_somebody_calls() {
    let place = place();
    let host = Host::new(&place);
    host.ask("one", json!({"do": "version"})).await;
    let zygote = host.zygote();
    drop(host);
    let host = Host::new(&place);
    let until = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while host.launcher.kept().is_empty() && std::time::Instant::now() < until {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_ne!(host.zygote(), zygote);
    host.ask("two", json!({"do": "version"})).await;
    assert!(host.log("two").contains("by a fork"), "{}", host.log("two"));
}

/// It would take the memory again for which it was ended.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_ended_for_its_memory_is_not_made_at_the_next_start() {
    let place = place();
    let host = Host::new(&place);
    host.ask("one", json!({"do": "version"})).await;
    let remembered = || std::fs::read_to_string(place.path().join(".bootstrap/warm-sdks.json")).unwrap_or_default();
    let environment = place.environment('a').display().to_string();
    eventually("it is remembered", || remembered().contains(&environment)).await;
    assert!(host.launcher.release() && !host.launcher.release());
    eventually("it is forgotten", || !remembered().contains(&environment)).await;
    assert!(host.launcher.kept().is_empty());
}

/// Not a test: a daemon with a forked worker, which says who they are and waits to be killed.
#[tokio::test(flavor = "multi_thread")]
async fn daemon_with_a_worker() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let place = place();
    let host = Host::with(&place, |settings, _| settings.process.stage = stage_of_a_worker());
    host.ask("one", json!({"do": "version"})).await;
    assert!(host.log("one").contains("by a fork"), "{}", host.log("one"));
    println!("\npids {}", json!([host.pid("one").unwrap(), host.zygote()]));
    std::io::stdout().flush().unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outlives_a_daemon_that_is_killed() {
    let program = this_program("death::daemon_with_a_worker");
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
    assert!(pids.iter().all(|pid| runs(*pid)));
    kill(daemon.id(), Signal::SIGKILL);
    daemon.wait().unwrap();
    eventually("both are gone", || pids.iter().all(|pid| !runs(*pid))).await;
}
