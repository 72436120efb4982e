use super::*;

fn call() -> Call {
    let labels = Invocation {
        plugin_id: "a/b".into(),
        plugin_type: "tool",
        runtime_type: RuntimeKind::Local,
        operation: "invoke_tool",
    };
    Call { labels, version: "0.0.1".into() }
}

fn samples(metrics: &Metrics, name: &str) -> Vec<String> {
    let text = metrics.expose(Format::Plain).text;
    text.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
}

#[test]
fn a_call_is_counted_once_however_it_ends() {
    let metrics = Metrics::new();
    let labels = r#"{plugin_id="a/b",plugin_type="tool",runtime_type="local",operation="invoke_tool""#;
    let first = metrics.invocation_started(call());
    let second = metrics.invocation_started(call());
    let active = r#"plugin_invocations_active{plugin_id="a/b",plugin_type="tool",runtime_type="local"}"#;
    assert_eq!(samples(&metrics, "plugin_invocations_active"), [format!("{active} 2")]);
    assert_eq!(metrics.active_sessions(), 2);
    first.end(Outcome::Timeout);
    drop(second);
    assert_eq!(samples(&metrics, "plugin_invocations_active"), [format!("{active} 0")]);
    let mut ends = samples(&metrics, "plugin_invocations_total");
    ends.sort();
    assert_eq!(
        ends,
        [
            format!(r#"plugin_invocations_total{labels},status="client_disconnect"}} 1"#),
            format!(r#"plugin_invocations_total{labels},status="timeout"}} 1"#),
        ]
    );
    assert_eq!(samples(&metrics, "plugin_invocation_duration_seconds_count").len(), 1);
}

#[test]
fn names_and_labels_are_the_reference_s() {
    let metrics = Metrics::new();
    metrics.http_request(&http::Method::GET, "/plugin/:tenant_id/management/list", 200, Duration::from_millis(7));
    metrics.installation_ended("a/b", Success::Failed, Duration::from_secs(20));
    metrics.runtime_status("a/b", RuntimeKind::Remote, 0.5);
    metrics.plugin_ended("a/b", RuntimeKind::Local, 1);
    metrics.active_plugins(RuntimeKind::Local, 3);
    metrics.storage_operation("load", "local", Success::Success, Duration::from_millis(1));
    let text = metrics.expose(Format::Plain).text;
    for line in [
        "# TYPE plugin_http_requests_total counter",
        r#"plugin_http_requests_total{method="GET",endpoint="/plugin/:tenant_id/management/list",status="200"} 1"#,
        r#"plugin_http_request_duration_seconds_bucket{le="0.01",method="GET",endpoint="/plugin/:tenant_id/management/list"} 1"#,
        r#"plugin_installations_total{plugin_id="a/b",status="failed"} 1"#,
        r#"plugin_installation_duration_seconds_bucket{le="10.0",plugin_id="a/b"} 0"#,
        r#"plugin_installation_duration_seconds_bucket{le="30.0",plugin_id="a/b"} 1"#,
        r#"plugin_runtime_status{plugin_id="a/b",runtime_type="remote"} 0.5"#,
        r#"plugin_restarts_total{plugin_id="a/b",runtime_type="local"} 1"#,
        r#"active_plugins_total{runtime_type="local"} 3"#,
        "active_sessions_total 0",
        r#"storage_operations_total{operation="load",storage_type="local",status="success"} 1"#,
        "# TYPE process_cpu_seconds_total counter",
    ] {
        assert!(text.lines().any(|have| have == line), "{line}\n{text}");
    }
    assert!(!text.contains("# EOF"));
    metrics.runtime_removed("a/b", RuntimeKind::Remote);
    assert!(samples(&metrics, "plugin_runtime_status").is_empty());
}

#[test]
fn methods_that_callers_make_up_are_one() {
    let metrics = Metrics::new();
    for method in ["BREW1", "BREW2", "get", "GET"] {
        metrics.http_request(&method.parse().unwrap(), "", 404, Duration::ZERO);
    }
    let mut requests = samples(&metrics, "plugin_http_requests_total");
    requests.sort();
    assert_eq!(
        requests,
        [
            r#"plugin_http_requests_total{method="GET",endpoint="",status="404"} 1"#,
            r#"plugin_http_requests_total{method="other",endpoint="",status="404"} 3"#,
        ]
    );
}

#[test]
fn a_scraper_gets_the_format_it_asks_for() {
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    assert_eq!(Format::accepted(Some(accept)), Format::OpenMetrics);
    assert_eq!(Format::accepted(Some("text/plain")), Format::Plain);
    assert_eq!(Format::accepted(None), Format::Plain);
    assert!(Metrics::new().expose(Format::OpenMetrics).text.ends_with("# EOF\n"));
}

#[test]
fn the_process_is_described() {
    let metrics = Metrics::new();
    let memory = samples(&metrics, "process_resident_memory_bytes");
    let bytes: f64 = memory[0].rsplit(' ').next().unwrap().parse().unwrap();
    assert!(bytes > 1e6, "{bytes}");
}

#[test]
fn a_call_in_an_exported_trace_is_an_example_of_its_duration() {
    let metrics = Metrics::new();
    let mut guard = metrics.invocation_started(call());
    guard.traced("0af7651916cd43dd8448eb211c80319c");
    guard.end(Outcome::Success);
    let example = "# {trace_id=\"0af7651916cd43dd8448eb211c80319c\"}";
    let of = |format| metrics.expose(format).text.matches(example).count();
    assert_eq!((of(Format::OpenMetrics), of(Format::Plain)), (1, 0));
    let buckets = samples(&metrics, "plugin_invocation_duration_seconds_bucket");
    assert!(buckets.iter().all(|line| line.rsplit(' ').next().unwrap().parse::<f64>().is_ok()), "{buckets:?}");
}
