"""Starts: what is wrong with the configuration, with servers, folders and the system, and what the operator reads."""

import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import wait_for_task
from harness import packages
from harness.cli import Program
from harness.client import Client
from harness.settings import Settings
from outside import (
    HANG,
    Attempt,
    Bucket,
    Listener,
    Reply,
    Starts,
    Web,
    listening,
    postgres,
    redis,
    starts,  # noqa: F401 - a fixture
    without_clone3,
    without_links,
    without_power_over_files,
)

SAMPLE_KEY = "lYkiYYT6owG+71oLerGzA7GXCgOT++6ovaezWAjpCjf+Sjc3ZtU+qUEi"  # of Dify's compose file
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


# ------------------------------------------------------------------------------------------------- configuration


@pytest.mark.parametrize("value", ["$(SERVER_KEY)", "${SERVER_KEY}", "{{ .Values.key }}", "<your-key>", "%SERVER_KEY%"])
@pytest.mark.parametrize("variable", ["SERVER_KEY", "SERVER_PORT", "DIFY_INNER_API_URL"])
def test_a_placeholder_is_no_value(starts: Starts, variable: str, value: str) -> None:
    said = starts(**{variable: value.replace("SERVER_KEY", variable)}).refusal()
    [line] = [line for line in said.splitlines() if line.strip().startswith(f"{variable}: ")]
    assert "placeholder" in line or "template" in line
    assert "set the value itself" in line


def test_what_kubernetes_does_not_replace_is_explained(starts: Starts) -> None:
    said = starts(**at("redis", "$(REDIS_PORT)")).refusal()
    assert "REDIS_PORT: the placeholder $(REDIS_PORT)" in said and "Kubernetes" in said and "same container" in said


def test_a_placeholder_in_what_is_not_used(starts: Starts) -> None:
    running = starts(REDIS_HOST="$(REDIS_HOST)", CACHE_TYPE="memory").until_ready()
    assert "$(REDIS_HOST)" in running.said(" WARN ", "REDIS_HOST", "ignored")


def test_variables_of_a_service(starts: Starts) -> None:
    running = starts(REDIS_PORT="tcp://10.0.0.9:6379").until_ready()
    running.said("REDIS_PORT", "tcp://10.0.0.9:6379", "Kubernetes", "ignored", "enableServiceLinks: false")
    assert "REDIS_PORT=6379  # default" in starts.of(running, "config", "dump").stdout


def test_variables_of_others_are_nobodys_business(starts: Starts) -> None:
    others = {
        "SERVER_SERVICE_HOST": "10.0.0.7",
        "SERVER_SERVICE_PORT": "80",
        "SERVER_PORT_80_TCP": "tcp://10.0.0.7:80",
        "SERVER_WORKER_AMOUNT": "4",
        "SERVER_WORKER_CLASS": "gevent",
        "HF_ENDPOINT": "https://models.example.com",
        "DB_PLUGIN_DATABASE": "plugin",
    }
    assert starts(**others).until_ready().warnings() == []


def test_a_misspelt_variable(starts: Starts) -> None:
    running = starts(S3_ENDPONT="http://127.0.0.1:9", PLUGIN_WORKNG_PATH="/nowhere").until_ready()
    assert "S3_ENDPOINT" in running.said(" WARN ", "misspelt", "S3_ENDPONT")
    assert "PLUGIN_WORKING_PATH" in running.said(" WARN ", "misspelt", "PLUGIN_WORKNG_PATH")


def test_blanks_around_values(starts: Starts) -> None:
    running = starts.prepared()
    for name in ("SERVER_PORT", "SERVER_HOST", "DIFY_INNER_API_URL", "PLUGIN_STORAGE_TYPE", "GIN_MODE", "PLATFORM"):
        running.env[name] = f" {running.env[name]}\t"
    running.start().until_ready()


@pytest.mark.parametrize(
    "variable, value",
    [
        ("S3_USE_AWS", "x"),
        ("S3_ENDPOINT", "not a url"),
        ("REDIS_DB", "many"),
        ("REDIS_USE_SSL", "perhaps"),
        ("HUAWEI_OBS_PATH_STYLE", "maybe"),
        ("DB_SSL_MODE", "sometimes"),
    ],
)
def test_a_setting_of_what_is_not_chosen_stops_nothing(starts: Starts, variable: str, value: str) -> None:
    running = starts(**{variable: value}).until_ready()
    assert all(variable in line and "ignored" in line for line in running.warnings()), running.warnings()


def test_the_kinds_of_storage_are_listed(starts: Starts) -> None:
    said = starts(PLUGIN_STORAGE_TYPE="floppy").refusal()
    assert "PLUGIN_STORAGE_TYPE: 'floppy'" in said and all(kind in said for kind in ("local", "aws_s3", "azure_blob"))


def test_all_faults_are_reported_at_once(starts: Starts) -> None:
    said = starts(SERVER_PORT="many", PLATFORM="moon", DB_TYPE="paper", PLUGIN_MAX_EXECUTION_TIMEOUT="long").refusal()
    for variable in ("SERVER_PORT: 'many'", "PLATFORM: 'moon'", "DB_TYPE: 'paper'", "PLUGIN_MAX_EXECUTION_TIMEOUT"):
        assert variable in said, variable


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "[::]", "0.0.0.0:5002"])
def test_an_address_for_other_nodes_that_is_none(starts: Starts, address: str) -> None:
    said = starts(SERVER_NODE_ADDRESS=address).refusal()
    assert "SERVER_NODE_ADDRESS" in said and address.strip("[]").removesuffix(":5002") in said


def test_a_preset_that_there_is_not(starts: Starts) -> None:
    said = starts(PLUGIN_PASS_VARIABLES="@oracle").refusal()
    assert "PLUGIN_PASS_VARIABLES" in said and "@oracle" in said and "@aws" in said and "@google" in said


# ------------------------------------------------------------------------------------------------- keys and secrets


def test_keys_that_are_made(starts: Starts) -> None:
    running = starts(SERVER_KEY=None, DIFY_INNER_API_KEY=None).until_ready()
    dify = {"SERVER_KEY": "PLUGIN_DAEMON_KEY", "DIFY_INNER_API_KEY": "INNER_API_KEY_FOR_PLUGIN"}
    dumped = starts.of(running, "config", "dump").stdout
    for variable, of_dify in dify.items():
        [line] = [line for line in running.warnings() if variable in line]
        file = running.scratch / "data/keys" / variable.lower()
        assert "generated" in line and of_dify in line and f"data/keys/{variable.lower()}" in line
        assert file.stat().st_mode & 0o077 == 0 and file.read_text().strip() not in running.logs() + dumped
        [shown] = [line for line in dumped.splitlines() if line.startswith(f"{variable}=")]
        assert "generated" in shown and f"data/keys/{variable.lower()}" in shown and "default" not in shown
    before = len(running.warnings())
    running.restart()
    running.until_ready()
    assert len(running.warnings()) == before, "told once, and not at every start"


def test_another_key_on_the_same_database(starts: Starts) -> None:
    one = starts(SERVER_KEY=None, PLUGIN_DATA_PATH="one").until_ready()
    database = one.env["DB_DATABASE"]
    assert one.terminate() == 0
    other = starts(SERVER_KEY=None, PLUGIN_DATA_PATH="other", DB_DATABASE=database)
    line = other.said(" WARN ", "SERVER_KEY", "another key")
    assert "data folder one" in line


def test_the_key_of_a_published_file(starts: Starts) -> None:
    running = starts(SERVER_KEY=SAMPLE_KEY).until_ready()
    running.said(" WARN ", "SERVER_KEY", "published sample file", "set an own one")
    assert "insecure" in running.part("keys") and "SERVER_KEY" in running.part("keys")
    assert SAMPLE_KEY not in running.logs()


def test_the_key_of_a_published_file_is_refused(starts: Starts) -> None:
    said = starts(SERVER_KEY=SAMPLE_KEY, PLUGIN_ALLOW_SAMPLE_KEYS="false").refusal()
    assert "SERVER_KEY" in said and "published sample file" in said and "own key" in said
    assert "PLUGIN_ALLOW_SAMPLE_KEYS" in said and SAMPLE_KEY not in said


MARKER = "s3cr3t-marker"
FORMS = {
    "user_info": f"https://someone:{MARKER}@10.255.255.1:9/path",
    "user_alone": f"https://{MARKER}@10.255.255.1:9/path",
    "query": f"https://10.255.255.1:9/path?sig={MARKER}&page=1",
    "key_and_value": f"timeout=5 password={MARKER} sslmode=require",
    "connection_string": f"AccountName=name;AccountKey={MARKER};EndpointSuffix=core.windows.net",
}


@pytest.mark.parametrize("form", FORMS)
def test_no_secret_is_dumped_or_complained_about(starts: Starts, form: str) -> None:
    """Every variable carries the secret; those that cannot have such a value are complained about and left out."""
    idle = starts.prepared()
    lines = starts.of(idle, "config", "dump").stdout.splitlines()
    names = [line.partition("=")[0] for line in lines if not line.startswith("#")]
    assert len(names) > 200
    left = dict.fromkeys(names, FORMS[form])
    for _ in range(10):
        done = starts.of(starts.prepared(**left), "config", "dump")
        assert MARKER not in done.stdout + done.stderr, [
            line for line in (done.stdout + done.stderr).splitlines() if MARKER in line
        ]
        if done.returncode == 0:
            break
        faulty = {line.strip().partition(":")[0] for line in done.stderr.splitlines()}
        assert faulty & left.keys(), done.stderr
        left = {name: value for name, value in left.items() if name not in faulty}
    assert "HTTPS_PROXY" in left and "DB_PASSWORD" in left and len(left) > 50, left.keys()


def test_credentials_in_json_are_not_dumped(starts: Starts) -> None:
    key = json.dumps({"type": "service_account", "private_key": MARKER})
    done = starts.of(starts.prepared(GCS_CREDENTIALS=key), "config", "dump")
    assert done.returncode == 0 and MARKER not in done.stdout + done.stderr


def test_no_secret_is_shown_while_it_runs(starts: Starts) -> None:
    """In each form that a URL has, with servers that refuse, so that they are spoken of."""
    secret = f"http://someone:{MARKER}@127.0.0.1:1/path?token={MARKER}"
    variables = {
        "LOG_LEVEL": "DEBUG",
        "DIFY_INNER_API_URL": secret,
        "HTTP_PROXY": secret,
        "HTTPS_PROXY": secret,
        "PIP_MIRROR_URL": secret,
        "PIP_EXTRA_ARGS": f"--index-url {secret}",
        "UV_INDEX": f"own={secret}",
        "PIP_MIRROR_CANDIDATES": secret,
        "SERVER_KEY": MARKER * 2,
        "DIFY_INNER_API_KEY": MARKER * 2,
        "ADMIN_API_ENABLED": "true",
        "ADMIN_API_KEY": MARKER * 3,
        "S3_ENDPOINT": secret,
        "DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL": secret,
        "REDIS_PASSWORD": MARKER,
        "AZURE_BLOB_STORAGE_CONNECTION_STRING": f"AccountName=a;AccountKey={MARKER}",
    }
    running = starts(**variables).until_ready()
    for path in ("/ready", "/metrics/", "/health/check"):
        assert MARKER not in Client(running.base_url, MARKER * 2).raw("GET", path).text, path
    unreachable = {
        "bucket": at("bucket", "1") | {"S3_ENDPOINT": f"http://127.0.0.1:1/path?token={MARKER}"},
        "bucket with a user": at("bucket", "1") | {"S3_ENDPOINT": secret},
        "connector": at("connector", "1") | {"DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL": secret},
        "database": at("postgresql", "1")
        | {"DB_PASSWORD": MARKER, "DB_EXTRAS": f"application_name=x password={MARKER}"},
        "shared": at("redis", "1") | {"REDIS_PASSWORD": MARKER},
    }
    asked = {kind: starts(LOG_LEVEL="DEBUG", **variables) for kind, variables in unreachable.items()}
    for one in asked.values():
        one.settled("127.0.0.1:1")
    said = {kind: one.logs() + (json.dumps(one.report()) if one.runs() else "") for kind, one in asked.items()}
    assert not {kind: text for kind, text in said.items() if MARKER in text}
    assert MARKER not in running.logs()


# ------------------------------------------------------------------------------------------------- servers


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


# ------------------------------------------------------------------------------------------------- folders, the system


def test_a_folder_of_another_user(starts: Starts, settings: Settings) -> None:
    """Told at the start and in /ready, and to whoever installs into it; told to be well once it is."""
    running = starts.prepared()
    running.before = without_power_over_files
    folder = Path(running.env["PLUGIN_WORKING_PATH"]) / "conformance"
    folder.mkdir(parents=True)
    folder.chmod(0o555)
    if os.geteuid() == 0:
        os.chown(folder, 12345, 12345)
    whose = "belongs to user 12345" if os.geteuid() == 0 else "mode 555"
    running.start().until_ready()
    for text in (running.said(" WARN ", str(folder)), running.part("working path")):
        assert f"user {os.geteuid()}" in text and str(folder) in text and whose in text, text
    client = Client(running.base_url, running.server_key)
    identifier = client.upload(packages.light("tool_kitchen", "0.0.1")).unique_identifier
    task = wait_for_task(client, client.install([identifier]), settings.install_timeout)
    assert task and task.status == "failed"
    assert str(folder) in task.plugins[0].message and whose in task.plugins[0].message
    client.close()


def test_a_file_system_without_symbolic_links(starts: Starts, settings: Settings) -> None:
    """Said where it is, and not that some Python is missing."""
    running = starts.prepared()
    running.before = without_links
    folder = running.env["PLUGIN_WORKING_PATH"]
    running.start().until_ready()
    client = Client(running.base_url, running.server_key)
    identifier = client.upload(packages.light("tool_kitchen", "0.0.1")).unique_identifier
    task = wait_for_task(client, client.install([identifier]), settings.install_timeout)
    assert task and task.status == "failed"
    for text in (running.said(" WARN ", "symbolic links"), running.part("working path"), task.plugins[0].message):
        assert folder in text and "symbolic links" in text and "PLUGIN_WORKING_PATH" in text, text
    assert "install Python" not in task.plugins[0].message
    client.close()


def test_what_is_not_the_daemons_own_is_named(starts: Starts) -> None:
    running = starts.prepared()
    working, storage = Path(running.env["PLUGIN_WORKING_PATH"]), Path(running.env["PLUGIN_STORAGE_LOCAL_ROOT"])
    strange = [working / "README", storage / "plugin/notes.txt"]
    for path in strange:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    running.start().until_ready()
    running.said("left alone", str(strange[0]))
    running.said("ignored", "plugin/notes.txt")
    assert all(path.read_text() == "mine" for path in strange)
    assert all(running.logs().count(path.name) == 1 for path in strange)


def test_a_package_that_is_gone(starts: Starts, settings: Settings) -> None:
    """The storage was lost, the database was kept: said once, with what to do, and nothing is claimed to be well."""
    running = starts().until_ready()
    client = Client(running.base_url, running.server_key)
    identifier = client.upload(packages.light("tool_kitchen", "0.0.1")).unique_identifier
    task = wait_for_task(client, client.install([identifier]), settings.install_timeout)
    assert task and task.status == "success"
    running.stop()
    shutil.rmtree(running.env["PLUGIN_STORAGE_LOCAL_ROOT"])
    running.start()
    line = running.said(" ERROR ", identifier, "gone from the storage")
    assert client.tenant in line and "upload it again" in line
    assert "put an installed package back" not in running.logs()
    client.close()


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")
def test_a_cache_on_another_file_system(starts: Starts, tmp_path: Path) -> None:
    """Dify's shared environment file names one for its own programs."""
    if Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system")
    there = f"/dev/shm/cache-{uuid.uuid4()}"
    running = starts(UV_CACHE_DIR=there).until_ready()
    running.said("UV_CACHE_DIR", there, "another file system", "PLUGIN_UV_CACHE_DIR")
    assert not Path(there).exists()


def test_a_profile_that_does_not_know_clone3(starts: Starts) -> None:
    running = starts.prepared()
    running.before = without_clone3
    said = running.start().refusal()
    assert "seccomp" in said and "clone3" in said and "seccomp=unconfined" in said and "panicked" not in said


@pytest.mark.parametrize(
    "command", [["plugin", "check", "."], ["plugin", "package", ".", "-o", "x.difypkg"], ["version"]]
)
def test_a_command_under_a_profile_that_does_not_know_clone3(cli: Program, tmp_path: Path, command: list[str]) -> None:
    process = cli.start(*command, cwd=tmp_path, preexec_fn=without_clone3, stdout=-1, stderr=-1)
    out, err = process.communicate(timeout=HANG)
    assert b"panicked" not in out + err and b"RUST_BACKTRACE" not in out + err
    if command != ["version"]:
        assert process.returncode == 1 and b"manifest.yaml" in out + err


def test_slim_under_a_profile_that_does_not_know_clone3(slim: Program, tmp_path: Path) -> None:
    identifier = f"conformance/tool_kitchen:0.0.1@{'0' * 64}"
    command = ["-id", identifier, "-action", "invoke_tool", "-args", "{}"]
    process = slim.start(*command, cwd=tmp_path, preexec_fn=without_clone3, stdout=-1, stderr=-1)
    out, err = process.communicate(timeout=HANG)
    assert process.returncode and err and b"panicked" not in out + err and b"RUST_BACKTRACE" not in out + err


# ------------------------------------------------------------------------------------------------- what plugins get


ENVIRONMENT = packages.LIGHT_MAIN.replace(b'open("answer.txt").read()', b"json.dumps(dict(__import__('os').environ))")


@pytest.fixture
def environment_of_a_plugin(starts: Starts, settings: Settings) -> Callable[..., tuple[dict[str, str], Attempt]]:
    """What a plugin of a daemon with these variables finds in its environment."""

    def get(**variables: str) -> tuple[dict[str, str], Attempt]:
        running = starts(**variables).until_ready()
        client = Client(running.base_url, running.env["SERVER_KEY"])
        package = packages.light("tool_kitchen", "0.0.1", main=ENVIRONMENT)
        task = wait_for_task(
            client, client.install([client.upload(package).unique_identifier]), settings.install_timeout
        )
        assert task and task.status == "success", task
        [first, _] = client.invoke_tool("conformance/tool_kitchen", "kitchen", "echo", {})
        client.close()
        return json.loads(first.text), running

    return get


IDENTITY = {
    "AWS_ROLE_ARN": "arn:aws:iam::1:role/x",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/token",
    "GOOGLE_APPLICATION_CREDENTIALS": "/var/run/google.json",
    "AZURE_CLIENT_ID": "some-client",
    "FILES_URL": "http://files:5001",
    "HF_ENDPOINT": "https://models.example.com",
}


def test_variables_that_plugins_commonly_read(environment_of_a_plugin: Callable[..., tuple]) -> None:
    """What is harmless is passed, and what is not passed is said once."""
    seen, running = environment_of_a_plugin(**IDENTITY)
    assert seen["FILES_URL"] == "http://files:5001" and seen["HF_ENDPOINT"] == "https://models.example.com"
    for name, preset in (
        ("AWS_ROLE_ARN", "@aws"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "@google"),
        ("AZURE_CLIENT_ID", "@azure"),
    ):
        assert name not in seen
        [line] = [line for line in running.warnings() if name in line]
        assert preset in line and "PLUGIN_PASS_VARIABLES" in line


def test_presets_pass_what_they_name(environment_of_a_plugin: Callable[..., tuple]) -> None:
    seen, running = environment_of_a_plugin(PLUGIN_PASS_VARIABLES="@aws,@google,@azure,OWN_*", OWN_ONE="1", **IDENTITY)
    assert {name: seen.get(name) for name in IDENTITY} == IDENTITY and seen["OWN_ONE"] == "1"
    assert running.warnings() == []


def test_a_star_does_not_pass_secrets(environment_of_a_plugin: Callable[..., tuple]) -> None:
    secrets = {
        "SERVER_KEY": "a-key-of-the-server-itself",
        "DIFY_INNER_API_KEY": "a-key-of-dify-itself",
        "DB_PASSWORD": "database-secret",
        "REDIS_PASSWORD": "redis-secret",
        "AWS_SECRET_KEY": "bucket-secret",
        "ADMIN_API_KEY": "an-admin-key-of-some-length",
    }
    seen, _ = environment_of_a_plugin(PLUGIN_PASS_VARIABLES="*", OWN_ONE="1", **secrets)
    assert seen["OWN_ONE"] == "1" and not set(secrets) & set(seen) and not set(secrets.values()) & set(seen.values())


# ------------------------------------------------------------------------------------------------- mirrors


@pytest.mark.parametrize(
    "more, asked",
    [
        ({"PIP_MIRROR_AUTO_DETECT": "true"}, True),
        ({"PIP_MIRROR_AUTO_DETECT": "false"}, False),
        ({"PIP_MIRROR_AUTO_DETECT": "true", "UV_DEFAULT_INDEX": "http://127.0.0.1:1/simple"}, False),
        ({"PIP_MIRROR_AUTO_DETECT": "true", "PIP_MIRROR_URL": "http://127.0.0.1:1/simple"}, False),
        ({"PIP_MIRROR_AUTO_DETECT": "true", "UV_OFFLINE": "1"}, False),
    ],
)
def test_when_mirrors_are_measured(starts: Starts, more: dict[str, str], asked: bool) -> None:
    with Web(lambda request: Reply(404)) as mirror:
        running = starts(PIP_MIRROR_CANDIDATES=f"{mirror.url}/simple/", **more).until_ready()
        running.said("found uv")
        # what was begun before the end is done by then, or never begins
        assert running.terminate(HANG) == 0
    assert bool(mirror.requests) is asked


def test_the_mirrors_that_are_measured_are_shown(starts: Starts) -> None:
    dumped = starts.of(starts.prepared(), "config", "dump").stdout
    [line] = [line for line in dumped.splitlines() if line.startswith("PIP_MIRROR_CANDIDATES=")]
    assert "https://" in line and "# default" in line


def test_what_is_logged_of_statements(starts: Starts) -> None:
    running = starts(DB_GORM_LOG_LEVEL="info").until_ready()
    running.said("statement", "sql=", "CREATE TABLE plugins")
    assert "sql=" not in starts().until_ready().logs()
