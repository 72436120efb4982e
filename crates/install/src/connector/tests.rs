use std::sync::Mutex;
use std::sync::atomic::Ordering;

use super::testing::{FakeConnector, Script, client};
use super::*;

fn identifier() -> UniqueIdentifier {
    format!("acme/echo:0.0.1@{}", "0".repeat(64)).parse().unwrap()
}

async fn launch(connector: &Connector) -> (Result<Function, ConnectorError>, Vec<String>) {
    let identifier = identifier();
    let package = Launch { identifier: &identifier, package: Bytes::from_static(b"\x00\r\n--"), verified: true };
    let seen = Mutex::new(Vec::new());
    let launched = connector.launch(&package, &|stage| seen.lock().unwrap().push(stage.to_owned())).await;
    (launched, seen.into_inner().unwrap())
}

/// What a launch that meets this script fails with.
async fn check(script: Script, expected: &str) {
    let fake = FakeConnector::start().await;
    fake.script(script);
    assert_eq!(launch(&fake.client()).await.0.unwrap_err().to_string(), expected);
}

#[tokio::test]
async fn pings_of_every_convention() {
    let fake = FakeConnector::start().await;
    assert_eq!(fake.client().ping().await.unwrap(), Features { delete: false });
    let headers = fake.shared.headers.lock().unwrap().clone();
    assert_eq!(headers["authorization"], "the-key");
    assert!(headers["traceparent"].to_str().unwrap().starts_with("00-"));
    fake.shared.deletes.store(true, Ordering::Relaxed);
    fake.shared.ping_refuses.store(u16::from(b'P'), Ordering::Relaxed);
    assert_eq!(fake.client().ping().await.unwrap(), Features { delete: true });
}

#[tokio::test]
async fn a_launch_and_what_is_sent() {
    let fake = FakeConnector::start().await;
    let connector = fake.client();
    assert_eq!(connector.find(&identifier()).await, Ok(None));
    let (launched, stages) = launch(&connector).await;
    let function = Function::parse("f-1", "http://f/1").unwrap();
    assert_eq!((launched, stages), (Ok(function.clone()), vec!["start running".to_owned()]));
    let sent = fake.shared.launches.lock().unwrap().remove(0);
    assert_eq!(sent.filename, format!("acme@echo@0.0.1@{}.difypkg", "0".repeat(64)));
    assert_eq!(sent.package, &b"\x00\r\n--"[..]);
    assert_eq!(sent.fields["verified"], "true");
    assert_eq!(sent.fields["metadata"], format!(r#"{{"plugin_unique_identifier":"{}"}}"#, identifier()));
    assert_eq!(connector.find(&identifier()).await, Ok(Some(function)));
    connector.delete(&identifier()).await.unwrap();
    assert_eq!(connector.find(&identifier()).await, Ok(None));
    assert_eq!(*fake.shared.deleted.lock().unwrap(), [sent.filename]);
}

#[tokio::test]
async fn launches_that_fail() {
    check(Script::failure("no room"), "no room").await;
    check(Script::status(500, "ill"), "request failed with status code: 500 and respond with: ill").await;
    check(Script::lines(&[]), "the serverless connector broke the launch off, its last stage was: none").await;
    let building = Script::lines(&[r#"data: {"Stage":"build","State":"running"}"#]);
    check(building, "the serverless connector broke the launch off, its last stage was: build running").await;
    let fake = FakeConnector::start().await;
    fake.script(Script::slow(Duration::from_mins(1)));
    let (launched, stages) = launch(&client(&fake.address, Duration::from_millis(300))).await;
    assert_eq!(launched, Err(ConnectorError::LaunchTimedOut(Duration::from_millis(300))));
    assert_eq!(stages, ["build running"]);
}

#[tokio::test]
async fn a_flood_of_stages_loses_nothing() {
    let fake = FakeConnector::start().await;
    let line = r#"data: {"Stage":"build","State":"running","Message":"x"}"#;
    let mut lines = vec![line; 5000];
    lines.push(r#"data: {"Stage":"run","State":"success","Message":"endpoint=http://f,name=f"}"#);
    lines.push(r#"data: {"Stage":"end","State":"success"}"#);
    fake.script(Script::lines(&lines));
    let (launched, stages) = launch(&fake.client()).await;
    assert_eq!((launched.unwrap().name.as_str(), stages.len()), ("f", 5000));
}

#[tokio::test]
async fn a_connector_that_is_down() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let connector = client(&unused, Duration::from_secs(5));
    let is_unreachable = |error| matches!(error, ConnectorError::Unreachable(_));
    let said = connector.ping().await.unwrap_err().to_string();
    let expected =
        format!("the serverless connector at http://{unused} is out of reach (DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL): ");
    assert!(said.starts_with(&expected), "{said}");
    assert!(is_unreachable(connector.find(&identifier()).await.unwrap_err()));
    assert!(is_unreachable(launch(&connector).await.0.unwrap_err()));
}

#[tokio::test]
async fn what_is_no_connector_that_can_be_used_is_named_with_its_address_and_variable() {
    let fake = FakeConnector::start().await;
    let url = format!("http://(hidden)@{}", fake.address);
    let connector = client(&format!("user:hidden@{}", fake.address), Duration::from_secs(5));
    for (status, body, expected) in [
        (
            401,
            "who are you",
            format!(
                "the serverless connector at {url} refuses the key (DIFY_PLUGIN_SERVERLESS_CONNECTOR_API_KEY): who are you"
            ),
        ),
        (
            502,
            "bad gateway",
            format!(
                "what answers at {url} is no serverless connector that works (DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL): \
                 request failed with status code: 502 and respond with: bad gateway"
            ),
        ),
        (
            200,
            "<html>",
            format!(
                "what answers at {url} is no serverless connector that works (DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL): \
                 unexpected response from plugin controller: to a ping: <html>"
            ),
        ),
    ] {
        *fake.shared.pong.lock().unwrap() = Some((status, body));
        assert_eq!(connector.ping().await.unwrap_err().to_string(), expected);
    }
}

#[tokio::test]
async fn a_connector_that_accepts_and_is_silent() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let connector = client(&address, Duration::from_secs(5));
    let pinged = tokio::spawn(async move { connector.ping().await });
    let _accepted = silent.accept().await.unwrap();
    tokio::time::pause();
    let expected = format!(
        "the serverless connector at http://{address} accepted the connection, but did not answer within 8 s \
         (DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL)"
    );
    assert_eq!(pinged.await.unwrap().unwrap_err().to_string(), expected);
}

#[test]
fn functions_fit_their_columns() {
    let check = |name: &str, url: &str, expected: &str| {
        assert_eq!(Function::parse(name, url).unwrap_err(), expected);
    };
    check(&"n".repeat(128), "http://f", "the function's name has more than 127 bytes");
    check("f", &format!("http://f/{}", "u".repeat(255)), "the function's URL has more than 255 bytes");
    check("f", "file:///etc", "the function's URL 'file:///etc' is not an http or https URL");
}
