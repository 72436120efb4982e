"""Lints the chart, renders it with several values, and validates what comes out."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import kubernetes_validate
import yaml
from cloudcoil.models.prometheus_operator import v1 as monitoring

CHART = Path("deploy/helm/dify-plugin-daemon")
VALUES = [CHART / "values.yaml", *sorted((CHART / "ci").glob("*.yaml"))]
KUBERNETES = ["1.25", "1.37"]
# Values that are refused, and what has to be in the message.
REFUSED = {
    "replicas=2": "database.type",
    "replicas=2,database.type=mysql,database.host=h": "redis.host",
    "replicas=2,database.type=mysql,database.host=h,redis.host=r": "storage.type",
    "replicas=2,database.type=mysql,database.host=h,redis.host=r,storage.type=gcs,storage.bucket=b": "cache.type",
    "database.type=postgresql": "database.host",
    "database.type=oracle": "/database/type",
    "storage.type=aws_s3": "storage.bucket",
    "platform=serverless": "DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL",
    "connector.enabled=true": "platform",
    "platform=serverless,connector.enabled=true,connector.backend=lambda": "CONNECTOR_LAMBDA_ROLE",
    "connector.key=short": "/connector/key",
    "replicaCount=2": "replicaCount",
    "config.LOG-LEVEL=DEBUG": "LOG-LEVEL",
    "admin.key=short": "/admin/key",
    "redis.passwordFrom.name=secret": "/redis/passwordFrom",
}
faults: list[str] = []


def helm(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(["helm", *map(str, arguments)], capture_output=True, text=True)


def render(chart: Path, *arguments: object) -> list[dict]:
    done = helm("template", "test", chart, "--kube-version", f"{KUBERNETES[-1]}.0", *arguments)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, arguments))}: {done.stderr}")
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def validate(document: dict, where: str) -> None:
    kind = document["kind"]
    model = getattr(monitoring, kind, None)
    try:
        if model is not None and document["apiVersion"].startswith("monitoring.coreos.com/"):
            read = model.model_validate(document)
            known = json.loads(read.model_dump_json(by_alias=True, exclude_unset=True))
            if known != document:
                faults.append(f"{where}: fields that {kind} does not have: {lost(document, known)}")
            return
        for version in KUBERNETES:
            kubernetes_validate.validate(document, version, strict=True)
    except (ValueError, kubernetes_validate.ValidationError) as error:
        faults.append(f"{where}: {error}")
    except kubernetes_validate.SchemaNotFoundError as error:
        faults.append(f"{where}: {error.message}")


def lost(whole: object, part: object, path: str = "") -> list[str]:
    """Paths of what is in `whole` and not, or otherwise, in `part`."""
    if isinstance(whole, dict) and isinstance(part, dict):
        return [leaf for key, value in whole.items() for leaf in lost(value, part.get(key), f"{path}.{key}")]
    if isinstance(whole, list) and isinstance(part, list) and len(whole) == len(part):
        return [leaf for i, pair in enumerate(zip(whole, part)) for leaf in lost(*pair, f"{path}[{i}]")]
    return [] if whole == part else [path]


def check_release(documents: list[dict], where: str) -> None:
    """What no schema knows: parts that have to fit each other."""
    by_kind: dict[str, list[dict]] = {}
    for document in documents:
        by_kind.setdefault(document["kind"], []).append(document)
    deployments = by_kind["Deployment"]
    for service in by_kind["Service"]:
        selector = service["spec"]["selector"]
        selected = [one for one in deployments if selector.items() <= one["spec"]["template"]["metadata"]["labels"].items()]
        if len(selected) != 1:
            faults.append(f"{where}: service {service['metadata']['name']} selects the pods of {len(selected)} deployments")
        ports = {port["name"] for one in selected for port in one["spec"]["template"]["spec"]["containers"][0]["ports"]}
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in ports:
                faults.append(f"{where}: service {service['metadata']['name']} wants port {port['targetPort']}")
    made = {item["metadata"]["name"]: item.get("data", {}) for item in by_kind.get("Secret", [])}
    for deployment in deployments:
        check_pod(deployment["spec"], made, where)

    [spec] = [one["spec"] for one in deployments if one["spec"]["template"]["spec"]["containers"][0]["name"] == "daemon"]
    pod = spec["template"]["spec"]
    container = pod["containers"][0]
    config = next(item for item in by_kind["ConfigMap"] if item["metadata"]["name"] == container["envFrom"][0]["configMapRef"]["name"])
    pause = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["", "0"])[1]
    needed = int(pause) + int(config["data"]["SERVER_DRAIN_TIMEOUT_SECONDS"]) + 10
    if pod["terminationGracePeriodSeconds"] < needed:
        faults.append(f"{where}: pods are killed after {pod['terminationGracePeriodSeconds']} s, draining may take {needed} s")


def check_pod(spec: dict, made: dict[str, dict], where: str) -> None:
    pod = spec["template"]["spec"]
    container = pod["containers"][0]
    where = f"{where}: {container['name']}"
    if not spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items():
        faults.append(f"{where}: {spec['selector']} does not select the pods")
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    if mounted != {volume["name"] for volume in pod["volumes"]}:
        faults.append(f"{where}: volumes and mounts are not the same")
    for source in container["envFrom"]:
        name = source.get("secretRef", {}).get("name", "")
        if name.startswith("test-") and name not in made:
            faults.append(f"{where}: the pod wants the secret {name}, which is not made")
    for variable in container["env"]:
        wanted = variable.get("valueFrom", {}).get("secretKeyRef", {"name": "", "key": ""})
        if wanted["name"].startswith("test-") and wanted["key"] not in made.get(wanted["name"], {}):
            faults.append(f"{where}: {variable['name']} wants the key {wanted['key']}, which is not made")


for values in VALUES:
    done = helm("lint", "--strict", CHART, "--values", values)
    if done.returncode:
        faults.append(f"{values}: {done.stdout}{done.stderr}")
    documents = render(CHART, "--values", values)
    for document in documents:
        validate(document, f"{values}: {document['kind']} {document['metadata']['name']}")
    check_release(documents, str(values))

for setting, expected in REFUSED.items():
    done = helm("template", "test", CHART, "--kube-version", f"{KUBERNETES[-1]}.0", "--set", setting)
    if done.returncode == 0:
        faults.append(f"--set {setting}: should be refused")
    elif expected not in done.stderr:
        faults.append(f"--set {setting}: the message should name {expected}: {done.stderr}")

# the notes are rendered only by an install, which wants a cluster; as data they are rendered here too
with tempfile.TemporaryDirectory() as folder:
    copy = Path(folder) / "chart"
    shutil.copytree(CHART, copy)
    shutil.copy(copy / "templates/NOTES.txt", copy)
    (copy / "templates/notes.yaml").write_text('notes: {{ tpl (.Files.Get "NOTES.txt") . | toJson }}\n')
    for values in VALUES:
        notes = render(copy, "--values", values, "--show-only", "templates/notes.yaml")[0]["notes"]
        if "PLUGIN_DAEMON_KEY=$(kubectl" not in notes or "<no value>" in notes:
            faults.append(f"{values}: notes: {notes}")

if faults:
    sys.exit("\n".join(faults))
print(f"{len(VALUES)} sets of values rendered and valid for Kubernetes {' and '.join(KUBERNETES)}, {len(REFUSED)} refused")
