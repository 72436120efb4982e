"""The servers that a daemon needs, and the variables that say where they are."""

BUCKET = {
    "PLUGIN_STORAGE_TYPE": "aws_s3",
    "PLUGIN_STORAGE_OSS_BUCKET": "bucket",
    "S3_USE_AWS": "false",
    "AWS_ACCESS_KEY": "any",
    "AWS_SECRET_KEY": "bucket-secret",
}
CONNECTOR = {"PLATFORM": "serverless", "DIFY_PLUGIN_SERVERLESS_CONNECTOR_API_KEY": "any"}


def at(kind: str, port: str) -> dict[str, str]:
    """The variables of a daemon that needs this server, at this port."""
    host = f"127.0.0.1:{port}"
    database = {
        "DB_HOST": "127.0.0.1",
        "DB_PORT": port,
        "DB_USERNAME": "dify",
        "DB_PASSWORD": "database-secret",
        "DB_DATABASE": "plugin",
    }
    shared = {"CACHE_TYPE": "redis", "REDIS_PASSWORD": "redis-secret"}
    sentinel = {
        "REDIS_USE_SENTINEL": "true",
        "REDIS_SENTINELS": host,
        "REDIS_SENTINEL_SERVICE_NAME": "main",
        "REDIS_SENTINEL_PASSWORD": "sentinel-secret",
    }
    cluster = {"REDIS_USE_CLUSTERS": "true", "REDIS_CLUSTERS": host, "REDIS_CLUSTERS_PASSWORD": "cluster-secret"}
    return {
        "postgresql": {"DB_TYPE": "postgresql", **database},
        "mysql": {"DB_TYPE": "mysql", **database},
        "redis": {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": port, **shared},
        "sentinel": shared | sentinel,
        "cluster": shared | cluster,
        "bucket": {"S3_ENDPOINT": f"http://{host}", **BUCKET},
        "connector": {"DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL": f"http://{host}", **CONNECTOR},
    }[kind]


# server -> its component in /ready, how it is called, and the variable that says where it is
SERVERS = {
    "postgresql": ("database", "PostgreSQL at", "DB_HOST, DB_PORT"),
    "mysql": ("database", "MySQL at", "DB_HOST, DB_PORT"),
    "redis": ("shared state", "Redis at", "REDIS_HOST, REDIS_PORT"),
    "sentinel": ("shared state", "Redis Sentinel at", "REDIS_SENTINELS"),
    "cluster": ("shared state", "Redis Cluster node at", "REDIS_CLUSTERS"),
    "bucket": ("storage", 'bucket "bucket" at http://', "S3_ENDPOINT"),
    "connector": ("connector", "serverless connector at http://", "DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL"),
}
