//! Plugins as functions: the daemon and the project's own connector, whichever of them comes, goes or dies.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::extract::Request;
use axum::middleware::map_request;
use parking_lot::Mutex;
use plugin_connector::backend::Backend;
use plugin_connector::backend::process::{ProcessBackend, ProcessOptions};
use plugin_connector::server::{ServiceOptions, routes};
use plugin_runtime::local::ProcessSettings;
use plugin_runtime::local::environment::EnvironmentSettings;
use plugin_testkit::daemon::{Daemon, Settings};
use plugin_testkit::{Client, plugins};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{daemon, tenant};

const KEY: &str = "the-shared-key";
/// Bytes of a package that the connector takes.
const MOST: u64 = 100_000;
/// A function that does what its call says.
const ILL: &str = include_str!("ill.py");

/// A connector; dropping it is its sudden end, but for its processes.
struct Connector {
    backend: ProcessBackend,
    server: JoinHandle<()>,
    /// `traceparent` of each request.
    #[cfg_attr(not(feature = "export"), expect(dead_code, reason = "only tests of exported traces look at them"))]
    traces: Arc<Mutex<Vec<String>>>,
}

impl Connector {
    async fn start(address: SocketAddr, folder: &Path) -> Result<Self> {
        let mut inherited = std::env::vars_os().collect::<std::collections::BTreeMap<_, _>>();
        inherited.insert("UV_OFFLINE".into(), "1".into());
        let mut environments = EnvironmentSettings::new(folder);
        environments.inherited.clone_from(&inherited);
        let options = ProcessOptions {
            data_path: folder.to_owned(),
            public_url: format!("http://{address}"),
            daemon_url: "http://127.0.0.1:1".to_owned(),
            key: KEY.into(),
            environments,
            process: ProcessSettings { inherited, ..ProcessSettings::default() },
            idle: Duration::from_mins(5),
            start_timeout: Duration::from_mins(1),
            stop_grace: Duration::from_secs(1),
            max_processes: 8,
        };
        let backend = ProcessBackend::open(options)?;
        let routes = routes(ServiceOptions {
            key: KEY.into(),
            backend: Arc::new(backend.clone()),
            max_package_bytes: MOST,
            stop: CancellationToken::new(),
        });
        let traces = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&traces);
        let routes = routes.layer(map_request(move |request: Request| {
            let trace = request.headers().get("traceparent").and_then(|trace| trace.to_str().ok());
            seen.lock().extend(trace.map(str::to_owned));
            async { request }
        }));
        let listener = TcpListener::bind(address).await?;
        let server = tokio::spawn(async move { drop(axum::serve(listener, routes).await) });
        Ok(Self { backend, server, traces })
    }

    async fn functions(&self) -> Result<usize> {
        Ok(self.backend.list().await?.len())
    }

    async fn stop(self) {
        self.server.abort();
        self.backend.stop().await;
    }
}

/// What `/ready` says.
async fn ready(daemon: &Daemon) -> Result<(u16, Value)> {
    let answer = reqwest::get(format!("{}/ready", daemon.url())).await?;
    Ok((answer.status().as_u16(), answer.json().await?))
}

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    for _ in 0..600 {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("{what} did not happen")
}

async fn answer(client: &Client) -> Result<String> {
    let events = client.invoke_tool("testkit/light", "light", "answer", json!({})).await?.collect().await?;
    let text = events.first().and_then(|event| event["message"]["text"].as_str()).context("no text")?;
    Ok(text.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn daemon_and_connector_come_and_go_and_plugins_stay() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let settings = serverless(address)?;

    // without its connector the daemon lives, says what is missing, and keeps what it is asked for
    let running = settings.start().await?;
    let client = running.client(&tenant())?;
    let (status, report) = until("a report", async || {
        let report = ready(&running).await?;
        Ok(report.1["components"]["connector"]
            .as_str()
            .is_some_and(|text| text.contains("out of reach"))
            .then_some(report))
    })
    .await?;
    assert_eq!(status, 503, "{report}");
    let identifier = client.upload(&plugins::light("a function", &[])?).await?;
    let task = client.install(&identifier).await?.context("a task")?;
    let connector = Connector::start(address, folder.path()).await?;
    client.wait_for(&task, |_| {}).await?;
    assert_eq!((answer(&client).await?.as_str(), connector.functions().await?), ("a function", 1));
    until("readiness", async || Ok((ready(&running).await?.0 == 200).then_some(()))).await?;

    // a daemon that was killed knows where the function is
    let running = running.kill().await?.start().await?;
    let client = running.client(client.tenant())?;
    assert_eq!(answer(&client).await?, "a function");

    // a connector that was stopped starts the function again when it is called
    connector.stop().await;
    let failed = answer(&client).await.unwrap_err().to_string();
    assert!(failed.contains("all 3 attempts failed"), "{failed}");
    let connector = Connector::start(address, folder.path()).await?;
    assert_eq!((connector.backend.running(), answer(&client).await?.as_str()), (0, "a function"));

    // a function that is lost is made again, and the last one to uninstall takes it down
    let filename = connector.backend.list().await?.remove(0).filename;
    connector.backend.delete(&filename).await?;
    assert_eq!(answer(&client).await?, "a function");
    let rows = client.get("management/list?page=1&page_size=10").await?;
    let installation = rows["list"][0]["id"].as_str().context("an installation")?;
    client.post("management/uninstall", &json!({"plugin_installation_id": installation})).await?;
    until("a deletion", async || Ok((connector.functions().await? == 0).then_some(()))).await?;
    let refused = answer(&client).await.unwrap_err().to_string();
    assert!(refused.contains("plugin not found"), "{refused}");
    connector.stop().await;
    Ok(())
}

/// A daemon whose functions a connector at this address makes.
fn serverless(address: SocketAddr) -> Result<Settings> {
    Ok(daemon()?
        .with("PLATFORM", "serverless")
        .with("DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL", &format!("http://{address}"))
        .with("DIFY_PLUGIN_SERVERLESS_CONNECTOR_API_KEY", KEY))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_on_the_way_to_a_function_ends_the_task_with_its_cause() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let connector = Connector::start(address, folder.path()).await?;
    let running = serverless(address)?.start().await?;
    let check = async |files: &[(&str, &str)], expected: &[&str]| {
        let client = running.client(&tenant())?;
        let failed = client.install_package(&plugins::light("ill", files)?).await.unwrap_err().to_string();
        assert!(expected.iter().all(|text| failed.contains(text)), "{failed}");
        assert_eq!(connector.functions().await?, 0, "{failed}");
        anyhow::Ok(())
    };
    let numbers: Vec<_> = (0..40_000_u32).map(|number| number.wrapping_mul(2_654_435_761).to_string()).collect();
    check(&[("large.txt", &numbers.concat())], &["status code: 413", "more than 100000 bytes"]).await?;
    let missing = [("requirements.txt", "no-such-package==1\n")];
    check(&missing, &["failed to install dependencies", "no-such-package"]).await?;
    let broken = [("main.py", "raise SystemExit('no such module')")];
    check(&broken, &["the plugin ended before it could be called: exit code 1", "no such module"]).await?;
    connector.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_that_fail_say_why_and_the_next_call_is_answered() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let connector = Connector::start(address, folder.path()).await?;
    let settings = serverless(address)?.with("PLUGIN_MAX_EXECUTION_TIMEOUT", "3");
    let running = settings.with("MAX_SERVERLESS_REQUEST_BYTES", "100000").start().await?;
    let client = running.client(&tenant())?;
    client.install_package(&plugins::light("ill", &[("main.py", ILL)])?).await?;
    let large = "x".repeat(100_000);
    for (what, expected) in [
        ("die", "the plugin's process ended: exit code 7\\\\nlast words"),
        ("hang", "killed by timeout"),
        ("garble", "encountered an error: "),
        ("stop short", "the response ended before the plugin had finished"),
        (&large, "ServerlessPayloadTooLarge: action=invoke_tool payload_bytes="),
    ] {
        let call = async |what: &str| {
            let events = client.invoke_tool("testkit/light", "light", "answer", json!({"do": what})).await?;
            events.collect().await
        };
        let failed = format!("{:#}", call(what).await.unwrap_err());
        assert!(failed.contains(expected), "{what:.20}: {failed}");
        assert_eq!(call("answer").await?.len(), 1);
    }
    connector.stop().await;
    Ok(())
}

#[cfg(feature = "export")]
#[tokio::test(flavor = "multi_thread")]
async fn what_a_connector_does_is_in_the_trace_of_the_install() -> Result<()> {
    let (folder, collector) = (tempfile::tempdir()?, crate::collector::Collector::start().await?);
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let connector = Connector::start(address, folder.path()).await?;
    let exporting = serverless(address)?.with("ENABLE_OTEL", "true").with("OTLP_BASE_ENDPOINT", &collector.url);
    let running = exporting.with("OTEL_BATCH_EXPORT_SCHEDULE_DELAY", "50").start().await?;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let client = running.client(&tenant())?.with_header("traceparent", &format!("00-{trace}-b7ad6b7169203331-01"));
    client.install_package(&plugins::light("a function", &[])?).await?;
    let tree = collector.trace(trace, "plugin.install").await?.tree(&["http.response.status_code"]);
    // without the requests of the client, and statements of the database
    let steps = tree.lines().skip_while(|line| !line.contains("plugin.install"));
    let steps = steps.filter(|line| ["plugin.", "/v1/", "connector."].iter().any(|word| line.contains(word)));
    insta::assert_snapshot!("serverless_install", steps.collect::<Vec<_>>().join("\n"));

    // one that its caller leaves out has the caller's ids at the connector
    let left_out = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let client = running.client(&tenant())?.with_header("traceparent", left_out);
    client.install_package(&plugins::light("another function", &[])?).await?;
    let traces = connector.traces.lock().clone();
    let of_first = traces.iter().filter(|sent| sent.contains(trace)).count();
    let of_second = traces.iter().filter(|sent| *sent == left_out).count();
    assert!(of_first > 0 && of_first == of_second, "{traces:?}");
    connector.stop().await;
    Ok(())
}

/// In place of the light plugin's answers: numbers of tokens, one of each text, or none where a text asks for none.
#[cfg(feature = "export")]
const COUNTS: &str = "def messages(request):
    texts = request['data']['texts']
    counts = [] if 'none' in texts[0] else [1 for _ in texts]
    yield {'type': 'stream', 'data': {'num_tokens': counts}}
    yield {'type': 'end', 'data': {}}
    return
";

#[cfg(feature = "export")]
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_what_is_counted_of_calls_of_functions() -> Result<()> {
    let (folder, collector) = (tempfile::tempdir()?, crate::collector::Collector::start().await?);
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let connector = Connector::start(address, folder.path()).await?;
    let exporting = serverless(address)?.with("ENABLE_OTEL", "true").with("OTLP_BASE_ENDPOINT", &collector.url);
    let exporting = exporting.with("OTEL_METRIC_EXPORT_INTERVAL", "200").with("MAX_SERVERLESS_REQUEST_BYTES", "2000");
    let running = exporting.start().await?;
    let client = running.client(&tenant())?;
    let main = std::fs::read_to_string(plugins::light_folder().join("main.py"))?;
    let main = main.replace("def messages(request):\n", COUNTS);
    client.install_package(&plugins::light("a function", &[("main.py", &main)])?).await?;
    let count = async |texts: [String; 3]| {
        let data = json!({
            "provider": "p", "model": "m", "model_type": "text-embedding", "credentials": {}, "texts": texts,
        });
        client.dispatch("testkit/light", "text_embedding/num_tokens", data).await?.collect().await
    };
    let texts = |first: &str| [first.repeat(200), "b".repeat(800), "c".repeat(800)];
    let whole = count(texts("a")).await?;
    assert_eq!(whole[0]["num_tokens"], json!([1, 1, 1]));
    count(texts("none")).await.unwrap_err();
    count(texts(&"a".repeat(20))).await.unwrap_err();
    connector.stop().await;
    count(texts("a")).await.unwrap_err();

    let call = "plugin.access_type=model plugin.action=get_text_embedding_num_tokens plugin.id=testkit/light \
                plugin.runtime_type=serverless plugin.version=0.0.1";
    for (name, labels) in [
        ("batch.count", call.to_owned()),
        ("batch.payload_bytes", call.to_owned()),
        ("batch.oversize_items", call.to_owned()),
        ("batch.result_mismatches", format!("batch.mismatch_reason=token_count {call}")),
        (
            "runtime.failures",
            "failure.source=lambda_function_url failure.type=transport http.response.status_code=0 \
             plugin.action=get_text_embedding_num_tokens"
                .to_owned(),
        ),
    ] {
        let name = format!("plugin.serverless.{name}");
        assert_eq!(collector.metrics(&name).await?[&name], [labels], "{name}");
    }
    Ok(())
}
