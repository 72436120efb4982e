//! Callers who do not read.

use std::time::Duration;

use plugin_runtime::{Event, Failure};
use plugin_testkit::process::eventually;
use serde_json::json;

use crate::support::{Host, all, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_never_reads_is_let_go_and_the_others_go_on() {
    let host = Host::with("main", |settings| settings.worker.session_buffer_bytes = 8 * 1024 * 1024);
    host.echo().await;
    let mut lazy = host.open(json!({"do": "flood", "size": 200})).await.unwrap();
    let log = || host.log().contains("its caller has left");
    let mut served = 0;
    while !log() {
        host.echo().await;
        served += 1;
    }
    assert!(served > 0, "others are served before it is let go");
    let Some(Event::Failed(Failure::ReaderTooSlow { waiting, limit })) = lazy.recv().await else {
        panic!("not failed")
    };
    assert!(waiting > limit && limit == 8 * 1024 * 1024);
    assert_eq!(lazy.recv().await, None);
    // although the plugin goes on writing
    for _ in 0..10 {
        host.echo().await;
    }
    eventually("it is replaced", || host.log().contains("goes on with a call that was cancelled")).await;
    host.echo().await;
    eventually("the old one is gone", || host.status().workers.len() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_is_alone_is_waited_for() {
    let host = Host::with("main", |settings| {
        settings.worker.session_buffer_bytes = 4 * 1024 * 1024;
        settings.worker.silence_warning = Duration::from_millis(200);
        settings.worker.silence_limit = Duration::from_millis(500);
    });
    let count = 100_000;
    let mut session = host.open(json!({"do": "flood", "size": 200, "count": count})).await.unwrap();
    // longer than a worker may be silent: it is not, it is not listened to
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut chunks = 0;
    while let Some(event) = within(Duration::from_mins(2), session.recv()).await {
        match event {
            Event::Chunk(_) => chunks += 1,
            other => assert_eq!(other, Event::End),
        }
    }
    assert_eq!(chunks, count);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_call_does_not_wait_behind_a_caller_who_does_not_read() {
    let host = Host::new("main");
    host.echo().await;
    let _lazy = host.open(json!({"do": "flood", "size": 200, "count": 20_000})).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    host.echo().await;
    assert!(!host.log().contains("its caller has left"), "the flood is still held back");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_bounds_what_all_slow_callers_hold() {
    let host = Host::with("main", |settings| settings.node_buffer_bytes = 8 * 1024 * 1024);
    host.echo().await;
    let mut lazy = Vec::new();
    for _ in 0..4 {
        lazy.push(host.open(json!({"do": "flood", "size": 4096})).await.unwrap());
    }
    let busy = async {
        loop {
            host.echo().await;
        }
    };
    let let_go = eventually("some are let go", || host.log().contains("its caller has left"));
    tokio::select! { () = let_go => {}, () = busy => {} }
    let mut failed = 0;
    for mut session in lazy {
        let held = std::iter::from_fn(|| session.try_recv());
        failed +=
            usize::from(held.into_iter().any(|event| matches!(event, Event::Failed(Failure::ReaderTooSlow { .. }))));
    }
    assert!(failed > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_caller_gets_everything_in_the_end() {
    let host = Host::new("main");
    let mut session = host.open(json!({"do": "flood", "size": 4096, "count": 5000})).await.unwrap();
    let mut chunks = 0;
    while let Some(Event::Chunk(_)) = session.recv().await {
        chunks += 1;
        if chunks % 500 == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert_eq!(chunks, 5000);
    drop(all(session).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_steady_stream_beside_a_caller_who_does_not_read_stays_steady() {
    let host = Host::new("main");
    host.echo().await;
    let _lazy = host.open(json!({"do": "flood", "size": 200})).await.unwrap();
    let steady = host.call(json!({"do": "stream", "count": 300, "size": 10, "every_us": 1000})).await;
    assert_eq!(steady.len(), 301);
}
