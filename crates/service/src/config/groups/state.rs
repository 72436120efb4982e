//! Database, Redis, storage.

use crate::config::registry::group;

group! {
    /// State that nodes share.
    Redis, "Shared state";
    /// Where shared state lives: `memory` for a single node, or `redis`. The default is `redis` when a Redis server is
    /// configured, otherwise `memory`.
    cache_type: CacheType = "CACHE_TYPE" => "memory" [Computed];
    /// Host of the Redis server.
    host: Text = "REDIS_HOST";
    /// Its port.
    port: Port = "REDIS_PORT" => "6379" [Late];
    /// User name.
    username: Text = "REDIS_USERNAME";
    /// Password.
    password: Hidden = "REDIS_PASSWORD" [Secret Verbatim];
    /// Number of the logical database.
    db: Count = "REDIS_DB" => "0";
    /// First part of every key.
    key_prefix: Text = "REDIS_KEY_PREFIX" => "plugin_daemon" [Late];
    /// Speaks TLS.
    use_ssl: Bool = "REDIS_USE_SSL" => "false";
    /// How the server's certificate is checked.
    certificates: RedisCertificates = "REDIS_SSL_CERT_REQS" => "CERT_OPTIONAL";
    /// PEM file with the authority; required for `CERT_REQUIRED`.
    ca_certs: Path = "REDIS_SSL_CA_CERTS";
    /// Signs in with a managed identity of Azure's: not supported, a daemon that is configured to does not start. Set an access
    /// key as `REDIS_PASSWORD`.
    azure_managed_identity: Bool = "REDIS_USE_AZURE_MANAGED_IDENTITY" => "false";
    /// The servers are a Redis Cluster (Dify's name for the variable).
    use_cluster: Bool = "REDIS_USE_CLUSTERS" => "false";
    /// Addresses of nodes of the cluster, `host:port` separated by commas.
    cluster_nodes: List = "REDIS_CLUSTERS" => "";
    /// Password of the cluster.
    cluster_password: Hidden = "REDIS_CLUSTERS_PASSWORD" [Secret Verbatim];
    /// Finds the server through Sentinel.
    use_sentinel: Bool = "REDIS_USE_SENTINEL" => "false";
    /// Addresses of sentinels, `host:port` separated by commas.
    sentinels: List = "REDIS_SENTINELS" => "";
    /// Name of the master.
    sentinel_service: Text = "REDIS_SENTINEL_SERVICE_NAME";
    /// User name at the sentinels.
    sentinel_username: Text = "REDIS_SENTINEL_USERNAME";
    /// Password at the sentinels.
    sentinel_password: Hidden = "REDIS_SENTINEL_PASSWORD" [Secret Verbatim];
    /// Time for connecting to a sentinel; 0 for the library's.
    sentinel_timeout: FractionalSeconds = "REDIS_SENTINEL_SOCKET_TIMEOUT" => "0";
}

group! {
    /// The database.
    Database, "Database";
    /// Kind of database. The default is `postgresql` when `DB_HOST`, `DB_USERNAME`,
    /// `DB_PASSWORD` or `DB_DATABASE` is set, otherwise `sqlite`.
    kind: DatabaseType = "DB_TYPE" => "sqlite" [Computed];
    /// User name; required but for SQLite.
    username: Text = "DB_USERNAME";
    /// Password; required but for SQLite.
    password: Hidden = "DB_PASSWORD" [Secret Verbatim];
    /// Host; required but for SQLite.
    host: Text = "DB_HOST";
    /// Port; the default is the one of the kind of database.
    port: Port = "DB_PORT" => "5432 or 3306" [Computed];
    /// Name of the database; for SQLite its file. Required but for SQLite.
    name: Text = "DB_DATABASE" => "<PLUGIN_DATA_PATH>/daemon.db" [Computed];
    /// Database to connect to for creating the one above.
    initial: Text = "DB_DEFAULT_DATABASE" => "postgres or mysql" [Computed];
    /// Protection of the connection: `disable`, `require`, `verify-ca`, `verify-full`.
    ssl_mode: SslMode = "DB_SSL_MODE" => "disable";
    /// PEM file with the authority that signed the server's certificate, unless it is one that browsers trust.
    ssl_authorities: Path = "DB_SSL_ROOT_CERT";
    /// Connections that are kept while unused.
    max_idle: Count = "DB_MAX_IDLE_CONNS" => "10" [Unused];
    /// Most connections.
    max_open: Count = "DB_MAX_OPEN_CONNS" => "30" [Late];
    /// Age at which a connection is replaced.
    max_lifetime: Seconds = "DB_CONN_MAX_LIFETIME" => "3600" [Late];
    /// More options of the connection, as in a PostgreSQL connection string.
    extras: Text = "DB_EXTRAS";
    /// Client encoding (PostgreSQL).
    charset: Text = "DB_CHARSET" [Unused];
    /// `info` logs the text of every statement, without its parameters; other values have no effect.
    gorm_log_level: Text = "DB_GORM_LOG_LEVEL";
    /// Time for connecting.
    connect_timeout: GoDuration = "DB_CONNECT_TIMEOUT" => "5s";
    /// Time for an answer (MySQL).
    read_timeout: GoDuration = "DB_READ_TIMEOUT" => "30s" [Unused];
    /// Time for sending (MySQL).
    write_timeout: GoDuration = "DB_WRITE_TIMEOUT" => "30s" [Unused];
}

group! {
    /// Where packages and assets are stored.
    Storage, "Storage";
    /// Kind of storage: `local`, `aws_s3`, `tencent_cos`, `azure_blob`, `aliyun_oss`, `gcs`, `huawei_obs`,
    /// `volcengine_tos`, `baidu_bos`.
    kind: StorageKind = "PLUGIN_STORAGE_TYPE" => "local";
    /// Bucket.
    bucket: Text = "PLUGIN_STORAGE_OSS_BUCKET";
    /// Folder, when local.
    local_root: Path = "PLUGIN_STORAGE_LOCAL_ROOT" => "<PLUGIN_DATA_PATH>/storage" [Computed];
}

group! {
    /// What plugins store for themselves.
    Persistence, "Plugins' own storage";
    /// Prefix in the storage.
    path: Text = "PERSISTENCE_STORAGE_PATH" => "persistence" [Late];
    /// Most bytes of one plugin in one tenant.
    max_bytes: Bytes = "PERSISTENCE_STORAGE_MAX_SIZE" => "104857600" [Late];
}
