//! Peers that are no plugins: silent, endless, slow to leave.

use std::time::Duration;

use plugin_runtime::debug::DebugSettings;
use plugin_testkit::process::eventually;
use serde_json::json;
use tokio::time::timeout;

use crate::support::{TestBed, manifest};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_silent_connections_keep_nobody_out() {
    let bed = TestBed::with(DebugSettings { max_connections: 2, ..DebugSettings::default() }).await;
    let mut silent = Vec::new();
    for n in 0..200 {
        let mut peer = bed.connect().await;
        match n % 4 {
            0 => {}
            1 => peer.send(b"{\"type\":\"handshake\",").await,
            2 => peer.send(b"\n\n\n").await,
            _ => peer.send(&vec![b'x'; 100_000]).await,
        }
        silent.push(peer);
    }
    let (mut peer, plugin) = bed.plugin(1).await;
    let _session = bed.open(&plugin).await.unwrap();
    peer.request().await;
}

#[tokio::test]
async fn the_oldest_silent_connection_makes_room() {
    let bed = TestBed::with(DebugSettings { max_half_open: 3, ..DebugSettings::default() }).await;
    let mut silent = Vec::new();
    for _ in 0..5 {
        silent.push(bed.connect().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for peer in &mut silent[..2] {
        assert_eq!(peer.hung_up().await, "");
    }
    for peer in &mut silent[2..] {
        assert!(timeout(Duration::from_millis(50), peer.line()).await.is_err());
    }
    // who has shown a key is not among them
    let (_peer, _) = bed.plugin(1).await;
}

#[tokio::test]
async fn an_endless_first_line_is_cut_short() {
    let bed = TestBed::new().await;
    for piece in [&b"x"[..], b"\n"] {
        let mut peer = bed.connect().await;
        let block = piece.repeat(256 * 1024);
        for _ in 0..16 {
            peer.send(&block).await;
        }
        assert_eq!(peer.hung_up().await, "handshake failed, invalid handshake message");
    }
}

#[tokio::test]
async fn connections_are_counted_once() {
    let settings = DebugSettings { max_connections: 3, max_tenant_connections: 2, ..DebugSettings::default() };
    let bed = TestBed::with(settings).await;
    for _ in 0..20 {
        let mut stranger = bed.connect().await;
        stranger.handshake("wrong").await;
        stranger.hung_up().await;
        let mut quitter = bed.connect().await;
        quitter.handshake("1").await;
        quitter.message("manifest_declaration", &manifest()).await;
        drop(quitter);
        let mut refused = bed.connect().await;
        refused.handshake("1").await;
        refused.message("end", &json!({})).await;
        refused.hung_up().await;
        drop(refused);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for round in 1..=5 {
        let (one, _) = bed.plugin(1).await;
        let (two, _) = bed.plugin(1).await;
        let mut third = bed.connect().await;
        third.handshake("1").await;
        let said = third.hung_up().await;
        assert!(said.starts_with("this workspace has 2 debugging connections, which is the limit"), "{said}");
        let (other, _) = bed.plugin(2).await;
        let mut fourth = bed.connect().await;
        fourth.handshake("3").await;
        assert_eq!(fourth.hung_up().await, "server is busy now, please try again later");
        drop((one, two, other));
        eventually("all partings", || bed.host.present() == 0).await;
        assert_eq!(bed.host.notices().len(), 6 * round);
    }
}

#[tokio::test]
async fn registrations_share_a_bounded_memory() {
    let settings = DebugSettings { registration_bytes: 1 << 20, ..DebugSettings::default() };
    let bed = TestBed::with(settings).await;
    let mut large = bed.connect().await;
    large.handshake("1").await;
    large.asset("a", &vec![7; 900 << 10]).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut second = bed.connect().await;
    second.handshake("2").await;
    second.asset("a", &vec![7; 200 << 10]).await;
    assert_eq!(second.hung_up().await, "server is busy now, please try again later");
    drop((large, second));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (_peer, _) = bed.plugin(3).await;
}

#[tokio::test]
async fn a_line_that_is_too_long_ends_a_registration() {
    let bed = TestBed::with(DebugSettings { max_line_bytes: 1000, ..DebugSettings::default() }).await;
    let mut peer = bed.connect().await;
    peer.handshake("1").await;
    peer.send(&[&[b'x'; 2000][..], b"\n"].concat()).await;
    let said = peer.hung_up().await;
    assert_eq!(said, "message of 2000 bytes is too long, at most 1000 (PLUGIN_MAX_LINE_BYTES)");
}

#[tokio::test]
async fn a_key_that_takes_long_to_look_up_costs_the_handshake_time() {
    let settings = DebugSettings { handshake_timeout: Duration::from_millis(200), ..DebugSettings::default() };
    let bed = TestBed::with(settings).await;
    *bed.host.delay.lock().unwrap() = Duration::from_mins(1);
    let mut peer = bed.connect().await;
    peer.handshake("1").await;
    assert_eq!(peer.hung_up().await, "");
}
