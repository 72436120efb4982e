//! Traces and error reports, and variables of the reference that change nothing.

use crate::config::registry::group;

group! {
    /// OpenTelemetry.
    OpenTelemetry, "OpenTelemetry";
    /// Sends traces and metrics.
    enabled: Bool = "ENABLE_OTEL" => "false" [NotYet];
    /// URL of the collector; `/v1/traces` and `/v1/metrics` are added.
    base_endpoint: Text = "OTLP_BASE_ENDPOINT" => "http://localhost:4318" [NotYet];
    /// Full URL for traces.
    trace_endpoint: Text = "OTLP_TRACE_ENDPOINT" [NotYet];
    /// Full URL for metrics.
    metric_endpoint: Text = "OTLP_METRIC_ENDPOINT" [NotYet];
    /// Key sent as a bearer token.
    api_key: Hidden = "OTEL_API_KEY" | "OTLP_API_KEY" [Secret NotYet];
    /// Part of the traces that is sent, 0 to 1, unless the caller has decided.
    sampling_rate: Float = "OTEL_SAMPLING_RATE" => "1.0" [NotYet];
    /// Time between two sendings of spans.
    schedule_delay: Millis = "OTEL_BATCH_EXPORT_SCHEDULE_DELAY" => "5000" [NotYet];
    /// Time for sending spans.
    export_timeout: Millis = "OTEL_BATCH_EXPORT_TIMEOUT" => "10000" [NotYet];
    /// Spans that may wait.
    max_queue: Count = "OTEL_MAX_QUEUE_SIZE" => "2048" [NotYet];
    /// Spans sent at once.
    max_batch: Count = "OTEL_MAX_EXPORT_BATCH_SIZE" => "512" [NotYet];
    /// Time between two sendings of metrics.
    metric_interval: Millis = "OTEL_METRIC_EXPORT_INTERVAL" => "60000" [NotYet];
    /// Time for sending metrics.
    metric_timeout: Millis = "OTEL_METRIC_EXPORT_TIMEOUT" => "30000" [NotYet];
    /// Protocol; it is always `http/protobuf`.
    protocol: Text = "OTEL_EXPORTER_OTLP_PROTOCOL" [Unused];
    /// Exporter; it is always `otlp`.
    exporter: Text = "OTEL_EXPORTER_TYPE" [Unused];
}

group! {
    /// Sentry.
    Sentry, "Sentry";
    /// Sends errors to Sentry.
    enabled: Bool = "SENTRY_ENABLED" => "false" [NotYet];
    /// Where to.
    dsn: Hidden = "SENTRY_DSN" [Secret NotYet];
    /// With stack traces.
    attach_stacktrace: Bool = "SENTRY_ATTACH_STACKTRACE" => "false" [NotYet];
    /// With traces.
    tracing_enabled: Bool = "SENTRY_TRACING_ENABLED" => "false" [NotYet];
    /// Part of the traces that is sent.
    traces_sample_rate: Float = "SENTRY_TRACES_SAMPLE_RATE" => "0" [NotYet];
    /// Part of the errors that is sent.
    sample_rate: Float = "SENTRY_SAMPLE_RATE" => "0" [NotYet];
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
