"""The chart in the shapes that its README has, played: probes turn ready, a plugin is installed and called, and a replacement of two
pods under load loses no call."""

import http.client
import json
import random
import select
import threading
import time
from pathlib import Path

import bases
import client
import engine
import ways
import yaml
from cluster import CHART, Cluster, Pod, render
from engine import Fault
from ways import Row, expect

CLIENTS = 12
PASSWORD = "password-of-the-charts-check"
# In every shape: the image that was built, keys that are known, a plugin that nobody has signed.
COMMON = {
    "image": {"repository": "localhost/plugin-daemon", "pullPolicy": "Never", "tag": "local-slim"},
    "keys": {"serverKey": client.KEY, "difyInnerApiKey": client.KEY},
    "config": {"FORCE_VERIFYING_SIGNATURE": False},
    "drain": {"preStopSeconds": 3},
    "resources": {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
}
SERVERS = {
    "database": {
        "type": "postgresql",
        "host": "postgres",
        "name": "dify_plugin",
        "username": "plugin",
        "passwordFrom": {"name": "postgres", "key": "password"},
    },
    "redis": {"host": "redis", "passwordFrom": {"name": "redis", "key": "password"}},
}


def merged(*parts: dict) -> dict:
    """Values over values, key by key."""
    found: dict = {}
    for part in parts:
        for key, value in part.items():
            found[key] = merged(found.get(key, {}), value) if isinstance(value, dict) else value
    return found


def with_machine(values: dict) -> tuple[dict, list[dict]]:
    """What installs need on this machine: the authorities as the chart takes them, and variables of package indexes."""
    config = {name: value for name, value in bases.variables().items() if name not in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")}
    if not bases.own_authorities():
        return merged(values, {"config": config}), []
    bundle = {"ca-certificates.crt": Path(bases.CERTIFICATES).read_text()}
    authorities = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "authorities"}, "data": bundle}
    return merged(values, {"config": config, "certificateAuthorities": {"configMap": "authorities"}}), [authorities]


def release(name: str, *values: dict) -> Cluster:
    wanted, more = with_machine(merged(COMMON, *values))
    secrets = [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": server}, "stringData": {"password": PASSWORD}} for server in ("postgres", "redis")]
    return Cluster(name, [*render(name, wanted), *more, *(secrets if wanted.get("redis") else [])])


def add_servers(cluster: Cluster) -> None:
    variables = {"POSTGRES_USER": "plugin", "POSTGRES_PASSWORD": PASSWORD, "POSTGRES_DB": "dify_plugin"}
    postgres = cluster.beside("localhost/servers:1", "postgres", *ways.environment(variables))
    cluster.beside("localhost/servers:1", "redis", command=("redis-server", "--requirepass", PASSWORD, "--save", ""))
    ready = ["podman", "exec", postgres, "pg_isready", "-h", "127.0.0.1", "-U", "plugin", "-d", "dify_plugin"]

    def answers() -> bool:
        try:
            engine.run(*ready)
            return True
        except Fault:
            return False

    engine.until("PostgreSQL", answers, 60, 0.5)


def row(shape: str, pod: Pod, took: float, words: list[str], size: int) -> Row:
    ready = client.Daemon(pod.pid).wait_ready()
    expect("the level of isolation", ways.level(ready), "L1" if "isolation" in ready["components"] else "plugins run elsewhere")
    return Row("chart", shape, ways.level(ready), took, words, size)


def one_pod(shape: str, image, plugin: Path, *values: dict) -> Row:
    """Everything in one pod."""
    with release("plugins", *values) as cluster:
        if "redis" in merged({}, *values):
            add_servers(cluster)
        pod = cluster.start("daemon")
        took = pod.wait_ready()
        daemon = client.Daemon(pod.pid)
        daemon.install(plugin)
        expect("the plugin's user", daemon.look("around")["user"], 1001)
        found = row(shape, pod, took, ["probes ready, installed and called"], image.size)
        expect("the pod's status at its end", pod.end(), 0)
        return found


def with_connector(images: dict, plugin: Path) -> Row:
    values = yaml.safe_load((CHART / "ci/connector-process.yaml").read_text())
    tags = {"image": {"tag": "serverless"}, "connector": {"tag": "connector", "config": machine_for_connector()}}
    with release("plugins", values, tags) as cluster:
        connector = cluster.start("connector")
        connector.wait_ready()
        pod = cluster.start("daemon")
        took = pod.wait_ready()
        daemon = client.Daemon(pod.pid)
        daemon.install(plugin, 300)
        daemon.look("around")
        found = row("ci/connector-process.yaml", pod, took, ["probes ready, function made and called"], images["serverless"].size)
        expect("the status of the daemon's pod", pod.end(), 0)
        expect("the status of the connector's pod", connector.end(), 0)
        return found


def machine_for_connector() -> dict:
    return bases.variables()


class Caller(threading.Thread):
    """Calls again and again over a connection that it keeps, as Dify's pool does, and chooses a pod only for a new one."""

    def __init__(self, listed: list[Pod], stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.listed, self.stop = listed, stop
        self.calls, self.failures = 0, []
        self.connection: client.Connection | None = None
        self.pod: Pod | None = None

    def connect(self) -> client.Connection:
        held = self.connection
        if held is None or held.sock is None or select.select([held.sock], [], [], 0)[0]:
            self.pod = random.choice(self.listed)
            self.connection = held = client.Connection(self.pod.pid, 5002, 60)
        return held

    def run(self) -> None:
        data = {"provider": "probe", "tool": "look", "tool_parameters": {"how": "around"}, "credentials": {}}
        body = json.dumps({"user_id": "checks", "data": data})
        headers = {"X-Api-Key": client.KEY, "X-Plugin-ID": "checks/probe", "Content-Type": "application/json"}
        while not self.stop.is_set():
            try:
                connection = self.connect()
                connection.request("POST", f"/plugin/{client.TENANT}/dispatch/tool/invoke", body, headers)
                answer = connection.getresponse()
                text = answer.read().decode()
                if answer.status != 200 or '"no_new_privileges"' not in text:
                    self.failures.append(f"{self.pod.name}: {answer.status} {text[-300:]}")
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{self.pod.name}: {error!r}")
                self.connection = None
            self.calls += 1
            time.sleep(0.02)


def rollout(image, plugin: Path) -> Row:
    """Two pods that share a volume, PostgreSQL and Redis are replaced one by one, the new one first, under load."""
    values = {
        **SERVERS, "replicas": 2, "persistence": {"accessModes": ["ReadWriteMany"]}, "cache": {"type": "emptyDir"},
        "resources": {"limits": {"memory": "2Gi"}},
    }  # fmt: skip
    with release("plugins", values) as cluster:
        add_servers(cluster)
        pods = [cluster.start("daemon", number) for number in (0, 1)]
        took = max(pod.wait_ready() for pod in pods)
        client.Daemon(pods[0].pid).install(plugin)
        for pod in pods:
            client.Daemon(pod.pid).look("around")
        listed = list(pods)
        stop = threading.Event()
        callers = [Caller(listed, stop) for _ in range(CLIENTS)]
        for caller in callers:
            caller.start()
        time.sleep(2)
        for number, old in enumerate(pods, 2):
            new = cluster.start("daemon", number)
            new.wait_ready()
            listed.append(new)
            listed.remove(old)
            expect(f"the status of {old.name} at its end", old.end(), 0)
        time.sleep(2)
        stop.set()
        for caller in callers:
            caller.join()
        failures = [failure for caller in callers for failure in caller.failures]
        calls = sum(caller.calls for caller in callers)
        if failures:
            raise Fault(f"{len(failures)} of {calls} calls failed during the replacement:\n" + "\n".join(failures[:10]))
        return row("two pods replaced under load", listed[0], took, [f"{calls} calls, none lost"], image.size)


def go(images: dict, plugin: Path) -> list[Row]:
    slim = images["local-slim"]
    from_other_chart = yaml.safe_load((CHART / "ci/from-dify-helm.yaml").read_text())
    rows = []
    for shape, values in (("values as they are", []), ("ci/from-dify-helm.yaml", [from_other_chart])):
        engine.say(f"chart: {shape}")
        rows.append(one_pod(shape, slim, plugin, *values))
    engine.say("chart: ci/connector-process.yaml")
    rows.append(with_connector(images, plugin))
    engine.say("chart: two pods are replaced")
    return [*rows, rollout(slim, plugin)]
