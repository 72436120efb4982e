//! What all plugins of the node may take together.

use std::time::Duration;

use plugin_runtime::local::State;
use plugin_runtime::{Event, OpenError};
use plugin_testkit::process::eventually;
use serde_json::json;

use crate::support::{Host, all, within};

const MIB: u64 = 1024 * 1024;
/// Two of the plugins below fit, and the first guess of a third does not.
const LIMIT: u64 = 210 * MIB;
const TAKEN: u64 = 80 * MIB;

/// Three plugins, of which the first two have been called one after the other and keep what they took.
async fn full() -> [Host; 3] {
    let host = Host::with("main", |settings| settings.node_memory_bytes = Some(LIMIT));
    let three = ["a", "b", "c"].map(|name| host.beside(name));
    for host in &three[..2] {
        host.call(json!({"do": "take", "bytes": TAKEN})).await;
    }
    three
}

fn workers(hosts: &[Host]) -> Vec<usize> {
    hosts.iter().map(|host| host.status().workers.len()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plugin_that_was_not_called_for_longest_makes_room() {
    let hosts = full().await;
    assert_eq!(workers(&hosts[..2]), [1, 1]);
    hosts[2].echo().await;
    assert_eq!(workers(&hosts), [0, 1, 1]);
    assert_eq!(hosts[0].status().state, State::Ready);
    // and it comes back when it is called
    hosts[0].echo().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_waits_for_calls_that_are_open_and_says_so() {
    let hosts = full().await;
    let mut open = Vec::new();
    for host in &hosts[..2] {
        open.push(host.open(json!({"do": "hang"})).await.unwrap());
    }
    let error = hosts[2].open_within(json!({"do": "echo"}), Duration::from_secs(2)).await.unwrap_err();
    let OpenError::StillStarting { state, .. } = &error else { panic!("{error:?}") };
    assert!(state.starts_with("waiting for memory: the plugins of this node use "), "{state}");
    assert!(state.contains(&format!("of {LIMIT} bytes (PLUGIN_NODE_MEMORY_BYTES)")), "{state}");
    assert_eq!(workers(&hosts), [1, 1, 0], "nothing ends that is in use");

    let waiting = hosts[2].open(json!({"do": "echo", "value": 1}));
    let goes = async {
        eventually("it waits", || matches!(hosts[2].status().state, State::Preparing { .. })).await;
        open.remove(1);
    };
    let (answer, ()) = tokio::join!(waiting, goes);
    assert_eq!(all(answer.unwrap()).await, [Event::Chunk("1".into()), Event::End]);
    assert_eq!(workers(&hosts), [1, 0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_nobody_waits_for_lets_nothing_end() {
    let hosts = full().await;
    hosts[2].runtime.prewarm(&hosts[2].plugin).await;
    eventually("it waits", || matches!(hosts[2].status().state, State::Preparing { step: "waiting for memory", .. }))
        .await;
    assert_eq!(workers(&hosts), [1, 1, 0]);
    within(Duration::from_mins(1), hosts[2].echo()).await;
    assert_eq!(workers(&hosts), [0, 1, 1], "a call does");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_needs_more_than_all_runs_alone() {
    let host = Host::with("main", |settings| settings.node_memory_bytes = Some(1));
    let [one, other] = ["a", "b"].map(|name| host.beside(name));
    for _ in 0..2 {
        one.echo().await;
        other.echo().await;
        assert_eq!((one.status().workers.len(), other.status().workers.len()), (0, 1));
    }
}
