"""Starts at servers, buckets and ports that are silent, away or refuse."""

from collections.abc import Iterator

import pytest

from harness.settings import Settings
from outside import (
    HANG,
    Attempt,
    Bucket,
    Listener,
    Starts,
    Web,
    listening,
    postgres,
    redis,
    starts,  # noqa: F401 - a fixture
)
from servers import BUCKET, SERVERS, at


@pytest.fixture(scope="module")
def silent() -> Iterator[Listener]:
    with listening() as listener:
        yield listener


@pytest.fixture(scope="module")
def at_silent_servers(settings: Settings, dify_server: object, silent: Listener) -> Iterator[dict[str, Attempt]]:
    """Starts side by side, one for each server, since their limits take seconds."""
    made = Starts(settings, dify_server.url)  # type: ignore[attr-defined]
    quick = {"DB_CONNECT_TIMEOUT": "1s", "REDIS_SENTINEL_SOCKET_TIMEOUT": "1"}
    yield {kind: made(**at(kind, silent.port), **quick) for kind in SERVERS}
    for one in made.made:
        one.cleanup()


@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_that_is_silent(at_silent_servers: dict[str, Attempt], silent: Listener, kind: str) -> None:
    component, name, variable = SERVERS[kind]
    running = at_silent_servers[kind]
    for text in (running.said(" WARN ", "accepted the connection, but did not answer within"), running.part(component)):
        assert name in text and f"127.0.0.1:{silent.port}" in text and variable in text, text
        assert "accepted the connection, but did not answer within" in text
    assert running.report()["ready"] is False
    assert "secret" not in running.logs()


@pytest.mark.parametrize("kind", SERVERS)
def test_sigterm_while_a_server_is_silent(starts: Starts, kind: str) -> None:
    """The attempt is abandoned: its own end, which is in the log when it comes, does not come before the daemon's."""
    with listening() as silent:
        slow = {"DB_CONNECT_TIMEOUT": "10m", "REDIS_SENTINEL_SOCKET_TIMEOUT": "600"}
        running = starts(**at(kind, silent.port), **slow)
        silent.met()
        assert running.terminate(HANG) == 0
        assert "did not answer" not in running.logs()


def test_sigterm_before_anything_answers(starts: Starts) -> None:
    """At the first moment at which it listens."""
    running = starts()
    running.said("listening")
    assert running.terminate(HANG) == 0


@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_that_is_down(starts: Starts, kind: str) -> None:
    component, name, variable = SERVERS[kind]
    running = starts(**at(kind, "1"))
    line = running.said(" WARN ", "127.0.0.1:1")
    for text in (line, running.part(component)):
        assert "onnection refused" in text and name in text and variable in text
    assert running.report()["ready"] is False


@pytest.mark.parametrize("kind", ["postgresql", "mysql", "redis", "bucket"])
def test_a_host_that_does_not_exist(starts: Starts, kind: str) -> None:
    component, _, variable = SERVERS[kind]
    where = {
        name: value.replace("127.0.0.1", "no-such-host.invalid") if variable.startswith(name) else value
        for name, value in at(kind, "5").items()
    }
    running = starts(**where)
    assert "no-such-host.invalid" in running.said(" WARN ", variable.split(", ")[0], "no-such-host.invalid")
    assert "no-such-host.invalid" in running.part(component)


@pytest.mark.parametrize(
    "kind, role, variables",
    [
        ("redis", "Redis at", "REDIS_USERNAME, REDIS_PASSWORD"),
        ("sentinel", "Redis Sentinel at", "REDIS_SENTINEL_USERNAME, REDIS_SENTINEL_PASSWORD"),
        ("cluster", "Redis Cluster node at", "REDIS_CLUSTERS_PASSWORD"),
    ],
)
def test_wrong_credentials_of_redis_in_every_mode(starts: Starts, kind: str, role: str, variables: str) -> None:
    with listening(redis(HELLO=b"-NOPROTO no", AUTH=b"-WRONGPASS invalid username-password pair")) as server:
        said = starts(**at(kind, server.port)).refusal()
    assert f"{role} 127.0.0.1:{server.port}" in said and variables in said and "refuses" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    "code, text, variable",
    [
        ("28P01", 'password authentication failed for user "dify"', "DB_USERNAME, DB_PASSWORD"),
        ("42704", 'unrecognized configuration parameter "nonsense"', "DB_EXTRAS"),
    ],
)
def test_what_postgresql_refuses(starts: Starts, code: str, text: str, variable: str) -> None:
    with listening(postgres(code, text)) as server:
        said = starts(DB_EXTRAS="options=-c nonsense=1", **at("postgresql", server.port)).refusal()
    assert f"PostgreSQL at 127.0.0.1:{server.port}: {text}" in said and f"({variable})" in said
    assert "at line" not in said and "error returned from database" not in said and "DB_TYPE" not in said


def test_a_database_that_is_starting_is_waited_for(starts: Starts) -> None:
    with listening(postgres("57P03", "the database system is starting up")) as server:
        running = starts(**at("postgresql", server.port))
        running.said(" WARN ", "trying again", "the database system is starting up", server.port)
        assert "starting up" in running.part("database")


def test_a_bucket_without_the_right_to_list(starts: Starts) -> None:
    with Web(Bucket("LIST")) as server:
        running = starts(S3_ENDPOINT=server.url, **BUCKET)
        running.said(" WARN ", 'bucket "bucket"', server.url, "s3:ListBucket", "uploads")
        running.until_ready()
        state = running.part("storage")
    assert "s3:ListBucket" in state and "uploads and installs of new plugins fail" in state


@pytest.mark.parametrize("right, doing", [("PUT", "write"), ("GET", "read"), ("DELETE", "delete")])
def test_a_bucket_without_a_right_that_all_needs(starts: Starts, right: str, doing: str) -> None:
    with Web(Bucket(right)) as server:
        said = starts(S3_ENDPOINT=server.url, **BUCKET).refusal()
    assert f"cannot {doing}" in said and 'bucket "bucket"' in said and server.url in said and "AccessDenied" in said
    assert "PLUGIN_STORAGE_OSS_BUCKET" in said and "AWS_ACCESS_KEY" in said and ".start-" not in said


def test_a_bucket_of_an_own_server_needs_no_region(starts: Starts) -> None:
    with Web(Bucket()) as server:
        starts(S3_ENDPOINT=server.url, AWS_REGION=None, **BUCKET).until_ready()
    assert "/us-east-1/s3/" in server.requests[0].headers["authorization"]


@pytest.mark.parametrize(
    "variables, said",
    [
        ({"S3_ENDPOINT": "not a url"}, "S3_ENDPOINT"),
        ({"S3_USE_AWS": "true", "AWS_REGION": ""}, "AWS_REGION"),
        ({"S3_ENDPOINT": "http://127.0.0.1:1", "PLUGIN_STORAGE_OSS_BUCKET": ""}, "PLUGIN_STORAGE_OSS_BUCKET"),
        ({"S3_ENDPOINT": "http://127.0.0.1:1", "AWS_SECRET_KEY": ""}, "AWS_SECRET_KEY"),
    ],
)
def test_a_bucket_that_cannot_be(starts: Starts, variables: dict[str, str], said: str) -> None:
    one = starts(**(BUCKET | variables))
    assert said in one.refusal() and "trying again" not in one.logs()


@pytest.mark.parametrize("host, port", [("127.0.0.1", "taken"), ("no-such-host.invalid", "5")])
def test_a_debugging_port_that_cannot_be_had(starts: Starts, host: str, port: str) -> None:
    """It is never said to be ready."""
    with listening() as taken:
        port = taken.port if port == "taken" else port
        running = starts(PLUGIN_REMOTE_INSTALLING_HOST=host, PLUGIN_REMOTE_INSTALLING_PORT=port)
        line = running.said(f"{host}:{port}", "PLUGIN_REMOTE_INSTALLING_HOST, PLUGIN_REMOTE_INSTALLING_PORT")
        assert "in use" in line or "lookup" in line
        said = running.refusal()
    assert "isolation of plugins" not in said and "waiting for plugins under development" not in said
    assert f"{host}:{port}" in said.splitlines()[-1]


def test_a_port_that_is_taken(starts: Starts) -> None:
    with listening() as taken:
        said = starts(SERVER_PORT=taken.port).refusal()
    assert f"127.0.0.1:{taken.port}" in said and "SERVER_PORT" in said and "in use" in said
