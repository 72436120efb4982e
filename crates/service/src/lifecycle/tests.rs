use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use super::*;

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
            order.lock().unwrap().push(name);
            match name {
                "hangs" => std::future::pending().await,
                "panics" => panic!("on purpose"),
                _ => {}
            }
        });
    }
    lifecycle.soft().cancel();
    assert!(!lifecycle.run(async {}, Duration::from_secs(1)).await);
    assert_eq!(*order.lock().unwrap(), ["plugins", "panics", "hangs", "database"]);
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
