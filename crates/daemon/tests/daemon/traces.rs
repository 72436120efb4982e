//! What a collector gets of requests, calls and installs.

use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;
use plugin_testkit::daemon::Settings;
use plugin_testkit::plugins;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::collector::Collector;
use crate::faults::misbehaving;
use crate::{daemon, tenant};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// A daemon that sends to a collector without delay.
pub(crate) fn exporting(collector: &Collector) -> Result<Settings> {
    Ok(daemon()?
        .with("ENABLE_OTEL", "true")
        .with("OTLP_BASE_ENDPOINT", &collector.url)
        .with("OTEL_API_KEY", "the-key")
        .with("OTEL_BATCH_EXPORT_SCHEDULE_DELAY", "50")
        .with("OTEL_METRIC_EXPORT_INTERVAL", "200")
        .with("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test"))
}

/// Dify's route for uploads, with the `traceparent` and `baggage` of each request.
async fn dify() -> Result<(String, mpsc::Receiver<(String, String)>)> {
    let (seen, requests) = mpsc::channel(64);
    let route = post(move |headers: HeaderMap| async move {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        // the test may have ended
        let _ = seen.try_send((text("traceparent"), text("baggage")));
        axum::Json(json!({"data": {"url": "http://files/1"}}))
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let routes = Router::new().route("/inner/api/upload/file/request", route);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok((url, requests))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_with_a_call_back_is_one_trace_and_its_install_another() -> Result<()> {
    let (collector, (dify, mut requests)) = (Collector::start().await?, dify().await?);
    let running = exporting(&collector)?.with("DIFY_INNER_API_URL", &dify).start().await?;
    let tenant = tenant();
    let plugin = include_str!("../../benches/calls/plugin.py");
    let package = plugins::program(plugin)?;

    let installed = "1af7651916cd43dd8448eb211c80319c";
    let client = running.client(&tenant)?.with_header("traceparent", &format!("00-{installed}-{CALLER}-01"));
    client.install_package(&package).await?;
    let trace = collector.trace(installed, "plugin.install").await?;
    let shown = ["plugin.start.kind", "tenant_id"];
    let tree = trace.tree(&shown).replace(&tenant, "TENANT");
    let steps = steps_of(&tree);
    insta::assert_snapshot!("install", steps);
    assert!(tree.lines().any(is_statement), "{tree}");

    let client = running
        .client(&tenant)?
        .with_header("traceparent", &format!("00-{TRACE}-{CALLER}-01"))
        .with_header("baggage", "app=a");
    let parameters = json!({"count": 1, "dify": dify.trim_start_matches("http://")});
    client.invoke_tool("testkit/light", "light", "answer", parameters).await?.collect().await?;
    let route = "POST /plugin/:tenant_id/dispatch/tool/invoke";
    let trace = collector.trace(TRACE, route).await?;
    let shown =
        ["http.response.status_code", "plugin.id", "plugin.action", "plugin.outcome", "plugin.chunks", "tenant_id"];
    insta::assert_snapshot!("call", steps_of(&trace.tree(&shown).replace(&tenant, "TENANT")));
    assert_eq!(trace.parent(route).as_deref(), Some(CALLER));
    let (traceparent, baggage) = requests.recv().await.context("Dify was not asked")?;
    let asked = trace.id("POST /inner/api/upload/file/request").context("no span of the request to Dify")?;
    assert_eq!((traceparent, baggage.as_str()), (format!("00-{TRACE}-{asked}-01"), "app=a"));

    assert_eq!(collector.header("authorization").as_deref(), Some("Bearer the-key"));
    let service = |name: &str| collector.resource(name).unwrap_or_default();
    assert_eq!([service("service.name"), service("deployment.environment")], ["dify-plugin-daemon", "test"]);
    let metrics = collector.metrics("plugin.invocations").await?;
    let call = "plugin.access_type=tool plugin.id=testkit/light plugin.outcome=success plugin.runtime_type=local \
                plugin.version=0.0.1";
    assert_eq!(
        (&*metrics["plugin.invocations"], &*metrics["plugin.invocation.duration"]),
        (&[call.to_owned()][..], &[call.to_owned()][..])
    );
    Ok(())
}

/// The tree without what depends on the machine and the moment: statements of the database, how often the client looks after
/// its task, how many interpreters are tried.
fn steps_of(tree: &str) -> String {
    let mut lines: Vec<_> = tree.lines().collect();
    lines.retain(|line| !is_statement(line) && !line.contains("/install/tasks/"));
    lines.dedup();
    lines.join("\n")
}

/// Whether a span is one of the database.
fn is_statement(line: &str) -> bool {
    ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].iter().any(|word| line.trim_start().starts_with(word))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_caller_decides_what_is_traced_and_the_log_has_the_ids() -> Result<()> {
    let collector = Collector::start().await?;
    let running =
        exporting(&collector)?.with("OTEL_SAMPLING_RATE", "0").with("LOG_OUTPUT_FORMAT", "json").start().await?;
    let client = running.client(&tenant())?;
    client.install_package(&plugins::light("hello", &[])?).await?;
    let (left_out, sampled) = (TRACE, "1af7651916cd43dd8448eb211c80319c");
    for (trace, flags) in [(left_out, "00"), (sampled, "01")] {
        let client = client.clone().with_header("traceparent", &format!("00-{trace}-{CALLER}-{flags}"));
        client.invoke_tool("testkit/light", "light", "answer", json!({})).await?.collect().await?;
    }
    let trace = collector.trace(sampled, "POST /plugin/:tenant_id/dispatch/tool/invoke").await?;
    let span = trace.id("POST /plugin/:tenant_id/dispatch/tool/invoke").context("no span of the request")?;
    let stopped = running.terminate().await?;
    assert!(collector.spans_of(left_out).is_empty(), "the caller did not want it");
    assert_eq!(collector.traces(), 1, "nor did anybody else");
    let line = |trace: &str| -> Result<Value> {
        let log = stopped.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut lines = lines.filter(|line| line["message"] == "HTTP request" && line["trace_id"] == trace);
        lines.next().context("the request is not in the log")
    };
    assert_eq!(line(sampled)?["span_id"], span.as_str());
    assert_eq!(line(left_out)?["span_id"], CALLER);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_gone_or_silent_costs_spans_and_no_call() -> Result<()> {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    for address in [silent.local_addr()?, gone] {
        let running = daemon()?
            .with("ENABLE_OTEL", "true")
            .with("OTLP_BASE_ENDPOINT", &format!("http://{address}"))
            .with("OTEL_BATCH_EXPORT_SCHEDULE_DELAY", "20")
            .with("OTEL_MAX_QUEUE_SIZE", "8")
            .with("OTEL_MAX_EXPORT_BATCH_SIZE", "8")
            .start()
            .await?;
        let client = running.client(&tenant())?;
        client.install_package(&plugins::light("hello", &[])?).await?;
        let lost = async {
            loop {
                client.invoke_tool("testkit/light", "light", "answer", json!({})).await?.collect().await?;
                let metrics = reqwest::get(format!("{}/metrics", running.url())).await?.text().await?;
                let count = |result: &str| {
                    let name = format!("plugin_exported_spans_total{{result=\"{result}\"}} ");
                    metrics.lines().find_map(|line| line.strip_prefix(&*name)?.parse::<u64>().ok())
                };
                assert_eq!(count("sent"), Some(0), "{metrics}");
                if count("failed").unwrap_or(0) + count("dropped").unwrap_or(0) > 0 {
                    return anyhow::Ok(());
                }
            }
        };
        tokio::time::timeout(Duration::from_mins(1), lost).await.context("no span was counted as lost")??;
        // a start and a stop do not wait for it either: the test's own limit would say so
        running.terminate().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_is_spoken_to_by_grpc_with_the_key() -> Result<()> {
    let collector = Collector::start_grpc().await?;
    let running = exporting(&collector)?.with("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc").start().await?;
    let client = running.client(&tenant())?.with_header("traceparent", &format!("00-{TRACE}-{CALLER}-01"));
    client.get("management/list?page=1&page_size=10").await?;
    let trace = collector.trace(TRACE, "GET /plugin/:tenant_id/management/list").await?;
    assert_eq!(trace.parent("GET /plugin/:tenant_id/management/list").as_deref(), Some(CALLER));
    assert_eq!(collector.header("authorization").as_deref(), Some("Bearer the-key"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_a_model_has_its_tokens_and_only_where_that_is_wished_what_was_said() -> Result<()> {
    let collector = Collector::start().await?;
    let usage = json!({
        "prompt_tokens": 2, "prompt_unit_price": "0", "prompt_price_unit": "0", "prompt_price": "0", "completion_tokens": 3,
        "completion_unit_price": "0", "completion_price_unit": "0", "completion_price": "0", "total_tokens": 5,
        "total_price": "0", "currency": "USD", "latency": 1,
    });
    let message = json!({"role": "assistant", "content": "the answer", "tool_calls": []});
    let chunk = json!({"model": "m", "delta": {"index": 0, "message": message, "usage": usage}});
    let says = format!(
        "say('session', request['session_id'], {{'type': 'stream', 'data': json.loads('''{chunk}''')}})\n    \
         say('session', request['session_id'], {{'type': 'end', 'data': {{}}}})\n    return"
    );
    let package = misbehaving(&says)?;
    let ask = json!({
        "provider": "p", "model": "m", "model_type": "llm", "credentials": {"api_key": "s3cr3t"}, "model_parameters": {},
        "prompt_messages": [{"role": "user", "content": "the question"}], "stream": true,
    });
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("plugins.toml");
    for (settings, trace_id) in [
        ("", "1af7651916cd43dd8448eb211c80319c"),
        ("[plugins.\"testkit/light\"]\ntrace_content = true\n", "2af7651916cd43dd8448eb211c80319c"),
    ] {
        std::fs::write(&file, settings)?;
        let running = exporting(&collector)?.with("PLUGIN_SETTINGS_FILE", &file.display().to_string()).start().await?;
        let client = running.client(&tenant())?;
        client.install_package(&package).await?;
        let client = client.with_header("traceparent", &format!("00-{trace_id}-{CALLER}-01"));
        client.dispatch("testkit/light", "llm/invoke", ask.clone()).await?.collect().await?;
        let trace = collector.trace(trace_id, "POST /plugin/:tenant_id/dispatch/llm/invoke").await?;
        let wanted = ["gen_ai.", "plugin.request", "plugin.answer"];
        let mut found = trace.attributes("plugin.invoke invoke_llm", &wanted).context("no span of the call")?;
        let said = [found.remove("plugin.request"), found.remove("plugin.answer")];
        let facts: Vec<_> = found.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let expected = "gen_ai.operation.name=chat gen_ai.provider.name=p gen_ai.request.model=m \
                        gen_ai.usage.input_tokens=2 gen_ai.usage.output_tokens=3";
        assert_eq!(facts.join(" "), expected);
        let [request, answer] = match (settings, said) {
            ("", said) => {
                assert_eq!(said, [None, None]);
                continue;
            }
            (_, [request, answer]) => [request.context("no request")?, answer.context("no answer")?],
        };
        assert!(request.contains("the question") && !request.contains("s3cr3t"), "{request}");
        assert!(answer.contains("the answer"), "{answer}");
    }
    Ok(())
}
