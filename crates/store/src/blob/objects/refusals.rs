//! What an operator reads when a bucket cannot be used.

use std::net::TcpListener;
use std::time::Duration;

use plugin_testkit::servers::free_port;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::open;
use super::tests::vendor;
use crate::blob::{BlobConfig, Layout, S3Config, Secret, VendorConfig, check};
use crate::{BlobStore, Error, ErrorKind};

/// The secret key.
const MARKER: &str = "hunter2";
const LIMIT: Duration = Duration::from_secs(20);

fn bucket(port: u16) -> impl BlobStore {
    let vendor =
        VendorConfig { secret_key: Secret(MARKER.to_owned()), ..vendor(&format!("http://127.0.0.1:{port}"), "") };
    open(&BlobConfig::S3(S3Config { vendor, path_style: true, managed: false })).unwrap()
}

const VARIABLES: &str = "(PLUGIN_STORAGE_OSS_BUCKET, S3_ENDPOINT, AWS_REGION, AWS_ACCESS_KEY, AWS_SECRET_KEY)";

#[track_caller]
fn is(error: &Error, kind: ErrorKind, text: &str) {
    assert!(!format!("{error:?}").contains(MARKER), "{error:?}");
    assert_eq!((error.kind(), error.to_string().as_str()), (kind, text));
}

#[tokio::test]
async fn a_server_that_accepts_and_is_silent() {
    // the system accepts connections for it
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let error = check(&bucket(port), Layout::default().packages(), Duration::from_millis(300)).await.unwrap_err();
    let text = format!(
        "cannot write to the S3 bucket \"bucket\" at http://127.0.0.1:{port}: the server accepted the connection, but did not \
         answer within 0.3 s {VARIABLES}"
    );
    is(&error, ErrorKind::Unavailable, &text);
}

#[tokio::test]
async fn a_port_on_which_no_server_listens() {
    let port = free_port().unwrap();
    let error = check(&bucket(port), Layout::default().packages(), LIMIT).await.unwrap_err();
    let start = format!("cannot write to the S3 bucket \"bucket\" at http://127.0.0.1:{port}: ");
    let text = error.to_string();
    assert!(error.is_retryable() && text.starts_with(&start) && text.ends_with(VARIABLES), "{text}");
    assert!(text.contains("Connection refused"), "{text}");
}

/// A server of the S3 protocol that refuses requests whose first line `refused` says.
async fn server(refused: fn(&str) -> bool) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut stored = Vec::new();
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = Vec::new();
            let (head, body) = loop {
                let mut buffer = [0; 4096];
                let length = connection.read(&mut buffer).await.unwrap();
                request.extend_from_slice(&buffer[..length]);
                let text = String::from_utf8_lossy(&request).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let expected = head.lines().find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length: ").and_then(|length| length.parse().ok())
                });
                if body.len() >= expected.unwrap_or(0) {
                    break (head.to_owned(), body.to_owned());
                }
            };
            let line = head.lines().next().unwrap();
            let (status, answer) = if refused(line) {
                let error = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
                ("403 Forbidden", error.as_bytes().to_vec())
            } else if line.starts_with("PUT ") {
                stored = body.into_bytes();
                ("200 OK", Vec::new())
            } else if line.starts_with("GET ") && line.contains("list-type=2") {
                ("200 OK", b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>".to_vec())
            } else if line.starts_with("GET ") {
                ("200 OK", stored.clone())
            } else if line.starts_with("DELETE ") {
                ("204 No Content", Vec::new())
            } else {
                ("404 Not Found", Vec::new())
            };
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", answer.len());
            let body = if line.starts_with("HEAD ") { Vec::new() } else { answer };
            connection.write_all(&[head.into_bytes(), body].concat()).await.unwrap();
        }
    });
    port
}

#[tokio::test]
async fn rights_that_are_missing() {
    let packages = Layout::default().packages().clone();
    let port = server(|_| false).await;
    assert_eq!(check(&bucket(port), &packages, LIMIT).await.unwrap(), []);

    let port = server(|line| line.starts_with("PUT ")).await;
    let error = check(&bucket(port), &packages, LIMIT).await.unwrap_err();
    let text = format!(
        "cannot write to the S3 bucket \"bucket\" at http://127.0.0.1:{port}: AccessDenied: Access Denied {VARIABLES}"
    );
    is(&error, ErrorKind::Denied, &text);

    let port = server(|line| line.starts_with("DELETE ")).await;
    let error = check(&bucket(port), &packages, LIMIT).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot delete from the S3 bucket"), "{error}");

    let port = server(|line| line.contains("list-type=2") || line.starts_with("HEAD ")).await;
    let limitations = check(&bucket(port), &packages, LIMIT).await.unwrap();
    let [missing, list] = limitations.as_slice() else { panic!("{limitations:?}") };
    for limitation in [missing, list] {
        let start = format!("the S3 bucket \"bucket\" at http://127.0.0.1:{port}: ");
        assert!(limitation.0.starts_with(&start) && limitation.0.contains("s3:ListBucket"), "{limitation:?}");
    }
    assert!(missing.0.contains("uploads and installs of new plugins fail"), "{missing:?}");
    assert!(list.0.contains("must not list objects"), "{list:?}");
}
