//! Plugins: what is allowed, where and how they run.

use crate::config::registry::group;

group! {
    /// Packages, paths and limits of plugins.
    Plugins, "Plugins";
    /// Where plugins run: `local` or `serverless`.
    platform: Platform = "PLATFORM" => "local";
    /// File with settings of single plugins, in TOML: isolation, limits, processes, variables. Read at the start, on SIGHUP
    /// and when it changes; see [operations.md](operations.md#settings-of-single-plugins).
    settings_file: Path = "PLUGIN_SETTINGS_FILE";
    /// Folder of extracted plugins.
    working_path: Path = "PLUGIN_WORKING_PATH" => "<PLUGIN_DATA_PATH>/cwd" [Computed];
    /// Prefix of installed packages in the storage.
    installed_path: Text = "PLUGIN_INSTALLED_PATH" => "plugin" [Late];
    /// Prefix of uploaded packages in the storage.
    package_cache_path: Text = "PLUGIN_PACKAGE_CACHE_PATH" => "plugin_packages" [Late];
    /// Prefix of assets in the storage.
    media_cache_path: Text = "PLUGIN_MEDIA_CACHE_PATH" => "assets" [Late];
    /// Assets kept in memory.
    media_cache_size: Count = "PLUGIN_MEDIA_CACHE_SIZE" => "1024" [Late];
    /// Assets of packages kept in memory.
    asset_cache_size: Count = "PLUGIN_ASSET_CACHE_SIZE" => "256" [Late];
    /// Obsolete: lists of installed plugins come from memory in any case.
    model_cache_enabled: Bool = "PLUGIN_MODEL_INSTALLATIONS_CACHE_ENABLED" => "false" [Unused];
    /// Obsolete, too.
    model_cache_ttl: Minutes = "PLUGIN_MODEL_INSTALLATIONS_CACHE_TTL" => "1440" [Late Unused];
    /// Longest time of one call.
    max_execution_timeout: Seconds = "PLUGIN_MAX_EXECUTION_TIMEOUT" => "600" [Late];
    /// Longest time of one installation.
    install_timeout: Minutes = "PLUGIN_INSTALL_TIMEOUT" => "15" [Late];
    /// Environments that are prepared at the same time.
    launching_concurrency: Count = "PLUGIN_LOCAL_LAUNCHING_CONCURRENT" => "2" [Late];
    /// Serves webhooks of plugins at `/e/`.
    endpoints_enabled: Bool = "PLUGIN_ENDPOINT_ENABLED" => "true";
    /// The same, by the name in the reference's sample file: `false` in either turns webhooks off.
    webhook_enabled: Bool = "PLUGIN_WEBHOOK_ENABLED" => "true";
    /// Largest package, as it is and unpacked.
    max_package_bytes: Bytes = "MAX_PLUGIN_PACKAGE_SIZE" => "52428800" [Late];
    /// Largest bundle, as it is.
    max_bundle_bytes: Bytes = "MAX_BUNDLE_PACKAGE_SIZE" => "629145600" [Late];
}

group! {
    /// Which packages may be installed.
    Signatures, "Signatures";
    /// Refuses packages without a good signature.
    force: Bool = "FORCE_VERIFYING_SIGNATURE" => "true";
    /// Refuses packages in bundles whose author is `langgenius` and that Langgenius has not signed.
    enforce_langgenius: Bool = "ENFORCE_LANGGENIUS_PLUGIN_SIGNATURES" => "true";
    /// Refuses such packages also when they are uploaded one by one; off because repackaged official plugins are common.
    enforce_langgenius_uploads: Bool = "ENFORCE_LANGGENIUS_SIGNATURES_OF_UPLOADS" => "false";
    /// Takes signatures of the keys below too.
    third_party_enabled: Bool = "THIRD_PARTY_SIGNATURE_VERIFICATION_ENABLED" => "false";
    /// Files with public keys, separated by commas.
    third_party_keys: List = "THIRD_PARTY_SIGNATURE_VERIFICATION_PUBLIC_KEYS" => "";
}

group! {
    /// Processes of local plugins.
    Workers, "Local plugins";
    /// Processes that a plugin keeps while it is not called.
    min: Count = "PLUGIN_WORKERS_MIN" => "0";
    /// Most processes of one plugin; calls are spread over them.
    max: Count = "PLUGIN_WORKERS_MAX" => "1" [Late];
    /// Calls in one process above which a further process is started, up to the maximum.
    target_calls: Count = "PLUGIN_WORKER_TARGET_CALLS" => "32" [Late];
    /// Calls of one plugin at a time; further ones wait for their turn.
    max_calls: Count = "PLUGIN_MAX_CALLS" => "4096" [Late];
    /// Calls that wait for their turn at one plugin, by workspace in turns; further ones are refused at once.
    max_queued_calls: Count = "PLUGIN_MAX_QUEUED_CALLS" => "1024";
    /// Calls of one workspace at a time, of all plugins on this node; further ones wait for their turn.
    tenant_max_calls: Count = "PLUGIN_TENANT_MAX_CALLS" => "4096" [Late];
    /// Calls of one workspace that wait for their turn, by plugin in turns; further ones are refused at once.
    tenant_max_queued_calls: Count = "PLUGIN_TENANT_MAX_QUEUED_CALLS" => "1024";
    /// A call whose turn has not come after this time is refused.
    queue_wait: Seconds = "PLUGIN_CALL_QUEUE_SECONDS" => "10";
    /// A process without calls ends after this time.
    idle_timeout: Seconds = "PLUGIN_WORKER_IDLE_SECONDS" => "900" [Late];
    /// Starts every installed plugin with the daemon and keeps it, as the reference does.
    start_all_at_boot: Bool = "PLUGIN_START_ALL_AT_BOOT" => "false";
    /// Stops what a plugin does in a call when its client has left, webhooks included. When off, plugins go on to the end of
    /// such calls, as with the reference; only their calls back are refused.
    cancel_calls: Bool = "PLUGIN_CANCEL_CALLS" => "true";
    /// A process that goes on with such a call for this time is replaced once its other calls are done.
    cancel_grace: Seconds = "PLUGIN_CANCEL_GRACE_SECONDS" => "30" [Late];
    /// Time for a process to end by itself after SIGTERM before it is killed.
    stop_grace: Seconds = "PLUGIN_WORKER_STOP_GRACE_SECONDS" => "5";
    /// A process that gives no sign of life for this time is replaced.
    silence_limit: Seconds = "PLUGIN_WORKER_SILENCE_SECONDS" => "120" [Late];
    /// How long a call waits for a plugin that is being installed or started.
    start_wait: Seconds = "PLUGIN_CALL_START_TIMEOUT_SECONDS" => "300" [Late];
    /// Starts plugins by a fork of an interpreter that has imported the SDK already, where that is the same as a new
    /// interpreter (`auto`), or never (`off`).
    prefork: Prefork = "PLUGIN_PREFORK" => "auto";
    /// Plugins, as `author/name` and separated by commas, that are always started by a new interpreter.
    prefork_except: List = "PLUGIN_PREFORK_EXCEPT" => "";
    /// An interpreter from which no plugin is started for this time ends.
    prefork_idle: Seconds = "PLUGIN_PREFORK_IDLE_SECONDS" => "3600" [Late];
    /// A call to which the plugin sends nothing for this time fails; 0 for no such limit.
    call_idle_timeout: Seconds = "PLUGIN_CALL_IDLE_TIMEOUT_SECONDS" => "0";
    /// A call that takes this long is slow: the last ones are kept for `GET /admin/calls`; 0 for none.
    slow_call: Seconds = "PLUGIN_SLOW_CALL_SECONDS" => "30";
    /// Longest line that a plugin may write; a longer one fails its call.
    max_line_bytes: Bytes = "PLUGIN_MAX_LINE_BYTES" => "67108864" [Late];
    /// Answers of one call that may wait for its client; more fail that call.
    session_buffer_bytes: Bytes = "PLUGIN_SESSION_BUFFER_BYTES" => "67108864" [Late];
    /// Answers of all calls together that may wait for their clients; above it, those that hold most fail first.
    node_buffer_bytes: Bytes = "PLUGIN_NODE_BUFFER_BYTES" => "536870912" [Late];
    /// Memory that the processes of all plugins may take together. Where another process does not fit, idle ones are stopped,
    /// the least recently called first, and the start waits until there is room. 0 = four fifths of the memory of the
    /// container or the machine.
    node_memory_bytes: Bytes = "PLUGIN_NODE_MEMORY_BYTES" => "0";
    /// Memory of a process and all that it has started above which it is replaced once its calls are done; 0 for no limit.
    memory_soft_limit_bytes: Bytes = "PLUGIN_WORKER_MEMORY_SOFT_LIMIT_BYTES" => "1073741824";
    /// Memory of a process and all that it has started above which all of them are killed at once; 0 for no limit.
    memory_limit_bytes: Bytes = "PLUGIN_WORKER_MEMORY_LIMIT_BYTES" => "2147483648";
    /// Processes of a plugin's process, itself included, above which all of them are killed at once; 0 for no limit.
    max_processes: Count = "PLUGIN_WORKER_MAX_PROCESSES" => "512";
    /// Files that a process may have open; 0 for the daemon's own limit.
    max_open_files: Count = "PLUGIN_WORKER_MAX_OPEN_FILES" => "4096";
    /// Largest file that a process may write; 0 for no limit.
    max_file_bytes: Bytes = "PLUGIN_WORKER_MAX_FILE_BYTES" => "1073741824";
    /// Files in a plugin's home, temporary and working folder above which its process and all that it has started are killed
    /// at once, and the home is emptied; 0 for no limit.
    max_scratch_bytes: Bytes = "PLUGIN_WORKER_MAX_SCRATCH_BYTES" => "4294967296";
    /// How plugins are kept apart from the daemon and each other: `auto` as far as the system allows, `off`, or `required`
    /// with a level (`required:L1`), below which the daemon does not start. See security.md.
    isolation: IsolationMode = "PLUGIN_ISOLATION" => "auto";
    /// Files and folders, separated by commas, that plugins may read besides what they need.
    isolation_read: List = "PLUGIN_ISOLATION_READ" => "";
    /// Files and folders, separated by commas, that all plugins may write besides their own.
    isolation_write: List = "PLUGIN_ISOLATION_WRITE" => "/tmp";
    /// Lines a second of one plugin, its tracebacks and prints, that go to the daemon's log too, and five times as many at
    /// once; 0 for none. All of them are in the plugin's own log at the operators' route.
    log_lines_per_second: Count = "PLUGIN_LOG_LINES_PER_SECOND" => "20";
    /// How long files of plugins that no workspace has installed any more, and environments that no plugin uses, stay for
    /// an install that needs them again.
    unused_files_grace: Seconds = "PLUGIN_UNUSED_FILES_GRACE_SECONDS" => "86400";
    /// Names of variables, separated by commas, that plugins see besides those they need; `*` at the end of one stands for any
    /// ending. `@aws`, `@google` and `@azure` stand for the variables by which programs take the identity of the machine or pod,
    /// `@huggingface` for `HF_*`. Secrets of the daemon's own (`SERVER_KEY`, `DB_PASSWORD`, ...) are never passed.
    pass_variables: List = "PLUGIN_PASS_VARIABLES" => "";
    /// The reference's first size of a line buffer.
    runtime_buffer: Bytes = "PLUGIN_RUNTIME_BUFFER_SIZE" => "1024" [Unused];
    /// The reference's longest line; `PLUGIN_MAX_LINE_BYTES` takes its place.
    runtime_max_buffer: Bytes = "PLUGIN_RUNTIME_MAX_BUFFER_SIZE" => "5242880" [Unused];
    /// The same for local plugins only.
    stdio_buffer: Bytes = "PLUGIN_STDIO_BUFFER_SIZE" => "1024" [Unused];
    /// The same for local plugins only.
    stdio_max_buffer: Bytes = "PLUGIN_STDIO_MAX_BUFFER_SIZE" => "5242880" [Unused];
}

group! {
    /// Plugins that run on a developer's machine.
    Debugging, "Debugging";
    /// Lets plugins connect for debugging, and serves the route that gives out keys for it. On when host or port is set,
    /// otherwise off: the port should not be open by accident.
    enabled: Bool = "PLUGIN_REMOTE_INSTALLING_ENABLED" => "false" [Computed];
    /// Address to listen on.
    host: Text = "PLUGIN_REMOTE_INSTALLING_HOST" => "127.0.0.1";
    /// Port to listen on.
    port: Port = "PLUGIN_REMOTE_INSTALLING_PORT" => "5003" [Late];
    /// Most connections.
    max_connections: Count = "PLUGIN_REMOTE_INSTALLING_MAX_CONN" => "256" [Late];
    /// File with the certificates, in PEM, that the port shows: connections are encrypted then. Without it anyone on the
    /// way can read keys and calls.
    tls_certificate: Path = "PLUGIN_REMOTE_INSTALLING_TLS_CERT";
    /// File with the private key of the first certificate, in PEM.
    tls_key: Path = "PLUGIN_REMOTE_INSTALLING_TLS_KEY";
    /// Most connections of one tenant.
    max_tenant_connections: Count = "PLUGIN_REMOTE_INSTALLING_MAX_SINGLE_TENANT_CONN" => "5" [Late];
    /// A plugin that says nothing for this time is disconnected; one whose machine is gone is noticed within a minute. Long
    /// enough for a developer who looks around at a breakpoint.
    silence_limit: Seconds = "PLUGIN_REMOTE_INSTALLING_SILENCE_SECONDS" => "300" [Late];
    /// Event loops of the reference.
    event_loops: Count = "PLUGIN_REMOTE_INSTALL_SERVER_EVENT_LOOP_NUMS" => "8" [Unused];
}

group! {
    /// How Python environments are made.
    Python, "Python environments";
    /// Python whose folder is searched for `uv`.
    interpreter: Path = "PYTHON_INTERPRETER_PATH" => "/usr/bin/python3" [Late];
    /// Version of Python that environments are made with, or the path of one.
    version: Text = "PLUGIN_PYTHON_VERSION" => "3.12" [Late];
    /// The `uv` to use; searched for when not set.
    uv_path: Path = "UV_PATH";
    /// Folder of uv's cache. When it is not set, the cache is `UV_CACHE_DIR` if that is on the file system of
    /// `PLUGIN_WORKING_PATH`, else a folder in there: packages can only be linked within one file system.
    uv_cache: Path = "PLUGIN_UV_CACHE_DIR";
    /// Longest silence of an installation of dependencies, and longest wait for a plugin's first sign of life.
    init_timeout: Seconds = "PYTHON_ENV_INIT_TIMEOUT" => "120" [Late];
    /// More arguments for compiling Python files in advance.
    compile_args: Text = "PYTHON_COMPILE_ALL_EXTRA_ARGS";
    /// Measures the package indexes of `PIP_MIRROR_CANDIDATES` and uses the fastest; `false` asks none of them. They are not
    /// asked either when an index is configured (`PIP_MIRROR_URL`, `UV_DEFAULT_INDEX`, ...).
    mirror_detect: Bool = "PIP_MIRROR_AUTO_DETECT" => "true";
    /// Package index to use.
    mirror_url: Text = "PIP_MIRROR_URL";
    /// Takes locked packages that the configured index does not deliver from the URLs in the lock.
    mirror_fallback: Bool = "PIP_MIRROR_FALLBACK" => "false";
    /// Package indexes to choose from, separated by commas.
    mirror_candidates: List = "PIP_MIRROR_CANDIDATES" => "https://mirrors.aliyun.com/pypi/simple/,https://pypi.tuna.tsinghua.edu.cn/simple/";
    /// Time for measuring.
    mirror_timeout: Seconds = "PIP_MIRROR_AUTO_DETECT_TIMEOUT" => "5";
    /// Prefers packages that need no build.
    prefer_binary: Bool = "PIP_PREFER_BINARY" => "true" [Unused];
    /// Logs what the installation does.
    verbose: Bool = "PIP_VERBOSE" => "true";
    /// More arguments for the installation.
    extra_args: Text = "PIP_EXTRA_ARGS";
    /// Ignores a plugin's `uv.lock`.
    ignore_lock: Bool = "PLUGIN_IGNORE_UV_LOCK" => "false";
}

group! {
    /// Proxies that installations and plugins use.
    Proxy, "Proxies";
    /// Proxy for `http` URLs.
    http: Text = "HTTP_PROXY" | "http_proxy";
    /// Proxy for `https` URLs.
    https: Text = "HTTPS_PROXY" | "https_proxy";
    /// Hosts that are reached without a proxy.
    none: Text = "NO_PROXY" | "no_proxy";
}

group! {
    /// Plugins that run as functions.
    Serverless, "Serverless";
    /// URL of the connector that turns packages into functions. Required when serverless.
    connector_url: Text = "DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL";
    /// Key sent to the connector. Required when serverless.
    connector_key: Hidden = "DIFY_PLUGIN_SERVERLESS_CONNECTOR_API_KEY" [Secret];
    /// Time for making a function.
    launch_timeout: Seconds = "DIFY_PLUGIN_SERVERLESS_CONNECTOR_LAUNCH_TIMEOUT" => "240" [Late];
    /// How often a call is tried again.
    max_retries: Count = "MAX_SERVERLESS_RETRY_TIMES" => "3";
    /// Largest request to a function.
    max_request_bytes: Bytes = "MAX_SERVERLESS_REQUEST_BYTES" => "5242880" [Late];
    /// Longest time of one call back into Dify.
    transaction_timeout: Seconds = "MAX_SERVERLESS_TRANSACTION_TIMEOUT" => "300" [Late];
    /// Takes an answer of a function that ends without its last message for whole, as the reference does.
    accept_missing_end: Bool = "PLUGIN_SERVERLESS_ACCEPT_MISSING_END" => "false";
    /// Refuses calls back of functions whose URL of the daemon has no token in it; this project's connector gives each
    /// function one, others do not.
    require_callback_token: Bool = "PLUGIN_SERVERLESS_REQUIRE_CALLBACK_TOKEN" => "false";
}
