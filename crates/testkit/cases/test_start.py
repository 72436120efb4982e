"""Starts: what is wrong with the configuration and with keys, and what the operator reads."""

import json

import pytest

from harness.client import Client
from outside import (
    Starts,
    starts,  # noqa: F401 - a fixture
)
from servers import at

SAMPLE_KEY = "lYkiYYT6owG+71oLerGzA7GXCgOT++6ovaezWAjpCjf+Sjc3ZtU+qUEi"  # of Dify's compose file

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
