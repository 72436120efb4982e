use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::telemetry::testing::Logged;

async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn components_stop_in_reverse_order_even_when_one_hangs_or_panics() {
    let lifecycle = Lifecycle::default();
    let order = Arc::new(Mutex::new(Vec::new()));
    for name in ["database", "hangs", "panics", "plugins"] {
        let order = Arc::clone(&order);
        lifecycle.on_stop(name, move || async move {
            order.lock().push(name);
            match name {
                "hangs" => std::future::pending().await,
                "panics" => panic!("on purpose"),
                _ => {}
            }
        });
    }
    lifecycle.soft().cancel();
    assert!(!lifecycle.run(async {}, Duration::from_secs(1)).await);
    assert_eq!(*order.lock(), ["plugins", "panics", "hangs", "database"]);
}

#[tokio::test(start_paused = true)]
async fn draining_is_cut_at_its_deadline() {
    let lifecycle = Lifecycle::default();
    let hard = lifecycle.hard().clone();
    lifecycle.soft().cancel();
    let started = tokio::time::Instant::now();
    lifecycle.run(hard.cancelled_owned(), Duration::from_secs(8)).await;
    assert_eq!(started.elapsed(), Duration::from_secs(8));
}

#[tokio::test]
async fn an_essential_task_that_ends_stops_the_daemon() {
    let lifecycle = Lifecycle::default();
    lifecycle.spawn("optional", OnEnd::Ignore, async { panic!("on purpose") });
    settle().await;
    assert!(!lifecycle.is_stopping());
    lifecycle.spawn("essential", OnEnd::StopDaemon, async {});
    settle().await;
    assert!(lifecycle.is_stopping());
}

#[tokio::test(start_paused = true)]
async fn a_supervised_task_that_panics_is_logged_and_started_again() {
    let logged = Logged::on_this_thread();
    let lifecycle = Lifecycle::default();
    let starts = Arc::new(Mutex::new(Vec::new()));
    let (begun, times, soft) = (tokio::time::Instant::now(), Arc::clone(&starts), lifecycle.soft().clone());
    lifecycle.supervise("membership", move || {
        times.lock().push(begun.elapsed().as_secs());
        let (panics, soft) = (times.lock().len() < 4, soft.clone());
        async move {
            assert!(!panics, "on purpose");
            soft.cancelled().await;
        }
    });
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(*starts.lock(), [0, 1, 3, 7]);
    assert!(!lifecycle.is_stopping() && lifecycle.tasks().len() == 1);
    let text = logged.text();
    assert_eq!(text.matches("task panicked, it is started again task=\"membership\"").count(), 3, "{text}");
    lifecycle.soft().cancel();
    settle().await;
    assert!(lifecycle.tasks().is_empty(), "a task that returns has ended");
}

#[tokio::test(start_paused = true)]
async fn a_supervised_task_is_not_started_again_when_the_daemon_stops() {
    let lifecycle = Lifecycle::default();
    lifecycle.supervise("panics", || async { panic!("on purpose") });
    settle().await;
    lifecycle.soft().cancel();
    settle().await;
    assert!(lifecycle.tasks().is_empty());
}

#[tokio::test]
async fn tasks_are_listed_while_they_run() {
    let lifecycle = Lifecycle::default();
    let soft = lifecycle.soft().clone();
    lifecycle.spawn("waits", OnEnd::Ignore, async move { soft.cancelled().await });
    assert_eq!(lifecycle.tasks().iter().map(|task| task.name).collect::<Vec<_>>(), ["waits"]);
    lifecycle.soft().cancel();
    lifecycle.stop_components().await;
    assert!(lifecycle.tasks().is_empty());
}
