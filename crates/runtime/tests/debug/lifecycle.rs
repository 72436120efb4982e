//! Connections that end, are replaced, or are cut off by a shutdown.

use std::time::Duration;

use plugin_runtime::debug::DebugSettings;
use plugin_runtime::{Event, Failure, OpenError};
use plugin_testkit::process::eventually;
use serde_json::json;
use tokio::time::timeout;

use crate::support::{Notice, TestBed};

/// A developer restarts the plugin over and over, without a goodbye.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_reconnects() {
    let bed = TestBed::new().await;
    let (mut peer, plugin) = bed.plugin(1).await;
    for round in 0..100 {
        let mut session = bed.open(&plugin).await.unwrap();
        peer.request().await;
        // half of them by a reset
        if round % 2 == 0 {
            peer.stream.get_ref().set_zero_linger().unwrap();
        }
        drop(peer);
        assert_eq!(session.recv().await, Some(Event::Failed(Failure::ConnectionClosed)));

        peer = bed.connect().await;
        peer.register(1).await;
        let mut session = loop {
            match bed.open(&plugin).await {
                Ok(session) => break session,
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        // a session that came upon the connection before ends with it
        let serving = tokio::spawn(async move {
            peer.serve().await;
            peer
        });
        assert_eq!(session.recv().await, Some(Event::Chunk("\"answer\"".into())));
        assert_eq!(session.recv().await, Some(Event::End));
        peer = serving.await.unwrap();
    }
    assert_eq!(bed.host.present(), 1);
}

#[tokio::test]
async fn silence_is_the_end_and_any_traffic_is_life() {
    let settings = DebugSettings { silence_limit: Duration::from_secs(2), ..DebugSettings::default() };
    let bed = TestBed::with(settings).await;
    let (mut peer, _) = bed.plugin(1).await;
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        peer.send(b"\n").await;
    }
    assert_eq!(bed.host.notices(), [Notice::Connected(0)]);
    assert_eq!(peer.hung_up().await, "");
    assert_eq!(bed.host.notices(), [Notice::Connected(0), Notice::Disconnected(0)]);
}

#[tokio::test]
async fn a_stop_waits_for_calls_and_takes_no_new_ones() {
    let bed = TestBed::new().await;
    let (mut peer, plugin) = bed.plugin(1).await;
    let (mut idle, _) = bed.plugin(2).await;
    let mut waiting = bed.connect().await;
    let mut registering = bed.connect().await;
    registering.handshake("3").await;
    let mut session = bed.open(&plugin).await.unwrap();
    let id = peer.request().await;
    bed.soft.cancel();
    for peer in [&mut idle, &mut waiting, &mut registering] {
        assert_eq!(peer.hung_up().await, "");
    }
    assert!(matches!(bed.open(&plugin).await, Err(OpenError::Stopping)));
    peer.answer(&id, "end", &json!({})).await;
    assert_eq!(session.recv().await, Some(Event::End));
    assert_eq!(peer.hung_up().await, "");
    timeout(Duration::from_mins(2), bed.serving).await.unwrap().unwrap();
    assert_eq!(bed.host.present(), 0);
}

#[tokio::test]
async fn a_hard_stop_cuts_calls() {
    let bed = TestBed::new().await;
    let (mut peer, plugin) = bed.plugin(1).await;
    let mut session = bed.open(&plugin).await.unwrap();
    bed.soft.cancel();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!bed.serving.is_finished());
    bed.hard.cancel();
    assert_eq!(session.recv().await, Some(Event::Failed(Failure::Stopped("the daemon stops".into()))));
    timeout(Duration::from_mins(2), bed.serving).await.unwrap().unwrap();
    assert_eq!(peer.hung_up().await.lines().count(), 1, "its request and nothing else");
    assert_eq!(bed.host.present(), 0);
}

#[tokio::test]
async fn events_go_to_the_log() {
    let bed = TestBed::new().await;
    let (mut peer, plugin) = bed.plugin(1).await;
    peer.send(b"{\"event\":\"log\",\"data\":{\"level\":\"INFO\",\"message\":\"said\",\"timestamp\":1}}\n").await;
    peer.send(b"not json\n{\"event\":\"error\",\"data\":\"bad\"}\n").await;
    let texts = || -> Vec<_> {
        let log = bed.runtime.log(&plugin).unwrap();
        log.after(0).into_iter().map(|entry| (entry.pid, entry.text)).collect()
    };
    eventually("the log", || texts().len() == 4).await;
    let texts = texts();
    assert!(texts[0].1.starts_with("debugging runtime connected from 127.0.0.1:"), "{texts:?}");
    assert_eq!(texts[1..], ["said", "not json", "\"bad\""].map(|text| (None, text.to_owned())));
}
