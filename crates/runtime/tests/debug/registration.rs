//! What a plugin sends before it is registered.

use std::time::Duration;

use plugin_runtime::debug::DebugSettings;
use plugin_testkit::process::eventually;
use serde_json::{Value, json};

use crate::support::{Notice, TestBed, manifest, tools};

/// Messages of all kinds, and the line that the last of them is answered with.
#[tokio::test]
async fn what_is_refused_at_which_step() {
    let shake = |key: &str| ("handshake", json!({"key": key}));
    let declared = ("manifest_declaration", manifest());
    let invalid = "handshake failed, invalid handshake message";
    let cases: &[(&[(&str, Value)], &str)] = &[
        (&[("handshake", json!({}))], invalid),
        (&[("handshake", json!({"key": ""}))], invalid),
        (&[("end", json!({}))], invalid),
        (&[declared.clone(), shake("1")], invalid),
        (&[("something_newer", json!({})), shake("1")], invalid),
        (&[shake("x")], "handshake failed, invalid key"),
        (&[shake("broken")], "failed to get connection info: out of reach"),
        (&[shake("1"), shake("1")], "handshake already completed"),
        (&[shake("1"), declared.clone(), shake("2")], "handshake already completed"),
        (&[shake("1"), ("", json!({}))], invalid),
        (&[shake("1"), ("end", Value::Null)], "no registration transferred, cannot initialize"),
        (&[shake("1"), ("asset_chunk", json!({"filename": "", "data": "AA=="}))], "transfer assets failed, error: "),
        (&[shake("1"), ("asset_chunk", json!({"filename": "a"}))], "transfer assets failed, error: "),
        (&[shake("1"), ("asset_chunk", json!({"filename": "a", "data": "A"}))], "assets decode failed, error: "),
        (
            &[shake("1"), declared.clone(), ("tool_declaration", tools()), ("end", json!({}))],
            "assets remap failed, invalid assets data, cannot remap: file not found: i.svg",
        ),
        (&[shake("1"), ("tool_declaration", tools()), ("end", json!({}))], "assets remap failed, "),
    ];
    let bed = TestBed::new().await;
    for (messages, expected) in cases {
        let mut peer = bed.connect().await;
        for (kind, data) in *messages {
            peer.message(kind, data).await;
        }
        let said = peer.hung_up().await;
        assert!(said.starts_with(expected), "{said:?} instead of {expected:?}");
    }
    assert_eq!(bed.host.notices(), []);
}

#[tokio::test]
async fn an_endless_registration_is_refused() {
    let limit = Duration::from_millis(200);
    let settings = DebugSettings { handshake_timeout: limit, registration_timeout: limit, ..DebugSettings::default() };
    let bed = TestBed::with(settings).await;
    let mut silent = bed.connect().await;
    assert_eq!(silent.hung_up().await, "");
    let mut slow = bed.connect().await;
    slow.handshake("1").await;
    slow.message("manifest_declaration", &manifest()).await;
    assert_eq!(slow.hung_up().await, "registration failed, it was not complete after 0 s");
}

#[tokio::test]
async fn a_plugin_that_cannot_be_recorded_gets_the_reason() {
    let bed = TestBed::new().await;
    *bed.host.refusal.lock().unwrap() = Some("the disk is full".to_owned());
    let mut peer = bed.connect().await;
    peer.register(1).await;
    let said = peer.hung_up().await;
    assert_eq!(said, "register failed, the plugin could not be installed: the disk is full");
    eventually("the parting", || bed.host.notices() == [Notice::Connected(0), Notice::Disconnected(0)]).await;
    assert_eq!(bed.runtime.status().len(), 0);
}

#[tokio::test]
async fn the_identifier_is_the_tenants_and_the_declarations() {
    let bed = TestBed::new().await;
    let (_first, one) = bed.plugin(1).await;
    let (_second, two) = bed.plugin(2).await;
    let (_third, again) = bed.plugin(1).await;
    assert_eq!(one, again);
    assert_ne!(one, two);
    assert_eq!((one.identity(), one.checksum().len()), ("a/b:0.0.1", 64));
}

#[tokio::test]
async fn declarations_are_bounded_together() {
    let bed = TestBed::new().await;
    let mut peer = bed.connect().await;
    peer.handshake("1").await;
    let filler = json!({"filler": "x".repeat(17 << 20)});
    peer.message("manifest_declaration", &filler).await;
    assert_eq!(peer.hung_up().await, "declarations too large, at most 16777216 bytes");
}
