//! Processes that end, hang or fall silent.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use plugin_runtime::local::{StartError, State};
use plugin_runtime::{Event, Failure, OpenError};
use plugin_testkit::process::{eventually, kill, runs, state};
use serde_json::json;

use crate::support::{Host, all, chunks, within};

#[tokio::test(flavor = "multi_thread")]
async fn the_death_of_a_process_ends_all_of_its_sessions_at_once() {
    let host = Host::new("main");
    let mut sessions = Vec::new();
    for _ in 0..100 {
        sessions.push(host.open(json!({"do": "hang"})).await.unwrap());
    }
    let pid = host.pid();
    kill(pid, Signal::SIGKILL);
    for session in sessions {
        let events = all(session).await;
        let [Event::Failed(Failure::WorkerExited { exit, .. })] = &events[..] else { panic!("{events:?}") };
        assert_eq!(exit, "signal 9 (SIGKILL)");
    }
    host.echo().await;
    eventually("it is counted", || host.status().crashes == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_wrote_before_its_end_arrives_and_its_error_says_how_it_ended() {
    for (how, expected) in [
        (json!({"do": "die", "code": 3}), "exit code 3"),
        (json!({"do": "die", "code": 0}), "exit code 0"),
        (json!({"do": "die", "signal": 8}), "signal 8 (SIGFPE)"),
        (json!({"do": "die", "signal": 6}), "signal 6 (SIGABRT)"),
    ] {
        let host = Host::new("main");
        let events = host.call(how).await;
        let [Event::Chunk(last), Event::Failed(failure)] = &events[..] else { panic!("{events:?}") };
        assert_eq!(last, "\"last words\"");
        let Failure::WorkerExited { exit, out_of_memory, stderr } = failure else { panic!("{failure:?}") };
        assert_eq!((exit.as_str(), *out_of_memory, stderr.as_str()), (expected, false, "about to die"));
        assert!(host.log().contains(&format!("Lifecycle plugin process ended unexpectedly: {expected}")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_at_import_is_a_typed_failure() {
    let host = Host::new("exit:1");
    let error = host.open(json!({"do": "echo"})).await.unwrap_err();
    let OpenError::NotReady { cause, next_try: Some(_) } = error else { panic!("{error:?}") };
    let first = cause.lines().next().unwrap_or_default();
    assert_eq!(first, "plugin failed to start: ModuleNotFoundError: No module named 'x' (exit code 1)", "{cause}");

    let error = host.ensure().await.unwrap_err();
    assert!(matches!(error, StartError::Exited { .. }) && error.cause() == "crashed", "{error:?}");
    let State::Failed(failed) = host.status().state else { panic!("{:?}", host.status()) };
    assert_eq!((failed.cause, failed.attempts), ("crashed", 2));
    assert!(host.log().contains("ModuleNotFoundError"), "the traceback can be read later");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cause_is_found_also_on_standard_output() {
    let host = Host::new("exit_saying_why:1");
    let error = host.ensure().await.unwrap_err().to_string();
    let (first, quoted) = error.split_once('\n').unwrap();
    assert_eq!(first, "plugin failed to start: ModuleNotFoundError: No module named 'x' (exit code 1)");
    let traceback = "Traceback (most recent call last):\n  File \"main.py\", line 1, in <module>\n    import x\n\
                     ModuleNotFoundError: No module named 'x'";
    assert_eq!(quoted, format!("starting\n{traceback}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_was_mended_works_at_the_next_probe() {
    let host = Host::new("exit:1");
    host.open(json!({"do": "echo"})).await.unwrap_err();
    host.will_start("main");
    // the next attempt is a second away, for which a call waits
    host.echo().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_never_says_it_is_ready_is_stopped() {
    let host = Host::with("silent", |settings| settings.worker.start_timeout = Duration::from_millis(300));
    let error = host.ensure().await.unwrap_err();
    assert!(matches!(error, StartError::NoHeartbeat { .. }) && error.cause() == "timeout", "{error:?}");
    assert!(error.to_string().starts_with("failed to start plugin as no heartbeat received"), "{error}");
    eventually("no worker is left", || host.log().contains("plugin process was stopped")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_process_fails_its_sessions_after_the_limit_of_silence() {
    let host = Host::with("main", |settings| {
        settings.worker.silence_warning = Duration::from_millis(200);
        settings.worker.silence_limit = Duration::from_millis(500);
        settings.worker.stop_grace = Duration::from_millis(100);
    });
    let waiting = host.open(json!({"do": "hang"})).await.unwrap();
    let pid = host.pid();
    let frozen = host.open(json!({"do": "freeze"})).await.unwrap();
    for session in [waiting, frozen] {
        let events = all(session).await;
        assert!(matches!(events[..], [Event::Failed(Failure::WorkerSilent { .. })]), "{events:?}");
    }
    eventually("it is killed", || state(pid).is_none()).await;
    host.echo().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_closes_its_output_is_replaced() {
    let host = Host::new("main");
    let events = host.call(json!({"do": "close_output"})).await;
    let [Event::Failed(Failure::Stopped(why))] = &events[..] else { panic!("{events:?}") };
    assert_eq!(why, "it has closed its standard output");
    host.echo().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stops_reading_costs_a_bounded_wait() {
    let host = Host::with("main", |settings| {
        settings.worker.write_timeout = Duration::from_millis(300);
        settings.worker.input_buffer_bytes = 64 * 1024;
    });
    let _stuck = host.open(json!({"do": "stop_reading"})).await.unwrap();
    let large = || json!({"do": "echo", "value": "x".repeat(64 * 1024)});
    // one is in the pipe, one in the queue
    let _full = [host.open(large()).await, host.open(large()).await];
    let error = within(Duration::from_mins(2), host.open(large())).await.unwrap_err();
    assert!(matches!(&error, OpenError::NotReady { cause, .. } if cause.contains("has not read its input")), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn descendants_go_with_their_worker() {
    for graceful in [true, false] {
        let host = Host::new("main");
        let events = host.call(json!({"do": "fork"})).await;
        let pids: Vec<u32> = serde_json::from_value(chunks(&events).into()).unwrap();
        assert!(pids.len() == 2 && pids.iter().all(|pid| runs(*pid)));
        if graceful {
            host.runtime.remove(&host.plugin, true).await;
        } else {
            // the pipe stays open in the children, which must not hide the end of the worker
            let waiting = host.open(json!({"do": "hang"})).await.unwrap();
            kill(host.pid(), Signal::SIGKILL);
            assert!(matches!(all(waiting).await[..], [Event::Failed(Failure::WorkerExited { .. })]));
        }
        eventually("descendants are gone", || pids.iter().all(|pid| !runs(*pid))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ignores_sigterm_is_killed() {
    let host = Host::with("stubborn", |settings| settings.worker.stop_grace = Duration::from_millis(200));
    host.echo().await;
    let pid = host.pid();
    let began = Instant::now();
    host.runtime.remove(&host.plugin, true).await;
    assert!(state(pid).is_none(), "it is gone and reaped");
    assert!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_crashes_leave_no_zombie() {
    let host = Host::with("main", |settings| settings.pool.min_workers = 1);
    for turn in 0..40 {
        host.ensure().await.unwrap();
        let events = host.call(json!({"do": "die", "signal": 9, "turn": turn})).await;
        assert!(matches!(events[1], Event::Failed(Failure::WorkerExited { .. })), "{events:?}");
    }
    host.runtime.remove(&host.plugin, false).await;
    let me = std::process::id().to_string();
    let zombies = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let stats = processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
        stats.filter(|stat| stat.contains("(stdio_worker) Z ") && stat.split(' ').any(|field| field == me)).count()
    };
    assert_eq!(zombies(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_is_refused_while_workers_that_have_answered_are_killed() {
    let host = Host::new("main");
    host.echo().await;
    for crash in 1..=8 {
        let waiting = host.open(json!({"do": "hang", "turn": crash})).await.unwrap();
        kill(host.pid(), Signal::SIGKILL);
        assert!(matches!(all(waiting).await[..], [Event::Failed(Failure::WorkerExited { .. })]));
        host.echo().await;
        eventually("it is counted", || host.status().crashes == crash).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_counts_also_when_the_worker_takes_no_sessions_any_more() {
    let host = Host::new("main");
    let waiting = host.open(json!({"do": "hang"})).await.unwrap();
    let pid = host.pid();
    host.runtime.restart(&host.plugin).await.unwrap();
    assert_eq!(host.status().crashes, 0);
    kill(pid, Signal::SIGKILL);
    assert!(matches!(all(waiting).await[..], [Event::Failed(Failure::WorkerExited { .. })]));
    eventually("it is counted", || host.status().crashes == 1).await;
    host.echo().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_kills_worker_after_worker_is_refused_and_the_others_go_on() {
    let host = Host::new("main");
    let kill = || json!({"do": "die", "signal": 6});
    for _ in 0..3 {
        host.echo().await;
        let waiting = host.open(json!({"do": "hang"})).await.unwrap();
        assert!(matches!(host.call(kill()).await[..], [_, Event::Failed(Failure::WorkerExited { .. })]));
        assert!(matches!(all(waiting).await[..], [Event::Failed(Failure::WorkerExited { .. })]));
    }
    host.echo().await;
    let pid = host.pid();
    let error = host.open(kill()).await.unwrap_err();
    let text = error.to_string();
    let why = "since 3 workers of the plugin ended while it was open; the last one: signal 6 (SIGABRT)";
    assert!(text.starts_with("this request is refused for ") && text.ends_with(why), "{text}");
    assert!(
        host.log().contains("(invoke_tool) is refused for 60 s: it was open in 3 workers that ended"),
        "{}",
        host.log()
    );
    let _innocent = host.open(json!({"do": "hang"})).await.expect("it was open each time, but not opened last");
    host.echo().await;
    assert_eq!(host.pid(), pid);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_limits_replace_or_stop_a_worker() {
    let host = Host::with("main", |settings| settings.worker.memory_hard_limit = Some(1));
    let waiting = host.open(json!({"do": "hang"})).await.unwrap();
    let events = all(waiting).await;
    assert!(matches!(&events[..], [Event::Failed(Failure::Stopped(why))] if why.contains("memory")), "{events:?}");

    let host = Host::with("main", |settings| settings.worker.memory_soft_limit = Some(1));
    let session = host.open(json!({"do": "stream", "count": 10, "size": 1, "every_us": 50_000})).await.unwrap();
    let events = all(session).await;
    assert_eq!(events.last(), Some(&Event::End), "what was open when the limit was passed goes on");
    assert!(host.log().contains("the soft limit is 1"), "{}", host.log());
    host.echo().await;
}
