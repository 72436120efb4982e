"""What a cluster does with a rendered chart, as far as pods of podman go: `podman kube play` runs the pods, and this module is
the rest: it makes pods of deployments, volumes for claims, asks the probes, and ends pods as a kubelet does."""

import base64
import http.client
import ipaddress
import json
import shutil
import subprocess
import time

import client
import engine
import yaml
from engine import Fault

CHART = engine.PROJECT / "deploy/helm/dify-plugin-daemon"


def render(name: str, values: dict) -> list[dict]:
    """The chart with these values, as `helm template` has it."""
    file = engine.PLACE / f"values-{name}.yaml"
    file.write_text(yaml.safe_dump(values))
    text = engine.run("helm", "template", name, CHART, "--kube-version", "1.37.0", "--namespace", "default", "--values", file)
    return [document for document in yaml.safe_load_all(text) if document]


class Pod:
    def __init__(self, cluster: "Cluster", deployment: dict, number: int) -> None:
        self.cluster = cluster
        self.name = f"{deployment['metadata']['name']}-{number}"
        self.spec = json.loads(json.dumps(deployment["spec"]["template"]["spec"]))
        self.container = self.spec["containers"][0]
        # podman would open them on this machine, where one pod alone can have them
        self.ports = {port["name"]: port["containerPort"] for port in self.container.pop("ports")}
        self.begun = time.monotonic()
        self.address = cluster.address_of(deployment["metadata"]["name"], number)
        self.play(deployment)

    def play(self, deployment: dict) -> None:
        spec = self.spec
        for volume in spec["volumes"]:
            self.cluster.provide(self.name, volume, spec["securityContext"].get("fsGroup"))
        for variable in self.container["env"]:
            if "fieldRef" in variable.get("valueFrom", {}):
                variable["value"] = {"status.podIP": self.address}[variable.pop("valueFrom")["fieldRef"]["fieldPath"]]
        # asked from here: they would be commands in the container, which need programs that it has not
        self.probes = {kind: self.container.pop(kind, None) for kind in ("startupProbe", "readinessProbe", "livenessProbe")}
        self.pre_stop = self.container.pop("lifecycle", {}).get("preStop")
        spec["hostAliases"] = [{"ip": address, "hostnames": [name]} for name, address in self.cluster.names().items()]
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": self.name, "labels": labels}, "spec": spec}
        file = engine.PLACE / f"pod-{self.name}.yaml"
        file.write_text(yaml.safe_dump_all([*self.cluster.config_maps, pod]))
        engine.podman("kube", "play", "--network", self.cluster.network, "--ip", self.address, file)
        found = json.loads(engine.podman("inspect", f"{self.name}-{self.container['name']}"))[0]
        self.id, self.pid = found["Id"], found["State"]["Pid"]

    def asks(self, probe: dict) -> bool:
        wanted = probe["httpGet"]
        port = self.ports.get(wanted["port"], wanted["port"])
        connection = client.Connection(self.pid, port, probe.get("timeoutSeconds", 1))
        try:
            connection.request("GET", wanted["path"])
            return 200 <= connection.getresponse().status < 400
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def is_ready(self) -> bool:
        return self.asks(self.probes["readinessProbe"])

    def wait_ready(self) -> float:
        """Until its probes say so, in the times that they allow; how long that took."""
        for probe in filter(None, (self.probes["startupProbe"], self.probes["readinessProbe"])):
            tries = probe.get("failureThreshold", 3) if probe is self.probes["startupProbe"] else 60
            for _ in range(tries):
                if self.asks(probe):
                    break
                self.expect_running()
                time.sleep(probe.get("periodSeconds", 10))
            else:
                raise Fault(f"{self.name}: {probe['httpGet']['path']} does not answer\n{self.log()[-4000:]}")
        if not self.asks(self.probes["livenessProbe"]):
            raise Fault(f"{self.name} is ready, and does not live")
        return time.monotonic() - self.begun

    def expect_running(self) -> None:
        state = json.loads(engine.podman("inspect", self.id))[0]["State"]
        if state["Status"] != "running":
            raise Fault(f"{self.name} has ended with status {state['ExitCode']}\n{self.log()[-4000:]}")

    def log(self) -> str:
        return subprocess.run(["podman", "logs", self.id], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout

    def end(self) -> int:
        """As a kubelet does: what comes before the stop, SIGTERM, and SIGKILL after the time that the pod has. Its status."""
        begun = time.monotonic()
        grace = self.spec["terminationGracePeriodSeconds"]
        if self.pre_stop:
            engine.podman("exec", self.id, *self.pre_stop["exec"]["command"])
        engine.podman("stop", "--time", max(1, int(grace - (time.monotonic() - begun))), self.id)
        status = json.loads(engine.podman("inspect", self.id))[0]["State"]["ExitCode"]
        engine.podman("pod", "rm", "--force", "--time", "0", self.name)
        self.cluster.pods.remove(self)
        return status


class Cluster:
    """A network with names, volumes below a folder, and the pods of one release."""

    def __init__(self, name: str, documents: list[dict]) -> None:
        self.name, self.documents = name, documents
        self.pods: list[Pod] = []
        self.folder = engine.PLACE / f"cluster-{name}"
        self.others: list[str] = []
        self.secrets: list[str] = []
        self.given: dict[tuple[str, int], str] = {}

    def of(self, kind: str) -> list[dict]:
        return [document for document in self.documents if document["kind"] == kind]

    @property
    def config_maps(self) -> list[dict]:
        return self.of("ConfigMap")

    def __enter__(self) -> "Cluster":
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.network = engine.podman("network", "create").strip()
        [subnet] = json.loads(engine.podman("network", "inspect", self.network))[0]["subnets"]
        self.addresses = iter(list(ipaddress.ip_network(subnet["subnet"]).hosts())[100:])
        for secret in self.of("Secret"):
            self.make_secret(secret)
        return self

    def make_secret(self, secret: dict) -> None:
        """Podman 4.3 wants the data alone, which later versions take from the whole document."""
        name = secret["metadata"]["name"]
        plain = {key: base64.b64encode(value.encode()).decode() for key, value in secret.get("stringData", {}).items()}
        data = secret.get("data", {}) | plain
        document = data if engine.podman_version() < (4, 4) else {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
        subprocess.run(["podman", "secret", "rm", name], capture_output=True)
        engine.podman("secret", "create", name, "-", input=json.dumps(document))
        self.secrets.append(name)

    def address_of(self, deployment: str, number: int) -> str:
        """Known before the pod starts, so that others can be told."""
        return self.given.setdefault((deployment, number), str(next(self.addresses)))

    def names(self) -> dict[str, str]:
        """Services that have a name of their own: the first pod of the deployment of that name."""
        services = {service["metadata"]["name"] for service in self.of("Service")}
        deployments = [deployment["metadata"]["name"] for deployment in self.of("Deployment")]
        return {name: self.address_of(name, 0) for name in deployments if name in services}

    def beside(self, image: str, name: str, *options: object, command: tuple = ()) -> str:
        """A container of the same network that is no part of the release, under a name."""
        made = engine.podman("run", "--detach", "--network", f"{self.network}:alias={name}", *options, image, *command).strip()
        self.others.append(made)
        return made

    def provide(self, pod: str, volume: dict, group: int | None) -> None:
        """A folder for a volume, with the rights that a kubelet gives it; the one of a claim is the same for all pods."""
        claim = volume.pop("persistentVolumeClaim", None)
        if claim is None and volume.pop("emptyDir", None) is None and volume.pop("ephemeral", None) is None:
            return
        folder = self.folder / (claim["claimName"] if claim else f"{pod}-{volume['name']}")
        if not folder.exists():
            folder.mkdir()
            if claim and group:
                shutil.chown(folder, 0, group)
                folder.chmod(0o2775)
            else:
                folder.chmod(0o777)
        volume["hostPath"] = {"path": str(folder), "type": "Directory"}

    def start(self, deployment: str, number: int = 0) -> Pod:
        [found] = [one for one in self.of("Deployment") if one["spec"]["template"]["spec"]["containers"][0]["name"] == deployment]
        pod = Pod(self, found, number)
        self.pods.append(pod)
        return pod

    def __exit__(self, kind, error, trace) -> None:
        for pod in list(self.pods):
            if error is not None:
                print(f"--- {pod.name}\n{pod.log()[-6000:]}")
            subprocess.run(["podman", "pod", "rm", "--force", "--time", "0", pod.name], capture_output=True)
        for other in self.others:
            if error is not None:
                done = subprocess.run(["podman", "logs", other], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                print(f"--- {other}\n{done.stdout[-2000:]}")
            subprocess.run(["podman", "rm", "--force", "--time", "0", "--volumes", other], capture_output=True)
        for secret in self.secrets:
            subprocess.run(["podman", "secret", "rm", secret], capture_output=True)
        subprocess.run(["podman", "network", "rm", "--force", self.network], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)
