//! Plugins come up when they are wanted, stay while they are used, and go.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use plugin_runtime::local::environment::{Cause, Silent, Step};
use plugin_runtime::local::{StartError, State};
use plugin_runtime::{Event, Failure, OpenError};
use plugin_testkit::process::{eventually, runs};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::{Host, all, plugin, within};

/// Well below the times after which what is tested would happen anyway.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_call_brings_the_plugin_up_and_waits_for_it() {
    let host = Host::new("slow:300");
    *host.preparer.takes.lock().unwrap() = Duration::from_millis(200);
    let calls = (0..20).map(|_| host.echo());
    futures_util::future::join_all(calls).await;
    let status = host.status();
    assert_eq!((status.state, status.workers.len()), (State::Running, 1));
    assert!(status.workers[0].start_time > Duration::ZERO && status.workers[0].rss > Some(0));
    assert_eq!(host.preparer.attempts.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_waits_no_longer_than_it_may() {
    let host = Host::new("main");
    *host.preparer.takes.lock().unwrap() = Duration::from_secs(30);
    let error = host.open_within(json!({"do": "echo"}), Duration::from_millis(200)).await.unwrap_err();
    let OpenError::StillStarting { state, .. } = &error else { panic!("{error:?}") };
    assert_eq!(state, &format!("{}: something", Step::Install.as_str()));
    assert!(matches!(host.status().state, State::Preparing { .. }), "and it goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_that_fails_is_tried_ever_more_seldom() {
    let host = Host::new("main");
    *host.preparer.fails.lock().unwrap() = Some(Cause::Network);
    for _ in 0..5 {
        let error = within(SOON, host.open(json!({"do": "echo"}))).await.unwrap_err();
        let OpenError::NotReady { cause, next_try: Some(next_try) } = error else { panic!("{error:?}") };
        assert_eq!(cause, "no luck: network");
        assert!(next_try.as_secs() <= 10, "{next_try:?}");
    }
    assert_eq!(host.preparer.attempts.load(Ordering::Relaxed), 1);
    let State::Failed(failed) = host.status().state else { panic!("{:?}", host.status()) };
    assert_eq!((failed.cause, failed.attempts), ("network", 1));

    *host.preparer.fails.lock().unwrap() = None;
    host.ensure().await.expect("an install tries at once");
    host.echo().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_install_reports_its_progress_and_can_be_cancelled() {
    let host = Host::new("main");
    *host.preparer.takes.lock().unwrap() = Duration::from_secs(30);
    let (seen, cancel) = (Arc::new(Mutex::new(Vec::new())), CancellationToken::new());
    let progress = {
        let (seen, cancel) = (seen.clone(), cancel.clone());
        move |step: Step, detail: &str| {
            seen.lock().unwrap().push(format!("{} {detail}", step.as_str()));
            cancel.cancel();
        }
    };
    let ensured = host.runtime.ensure(&host.plugin, Arc::new(progress), &cancel);
    let result = within(SOON, ensured).await;
    assert!(matches!(result, Err(StartError::Cancelled)), "{result:?}");
    assert_eq!(*seen.lock().unwrap(), [format!("{} something", Step::Install.as_str())]);
    eventually("the attempt ends", || host.status().state == State::Absent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_one_install_leaves_the_other_one_alone() {
    let host = Host::new("main");
    *host.preparer.takes.lock().unwrap() = Duration::from_millis(300);
    let cancel = CancellationToken::new();
    let first = host.runtime.ensure(&host.plugin, Arc::new(Silent), &cancel);
    let second = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        cancel.cancel();
        host.ensure().await
    };
    let (first, second) = tokio::join!(first, second);
    assert!(matches!(first, Err(StartError::Cancelled)));
    second.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_workers_stop_and_those_with_a_session_do_not() {
    let host = Host::with("main", |settings| settings.pool.idle_timeout = Duration::from_millis(300));
    let session = host.open(json!({"do": "hang"})).await.unwrap();
    let pid = host.pid();
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert!(runs(pid) && host.status().state == State::Running);
    drop(session);
    eventually("it stops", || !runs(pid)).await;
    eventually("it is ready", || host.status().state == State::Ready).await;
    assert_eq!(host.status().crashes, 0);
    host.echo().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn load_brings_up_more_workers_and_calm_lets_them_go() {
    let host = Host::with("main", |settings| {
        settings.pool.max_workers = 3;
        settings.pool.target_in_flight = 2;
        settings.pool.idle_timeout = Duration::from_millis(500);
    });
    let mut open = Vec::new();
    for (sessions, workers) in [(1, 1), (3, 2), (6, 3)] {
        while open.len() < sessions {
            open.push(host.open(json!({"do": "hang"})).await.unwrap());
        }
        eventually("as many workers as the load needs", || host.status().workers.len() == workers).await;
    }
    let busiest = host.status().workers.iter().map(|worker| worker.in_flight).max();
    assert_eq!(busiest, Some(3), "new sessions go to the least busy: {:?}", host.status().workers);
    drop(open);
    eventually("no workers", || host.status().workers.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minimum_of_workers_is_kept_up() {
    let host = Host::with("main", |settings| {
        settings.pool.min_workers = 1;
        settings.pool.idle_timeout = Duration::from_millis(100);
    });
    host.runtime.prewarm(&host.plugin).await;
    eventually("it runs", || host.status().state == State::Running).await;
    let pid = host.pid();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(runs(pid));
    plugin_testkit::process::kill(pid, nix::sys::signal::Signal::SIGKILL);
    eventually("it is replaced", || host.status().workers.first().is_some_and(|worker| worker.pid != pid)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_can_come_up_before_its_first_call() {
    let host = Host::new("main");
    host.runtime.prewarm(&host.plugin).await;
    eventually("it runs", || host.status().state == State::Running).await;
    let pid = host.pid();
    host.runtime.prewarm(&host.plugin).await;
    host.echo().await;
    assert_eq!((host.pid(), host.status().workers.len()), (pid, 1), "it is there already");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_loses_no_call() {
    let host = Host::new("main");
    let session = host.open(json!({"do": "stream", "count": 10, "size": 1, "every_us": 100_000})).await.unwrap();
    let pid = host.pid();
    host.runtime.restart(&host.plugin).await.unwrap();
    host.echo().await;
    assert_ne!(host.pid(), pid);
    assert!(host.status().workers.iter().any(|worker| worker.pid == pid && worker.draining));
    assert_eq!(all(session).await.len(), 11);
    eventually("the old one is gone", || !runs(pid)).await;
    eventually("and forgotten", || host.status().workers.len() == 1).await;
    assert_eq!(host.status().crashes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_that_fails_keeps_the_old_worker() {
    let host = Host::new("main");
    host.echo().await;
    let pid = host.pid();
    host.will_start("exit:1");
    host.runtime.restart(&host.plugin).await.unwrap_err();
    host.echo().await;
    assert_eq!(host.pid(), pid);
    assert!(host.status().last_failure.unwrap().contains("exit code 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn removal_takes_the_plugin_out_of_routing_before_it_drains() {
    let host = Host::new("main");
    let session = host.open(json!({"do": "stream", "count": 10, "size": 1, "every_us": 50_000})).await.unwrap();
    let pid = host.pid();
    let removal = host.runtime.remove(&host.plugin, true);
    let meanwhile = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        host.ensure().await.unwrap();
        host.echo().await;
        assert_ne!(host.pid(), pid, "an install of the same version meanwhile starts afresh");
        all(session).await
    };
    let ((), events) = tokio::join!(removal, meanwhile);
    assert_eq!(events.last(), Some(&Event::End));
    assert!(!runs(pid));
    host.echo().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forced_removal_does_not_wait() {
    let host = Host::new("main");
    let session = host.open(json!({"do": "hang"})).await.unwrap();
    let pid = host.pid();
    within(SOON, host.runtime.remove(&host.plugin, false)).await;
    assert!(!runs(pid));
    assert_eq!(all(session).await, [Event::Failed(Failure::Stopped("it was removed".into()))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_daemon_drains_all_plugins_at_once() {
    let mut host = Host::new("main");
    let mut sessions = Vec::new();
    for i in 0..4 {
        host.plugin = plugin(&format!("p{i}"));
        let what = json!({"do": "stream", "count": 5, "size": 1, "every_us": 100_000});
        sessions.push(host.open(what).await.unwrap());
    }
    let stuck = host.open(json!({"do": "hang"})).await.unwrap();
    let runtime = host.runtime.clone();
    let stop =
        tokio::spawn(async move { runtime.stop_all(tokio::time::Instant::now() + Duration::from_secs(1)).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(matches!(host.open(json!({"do": "echo"})).await, Err(OpenError::Stopping)));
    for session in sessions {
        assert_eq!(all(session).await.last(), Some(&Event::End));
    }
    assert_eq!(all(stuck).await, [Event::Failed(Failure::Stopped("the daemon stops".into()))]);
    stop.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_hangs_does_not_keep_others_from_starting() {
    let mut host = Host::with("silent", |settings| {
        settings.launching_concurrent = 1;
        settings.launching_patience = Duration::from_millis(500);
    });
    let (hangs, cancel) = (host.plugin.clone(), CancellationToken::new());
    let runtime = host.runtime.clone();
    let stop = cancel.clone();
    let start = tokio::spawn(async move { runtime.ensure(&hangs, Arc::new(Silent), &stop).await });
    eventually("it starts", || host.runtime.status(&host.plugin).is_some_and(|it| it.state == State::Starting)).await;
    host.will_start("main");
    host.plugin = plugin("other");
    host.echo().await;
    cancel.cancel();
    assert!(matches!(start.await.unwrap(), Err(StartError::Cancelled)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_dies_again_and_again_is_left_alone_until_somebody_calls() {
    let host = Host::new("main");
    for crash in 1..=3 {
        let events = host.call(json!({"do": "die", "code": 1})).await;
        assert!(matches!(events[1], Event::Failed(Failure::WorkerExited { .. })));
        eventually("it is counted", || host.status().crashes == crash).await;
    }
    eventually("it is given up for now", || matches!(host.status().state, State::Failed(_))).await;
    let State::Failed(failed) = host.status().state else { panic!("{:?}", host.status()) };
    assert_eq!((failed.cause, failed.attempts), ("crashed", 3));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(host.status().workers.is_empty());
    host.echo().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interpreter_that_is_gone_is_named() {
    let host = Host::new("main");
    let missing = std::path::PathBuf::from("/nowhere/python");
    *host.preparer.python.lock().unwrap() = missing;
    let error = host.ensure().await.unwrap_err();
    assert_eq!(error.cause(), "spawn");
    assert!(error.to_string().contains("/nowhere/python: No such file or directory"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_of_a_frozen_plugin_cost_other_plugins_nothing() {
    let mut host = Host::new("main");
    let frozen = host.open(json!({"do": "freeze"})).await.unwrap();
    let mut waiting = vec![frozen];
    for _ in 0..1000 {
        waiting.push(within(SOON, host.open(json!({"do": "hang"}))).await.unwrap());
    }
    host.plugin = plugin("other");
    host.echo().await;
    for _ in 0..50 {
        host.echo().await;
    }
    assert!(waiting.iter_mut().all(|session| session.try_recv().is_none()), "the frozen one is still waited for");
}
