//! TLS on the port. The certificate is for `localhost`, for a hundred years, and of no use elsewhere.

use std::sync::Arc;
use std::time::Duration;

use plugin_runtime::Event;
use plugin_runtime::debug::{DebugSettings, Security, SecurityError};
use plugin_testkit::process::eventually;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::support::{Peer, TestBed};

const CERTIFICATE: &[u8] = include_bytes!("tls/certificate.pem");
const KEY: &[u8] = include_bytes!("tls/key.pem");

fn connector() -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CERTIFICATE).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn calls_over_tls() {
    let bed = TestBed::secured(DebugSettings::default(), Security::tls(CERTIFICATE, KEY).unwrap()).await;
    let stream = TcpStream::connect(bed.address).await.unwrap();
    let stream = connector().connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    let mut peer = Peer::new(stream);
    peer.register(1).await;
    eventually("the plugin", || bed.host.last().is_some()).await;
    let mut session = bed.open(&bed.host.last().unwrap().identifier).await.unwrap();
    let id = peer.request().await;
    let large = "x".repeat(3 << 20);
    peer.answer(&id, "stream", &json!(large)).await;
    assert_eq!(session.recv().await, Some(Event::Chunk(format!("\"{large}\"").into())));
    session.replies().reply(large.clone().into()).await.unwrap();
    assert_eq!(peer.line().await.unwrap().len(), large.len());
}

#[tokio::test]
async fn nobody_gets_in_without_tls() {
    let settings = DebugSettings { handshake_timeout: Duration::from_millis(500), ..DebugSettings::default() };
    let bed = TestBed::secured(settings, Security::tls(CERTIFICATE, KEY).unwrap()).await;
    let mut peer = bed.connect().await;
    peer.handshake("1").await;
    timeout(Duration::from_mins(2), peer.hung_up()).await.unwrap();
    assert_eq!(bed.host.notices(), []);
}

#[test]
fn what_cannot_be_used() {
    assert!(matches!(Security::tls(b"", KEY), Err(SecurityError::Pair(_))));
    assert!(matches!(Security::tls(CERTIFICATE, b"nothing"), Err(SecurityError::Key(_))));
    let broken = &CERTIFICATE[..CERTIFICATE.len() / 2];
    assert!(matches!(Security::tls(broken, KEY), Err(SecurityError::Certificate(_) | SecurityError::Pair(_))));
}
