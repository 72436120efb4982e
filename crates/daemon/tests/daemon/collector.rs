//! A collector that keeps what it gets, and shows a trace as a tree.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, metric, number_data_point};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{Span, status};
use parking_lot::Mutex;
use prost::Message as _;
use tokio::time::timeout;

#[derive(Debug, Default)]
struct Got {
    spans: Vec<Span>,
    resource: Option<Resource>,
    metrics: Vec<Metric>,
    headers: HeaderMap,
}

impl Got {
    fn take(&mut self, headers: HeaderMap, request: ExportTraceServiceRequest) {
        self.headers = headers;
        for of_resource in request.resource_spans {
            self.resource = of_resource.resource;
            self.spans.extend(of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans));
        }
    }
}

/// A running collector.
#[derive(Clone, Debug)]
pub(crate) struct Collector {
    got: Arc<Mutex<Got>>,
    pub(crate) url: String,
}

impl Collector {
    pub(crate) async fn start() -> Result<Self> {
        let got = Arc::<Mutex<Got>>::default();
        let routes = Router::new()
            .route("/v1/traces", post(traces))
            .route("/v1/metrics", post(metrics))
            .with_state(Arc::clone(&got));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(Self { got, url })
    }

    /// The same by gRPC.
    pub(crate) async fn start_grpc() -> Result<Self> {
        let got = Arc::<Mutex<Got>>::default();
        // tonic binds by itself, and says when it cannot
        let address = tokio::net::TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
        let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(Grpc(Arc::clone(&got))));
        tokio::spawn(server.serve(address));
        Ok(Self { got, url: format!("http://{address}") })
    }

    /// The spans of a trace, once the span of this name and its children have come.
    pub(crate) async fn trace(&self, trace_id: &str, last: &str) -> Result<Trace> {
        self.whole_trace(trace_id, last, 1).await
    }

    /// The same once several spans of the name have come.
    pub(crate) async fn whole_trace(&self, trace_id: &str, last: &str, count: usize) -> Result<Trace> {
        let is_of_trace = |span: &Span| hex(&span.trace_id) == trace_id;
        let came = async {
            loop {
                let spans: Vec<_> = self.got.lock().spans.iter().filter(|span| is_of_trace(span)).cloned().collect();
                if spans.iter().filter(|span| span.name == last).count() >= count {
                    return Trace(spans);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let others = || self.got.lock().spans.iter().map(|span| span.name.clone()).collect::<Vec<_>>();
        timeout(Duration::from_mins(1), came)
            .await
            .with_context(|| format!("no span {last} of trace {trace_id}, but {:?}", others()))
    }

    /// The names of metrics with their attributes, once this one has come.
    pub(crate) async fn metrics(&self, awaited: &str) -> Result<BTreeMap<String, Vec<String>>> {
        let came = async {
            loop {
                let found: BTreeMap<_, _> =
                    self.got.lock().metrics.iter().map(|metric| (metric.name.clone(), points(metric))).collect();
                if found.contains_key(awaited) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_mins(1), came).await.with_context(|| format!("no metric {awaited}"))
    }

    /// A metric that is a number, once it has come.
    pub(crate) async fn number(&self, name: &str) -> Result<Number> {
        self.metrics(name).await?;
        let got = self.got.lock();
        let metric = got.metrics.iter().find(|metric| metric.name == name).context("it is gone again")?;
        let (is_counter, points) = match &metric.data {
            Some(metric::Data::Gauge(gauge)) => (false, &gauge.data_points),
            Some(metric::Data::Sum(sum)) => (sum.is_monotonic, &sum.data_points),
            other => bail!("{name} is no number: {other:?}"),
        };
        let value = |point: &NumberDataPoint| match point.value {
            Some(number_data_point::Value::AsDouble(number)) => Ok((shown(&point.attributes), number)),
            other => bail!("{name} is no floating-point number: {other:?}"),
        };
        Ok(Number { is_counter, values: points.iter().map(value).collect::<Result<_>>()? })
    }

    /// The spans of a trace that have come until now.
    pub(crate) fn spans_of(&self, trace_id: &str) -> Vec<String> {
        let got = self.got.lock();
        got.spans.iter().filter(|span| hex(&span.trace_id) == trace_id).map(|span| span.name.clone()).collect()
    }

    /// How many traces there are.
    pub(crate) fn traces(&self) -> usize {
        self.got.lock().spans.iter().map(|span| span.trace_id.clone()).collect::<BTreeSet<_>>().len()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        Some(self.got.lock().headers.get(name)?.to_str().ok()?.to_owned())
    }

    /// An attribute of the service.
    pub(crate) fn resource(&self, name: &str) -> Option<String> {
        let resource = self.got.lock().resource.clone()?;
        resource.attributes.iter().find(|attribute| attribute.key == name).map(|found| text(found.value.as_ref()))
    }
}

/// A metric that is a number, its values by their attributes.
#[derive(Debug)]
pub(crate) struct Number {
    pub(crate) is_counter: bool,
    pub(crate) values: BTreeMap<String, f64>,
}

async fn traces(State(got): State<Arc<Mutex<Got>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else { return StatusCode::BAD_REQUEST };
    got.lock().take(headers, request);
    StatusCode::OK
}

struct Grpc(Arc<Mutex<Got>>);

#[tonic::async_trait]
impl TraceService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let (metadata, _, request) = request.into_parts();
        self.0.lock().take(metadata.into_headers(), request);
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn metrics(State(got): State<Arc<Mutex<Got>>>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportMetricsServiceRequest::decode(body) else { return StatusCode::BAD_REQUEST };
    let scopes = request.resource_metrics.into_iter().flat_map(|of_resource| of_resource.scope_metrics);
    got.lock().metrics = scopes.flat_map(|of_scope| of_scope.metrics).collect();
    StatusCode::OK
}

/// The spans of one trace.
pub(crate) struct Trace(Vec<Span>);

impl Trace {
    /// A line a span: name, kind, how it ended, and these of its attributes; what it belongs to is above it.
    pub(crate) fn tree(&self, attributes: &[&str]) -> String {
        let mut text = String::new();
        let roots = self.0.iter().filter(|span| !self.0.iter().any(|other| other.span_id == span.parent_span_id));
        for root in sorted(roots) {
            self.add(&mut text, root, 0, attributes);
        }
        text
    }

    fn add(&self, text: &mut String, span: &Span, depth: usize, attributes: &[&str]) {
        let kind = match span.kind() {
            SpanKind::Server => "server",
            SpanKind::Client => "client",
            SpanKind::Consumer => "consumer",
            _ => "",
        };
        let mut line = format!("{}{} {kind}", "  ".repeat(depth), span.name).trim_end().to_owned();
        if let Some(failed) = span.status.as_ref().filter(|status| status.code == status::StatusCode::Error as i32) {
            let _ = write!(line, " FAILED {}", failed.message);
        }
        for name in attributes {
            if let Some(found) = span.attributes.iter().find(|attribute| attribute.key == *name) {
                let _ = write!(line, " {name}={}", self::text(found.value.as_ref()));
            }
        }
        for event in &span.events {
            let _ = write!(line, " [{}]", event.name);
        }
        text.push_str(&line);
        text.push('\n');
        for child in sorted(self.0.iter().filter(|child| child.parent_span_id == span.span_id)) {
            self.add(text, child, depth + 1, attributes);
        }
    }

    /// The id of the span that the span of this name belongs to.
    pub(crate) fn parent(&self, name: &str) -> Option<String> {
        self.0.iter().find(|span| span.name == name).map(|span| hex(&span.parent_span_id))
    }

    /// The attributes of the span of this name whose own names begin with one of these.
    pub(crate) fn attributes(&self, name: &str, prefixes: &[&str]) -> Option<BTreeMap<String, String>> {
        let span = self.0.iter().find(|span| span.name == name)?;
        let is_wanted = |one: &&KeyValue| prefixes.iter().any(|prefix| one.key.starts_with(prefix));
        let wanted = span.attributes.iter().filter(is_wanted);
        Some(wanted.map(|one| (one.key.clone(), text(one.value.as_ref()))).collect())
    }

    /// The id of the span of this name.
    pub(crate) fn id(&self, name: &str) -> Option<String> {
        self.0.iter().find(|span| span.name == name).map(|span| hex(&span.span_id))
    }
}

fn sorted<'a>(spans: impl Iterator<Item = &'a Span>) -> Vec<&'a Span> {
    let mut spans: Vec<_> = spans.collect();
    spans.sort_by_key(|span| span.start_time_unix_nano);
    spans
}

fn points(metric: &Metric) -> Vec<String> {
    let attributes: Vec<&Vec<KeyValue>> = match &metric.data {
        Some(metric::Data::Sum(sum)) => sum.data_points.iter().map(|point| &point.attributes).collect(),
        Some(metric::Data::Histogram(found)) => found.data_points.iter().map(|point| &point.attributes).collect(),
        _ => Vec::new(),
    };
    attributes.into_iter().map(|attributes| shown(attributes)).collect()
}

fn shown(attributes: &[KeyValue]) -> String {
    let mut shown: Vec<_> = attributes.iter().map(|one| format!("{}={}", one.key, text(one.value.as_ref()))).collect();
    shown.sort();
    shown.join(" ")
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(any_value::Value::BoolValue(is_so)) => is_so.to_string(),
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
