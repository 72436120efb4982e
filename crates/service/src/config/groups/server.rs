//! Listener, keys, Dify's inner API, logs.

use crate::config::registry::group;

group! {
    /// The HTTP listener and what belongs to the process.
    Server, "Server";
    /// Folder for everything that the daemon keeps when no other place is configured: database file, storage, plugins'
    /// working folders, generated keys.
    data_path: Path = "PLUGIN_DATA_PATH" => "./data";
    /// Address to listen on.
    host: Text = "SERVER_HOST" => "0.0.0.0" [Late];
    /// Port to listen on; other nodes are given it too.
    port: Port = "SERVER_PORT" => "5002" [Late];
    /// Address at which other nodes reach this one, as `host`, `host:port` or `http://host:port`. The default is
    /// `SERVER_HOST` when that is an address of its own, else that of the interface through which Redis is reached.
    node_address: Text = "SERVER_NODE_ADDRESS";
    /// Key that Dify sends in `X-Api-Key`. When it is not set, one is generated at the first start and kept in the data
    /// folder.
    key: Hidden = "SERVER_KEY" [Secret];
    /// Whether the daemon starts with the keys of the reference's and Dify's sample files, which everybody knows. When this is
    /// not set, it starts unless it listens on a public address, and warns in the log and in `/ready`.
    allow_sample_keys: Bool = "PLUGIN_ALLOW_SAMPLE_KEYS";
    /// IANA time zone of log times.
    time_zone: Text = "SERVER_TZ" => "UTC";
    /// Addresses and networks, separated by commas, of proxies whose headers on the way of a request are believed:
    /// `X-Forwarded-*`, `X-Original-Host`, `X-Real-IP`, `Forwarded`, `Dify-Hook-Url`. From all others they are dropped. Name
    /// the daemon's other nodes too. When it is not set, everybody is believed, as with the reference.
    trusted_proxies: Networks = "SERVER_TRUSTED_PROXIES" => "";
    /// Most connections at a time; further ones wait in the backlog.
    max_connections: Count = "SERVER_MAX_CONNECTIONS" => "10000" [Late];
    /// Largest body of a request that is not an upload.
    max_request_bytes: Bytes = "SERVER_MAX_REQUEST_BYTES" => "268435456" [Late];
    /// Silence of a streamed answer after which an empty line is sent, so that no proxy and no client on the way gives up;
    /// 0 for never. A plugin that says nothing is ended by `PLUGIN_CALL_IDLE_TIMEOUT_SECONDS` and
    /// `PLUGIN_MAX_EXECUTION_TIMEOUT` alone: Dify's own read time-out does not expire while lines come.
    keep_alive: Seconds = "SERVER_KEEP_ALIVE_SECONDS" => "15";
    /// How long running calls may go on after SIGTERM before they are cut; a second signal cuts them at once. Keep it
    /// below the grace period of what sends the signal (10 s for Docker, 30 s for Kubernetes).
    drain_timeout: Seconds = "SERVER_DRAIN_TIMEOUT_SECONDS" => "8";
    /// Total that `/health/check` reports as its pool. The reference runs its work in a pool of this size.
    routine_pool_size: Count = "ROUTINE_POOL_SIZE" => "10000" [Late];
    /// Serves `/debug/pprof/`, with the key.
    pprof_enabled: Bool = "PPROF_ENABLED" => "false";
    /// Serves `/metrics/`.
    prometheus_enabled: Bool = "PROMETHEUS_ENABLED" => "true";
    /// Mode of the reference's HTTP library.
    gin_mode: Text = "GIN_MODE" [Unused];
}

group! {
    /// The administrators' routes.
    Admin, "Administration";
    /// Serves `/admin`.
    enabled: Bool = "ADMIN_API_ENABLED" => "false";
    /// Key in `X-Admin-Api-Key`, at least 10 bytes.
    key: Hidden = "ADMIN_API_KEY" [Secret];
}

group! {
    /// Calls into Dify.
    DifyApi, "Dify's inner API";
    /// Base URL of Dify's API server.
    url: Text = "DIFY_INNER_API_URL" => "http://127.0.0.1:5001" [Late];
    /// Key sent to Dify. When it is not set, one is generated at the first start and kept in the data folder.
    key: Hidden = "DIFY_INNER_API_KEY" [Secret];
    /// Time for sending a request to Dify; the reference does not heed it either.
    write_timeout: Millis = "DIFY_BACKWARDS_INVOCATION_WRITE_TIMEOUT" => "5000" [Unused];
    /// How long Dify may be silent: before its answer begins, and between two pieces of it.
    read_timeout: Millis = "DIFY_BACKWARDS_INVOCATION_READ_TIMEOUT" => "240000";
    /// Largest document of Dify's: a whole answer, or a piece of a streamed one.
    max_line_bytes: Bytes = "RESPONSE_MAX_BUFFER_SIZE" => "31457280" [Late];
}

group! {
    /// Logging.
    Log, "Logs";
    /// Least severe level that is logged. SIGUSR1 switches a running daemon to `DEBUG`, SIGUSR2 back.
    level: LogLevel = "LOG_LEVEL" => "INFO";
    /// `json` for JSON lines; anything else for text.
    format: LogFormat = "LOG_OUTPUT_FORMAT" => "text";
    /// File to which lines are appended as well. Its folder is made with mode 0700, the file with 0600. SIGHUP has it
    /// opened anew, for those who move it away.
    file: Path = "LOG_FILE";
    /// Logs requests to `/health/check`.
    health_checks: Bool = "HEALTH_API_LOG_ENABLED" => "true";
    /// Logs the coming and going of other nodes.
    cluster: Bool = "DISPLAY_CLUSTER_LOG" => "false";
}
