//! Traces and error reports, and variables of the reference that change nothing.

use crate::config::registry::group;

group! {
    /// OpenTelemetry.
    OpenTelemetry, "OpenTelemetry";
    /// Sends traces and metrics to a collector. Without a collector that answers nothing waits; what it does not get is counted.
    enabled: Bool = "ENABLE_OTEL" => "false";
    /// URL of the collector; `/v1/traces` and `/v1/metrics` are added.
    base_endpoint: Text = "OTLP_BASE_ENDPOINT" => "http://localhost:4318";
    /// Full URL for traces.
    trace_endpoint: Text = "OTLP_TRACE_ENDPOINT";
    /// Full URL for metrics.
    metric_endpoint: Text = "OTLP_METRIC_ENDPOINT";
    /// Key sent as a bearer token.
    api_key: Hidden = "OTEL_API_KEY" | "OTLP_API_KEY" [Secret];
    /// Part of the traces that is sent, 0 to 1, unless the caller has decided.
    sampling_rate: Float = "OTEL_SAMPLING_RATE" => "1.0";
    /// Time between two sendings of spans.
    schedule_delay: Millis = "OTEL_BATCH_EXPORT_SCHEDULE_DELAY" => "5000";
    /// Time for sending spans.
    export_timeout: Millis = "OTEL_BATCH_EXPORT_TIMEOUT" => "10000";
    /// Spans that may wait.
    max_queue: Count = "OTEL_MAX_QUEUE_SIZE" => "2048";
    /// Spans sent at once.
    max_batch: Count = "OTEL_MAX_EXPORT_BATCH_SIZE" => "512";
    /// Time between two sendings of metrics.
    metric_interval: Millis = "OTEL_METRIC_EXPORT_INTERVAL" => "60000";
    /// Time for sending metrics.
    metric_timeout: Millis = "OTEL_METRIC_EXPORT_TIMEOUT" => "30000";
    /// Protocol: `http/protobuf` or `grpc`. With `grpc` the URL is the collector's address without a path, by default
    /// `http://localhost:4317`.
    protocol: OtlpProtocol = "OTEL_EXPORTER_OTLP_PROTOCOL" => "http/protobuf";
    /// More headers for the collector: `name=value,name=value`, values percent-encoded.
    headers: Hidden = "OTEL_EXPORTER_OTLP_HEADERS" [Secret];
    /// Name of the service in traces and metrics.
    service_name: Text = "OTEL_SERVICE_NAME" => "dify-plugin-daemon";
    /// More attributes of the service: `name=value,name=value`, values percent-encoded.
    resource_attributes: Text = "OTEL_RESOURCE_ATTRIBUTES";
    /// Puts what is asked of plugins and what they answer into traces, up to 8 KiB each. That may have secrets of users in it; for
    /// single plugins see [operations.md](operations.md#traces-and-errors).
    trace_content: Bool = "PLUGIN_TRACE_CONTENT" => "false";
    /// Exporter; it is always `otlp`.
    exporter: Text = "OTEL_EXPORTER_TYPE" [Unused];
}

group! {
    /// Sentry.
    Sentry, "Sentry";
    /// Sends panics, and what is logged as ERROR, to Sentry; without what is secret.
    enabled: Bool = "SENTRY_ENABLED" => "false";
    /// Where to: the DSN of the project.
    dsn: Hidden = "SENTRY_DSN" [Secret];
    /// Environment that errors are shown under, such as `production`.
    environment: Text = "SENTRY_ENVIRONMENT";
    /// With the stack of a panic.
    attach_stacktrace: Bool = "SENTRY_ATTACH_STACKTRACE" => "false";
    /// With the trace that an error happened in: its ids go with the error.
    tracing_enabled: Bool = "SENTRY_TRACING_ENABLED" => "false";
    /// Part of the calls that is sent as transactions, 0 to 1, if `SENTRY_TRACING_ENABLED` is true.
    traces_sample_rate: Float = "SENTRY_TRACES_SAMPLE_RATE" => "0";
    /// Part of the errors that is sent, 0 to 1. As in the reference 0 counts as 1.
    sample_rate: Float = "SENTRY_SAMPLE_RATE" => "0";
}

group! {
    /// Known and without effect, in the reference as well.
    Leftovers, "Without effect";
    /// An interval of the reference.
    heartbeat_interval: Text = "LIFETIME_COLLECTION_HEARTBEAT_INTERVAL" [Unused];
    /// An interval of the reference.
    collection_gc_interval: Text = "LIFETIME_COLLECTION_GC_INTERVAL" [Unused];
    /// An interval of the reference.
    state_gc_interval: Text = "LIFETIME_STATE_GC_INTERVAL" [Unused];
    /// A time of the reference.
    connection_idle_timeout: Text = "DIFY_INVOCATION_CONNECTION_IDLE_TIMEOUT" [Unused];
}
