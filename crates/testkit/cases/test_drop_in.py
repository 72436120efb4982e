"""In the reference's place: the environments that Dify's own deployments give to their plugin daemon."""

from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import install
from harness import packages
from harness.client import Client
from harness.settings import Settings
from outside import (
    Attempt,
    Starts,
    quiet_port,
    starts,  # noqa: F401 - a fixture
)

ENVIRONMENTS = Path(__file__).resolve().parent.parent / "environments"
NAMES = sorted(path.stem for path in ENVIRONMENTS.glob("*.env"))
COMPOSE = [name for name in NAMES if name.startswith("compose-")]
# places and ports of this machine, and servers that are not here
OWN = {"SERVER_PORT", "LOG_FILE", "PLUGIN_WORKING_PATH", "PLUGIN_STORAGE_LOCAL_ROOT", "DB_DATABASE"}
SAMPLE_KEY = "lYkiYYT6owG+71oLerGzA7GXCgOT++6ovaezWAjpCjf+Sjc3ZtU+qUEi"


def variables(name: str) -> dict[str, str]:
    """What a deployment sets."""
    lines = (ENVIRONMENTS / f"{name}.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


@pytest.fixture
def deployed(starts: Starts) -> Callable[..., Attempt]:
    """deployed("compose-1.16.0"): a daemon in this environment, with SQLite and without Redis."""

    def start(name: str, **more: str | None) -> Attempt:
        here = {
            "DB_TYPE": "sqlite",
            "CACHE_TYPE": "memory",
            "PIP_MIRROR_AUTO_DETECT": "false",
            "PLUGIN_REMOTE_INSTALLING_ENABLED": None,
            "PLUGIN_REMOTE_INSTALLING_HOST": "127.0.0.1",
            "PLUGIN_REMOTE_INSTALLING_PORT": str(quiet_port()),
        }
        of_file = {key: value for key, value in variables(name).items() if key not in OWN}
        return starts(**(of_file | here | more))

    return start


@pytest.mark.parametrize("name", NAMES)
def test_a_deployment_starts_and_runs_plugins(deployed: Callable[..., Attempt], settings: Settings, name: str) -> None:
    running = deployed(name, FORCE_VERIFYING_SIGNATURE="false").until_ready()
    key = variables(name).get("SERVER_KEY") or running.server_key
    client = Client(running.base_url, key)
    install(client, "tool_kitchen", packages.light("tool_kitchen", "0.0.1"), settings.install_timeout)
    first, _ = client.invoke_tool("conformance/tool_kitchen", "kitchen", "echo", {})
    assert first.text == "0.0.1"
    client.close()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_a_deployment_is_called_misspelt(deployed: Callable[..., Attempt], name: str) -> None:
    running = deployed(name).until_ready()
    strange = ("misspelt", "unknown variable", "not yet", "no effect", "ignored")
    assert not [line for line in running.warnings() if any(word in line for word in strange)]


@pytest.mark.parametrize("name", COMPOSE)
def test_the_sample_keys_of_a_compose_file(deployed: Callable[..., Attempt], name: str) -> None:
    """It starts, and says loudly that everybody knows them."""
    running = deployed(name).until_ready()
    told = [line for line in running.warnings() if "published sample file" in line]
    assert {word for word in ("SERVER_KEY", "DIFY_INNER_API_KEY") for line in told if f"variable={word}" in line} == {
        "SERVER_KEY",
        "DIFY_INNER_API_KEY",
    }
    assert "insecure" in running.part("keys")
    assert SAMPLE_KEY not in running.logs()


@pytest.mark.parametrize("name", COMPOSE)
def test_the_sample_keys_of_a_compose_file_can_be_refused(deployed: Callable[..., Attempt], name: str) -> None:
    said = deployed(name, PLUGIN_ALLOW_SAMPLE_KEYS="false").refusal()
    assert "SERVER_KEY" in said and "DIFY_INNER_API_KEY" in said and "own key" in said and SAMPLE_KEY not in said


@pytest.mark.parametrize("name", COMPOSE)
def test_the_servers_of_a_compose_file_are_waited_for(starts: Starts, name: str) -> None:
    """As it is, with its database that is not there yet: named in log and /ready, with its variables."""
    of_file = {key: value for key, value in variables(name).items() if key not in OWN - {"DB_DATABASE"}}
    place = {"DB_HOST": "no-such-host.invalid", "REDIS_HOST": "127.0.0.1", "REDIS_PORT": "1"}
    running = starts(**(of_file | place | {"PLUGIN_REMOTE_INSTALLING_PORT": str(quiet_port())}))
    running.said(" WARN ", "part=database", "no-such-host.invalid", "DB_HOST")
    assert "DB_HOST" in running.part("database")


@pytest.mark.parametrize(
    "more, said",
    [
        (
            {"CACHE_TYPE": "redis", "REDIS_HOST": "127.0.0.1", "REDIS_USE_AZURE_MANAGED_IDENTITY": "true"},
            "REDIS_PASSWORD",
        ),
        (
            {
                "PLUGIN_STORAGE_TYPE": "aliyun_oss",
                "PLUGIN_STORAGE_OSS_BUCKET": "bucket",
                "ALIYUN_OSS_REGION": "any",
                "ALIYUN_OSS_ENDPOINT": "http://127.0.0.1:1",
                "ALIYUN_OSS_ACCESS_KEY_ID": "any",
                "ALIYUN_OSS_ACCESS_KEY_SECRET": "any",
                "ALIYUN_OSS_CLOUDBOX_ID": "any",
            },
            "S3 protocol",
        ),
    ],
)
def test_what_is_not_supported_says_what_is(starts: Starts, more: dict[str, str], said: str) -> None:
    text = starts(**more).refusal()
    assert "not supported" in text and said in text and list(more)[-1] in text


def test_variables_without_effect_are_obsolete(starts: Starts) -> None:
    dumped = starts.of(starts.prepared(PLUGIN_MODEL_INSTALLATIONS_CACHE_ENABLED="true"), "config", "dump").stdout
    lines = [line for line in dumped.splitlines() if line.startswith("PLUGIN_MODEL_INSTALLATIONS_CACHE_")]
    assert len(lines) == 2 and all("without effect" in line and "not yet" not in line for line in lines)
