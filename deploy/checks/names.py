"""Variables that deploy/ sets or docs/operations.md speaks of are variables of the daemon or the connector; the latter has all
classes of failures; links lead somewhere."""

import re
import sys
from pathlib import Path

import yaml

CHART = Path("deploy/helm/dify-plugin-daemon")
OPERATIONS = Path("docs/operations.md")
# Read by uv, Python, TLS libraries, the operating system, Dify or the images' tools; names of the kernel.
OTHERS = re.compile(
    r"UV_\w+|SSL_CERT_\w+|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|NETRC|HOME|TZ|PATH|TMPDIR|TIKTOKEN_CACHE_DIR"
    r"|POSTGRES_\w+|PLUGIN_DAEMON_(KEY|URL|IMAGE|TARGET|PUBLISH|TIMEOUT|PORT)|INNER_API_KEY_FOR_PLUGIN"
    r"|PLUGIN_DIFY_INNER_API_(KEY|URL)|PLUGIN_DEBUGGING_\w+|PLUGIN_REMOTE_INSTALL_(HOST|PORT)|PLUGIN_DRAIN_TIMEOUT_SECONDS"
    r"|(RUST|RUNNER|SERVERLESS|CONNECTOR)_BASE|PYTHON_VERSIONS|TIKTOKEN_ENCODINGS"
    r"|CONFIG_CHECKPOINT_RESTORE|PR_SET_MM_MAP|FILES_URL|HF_ENDPOINT"
    r"|MAX_(REQUEST|INVOCATION)_TIMEOUT|PLUGIN_PYTHON_ENV_INIT_TIMEOUT|PLUGIN_MAX_PACKAGE_SIZE"
)
NAME = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
faults = []


def set_in_deploy() -> set[tuple[str, str]]:
    """(file, variable) for every variable that a file gives the daemon."""
    found = set()
    for path in sorted(Path("deploy/compose").glob("*.yaml")):
        daemon = yaml.safe_load(path.read_text())["services"]["plugin_daemon"]
        found |= {(str(path), name) for name in daemon["environment"]}
    dockerfile = Path("deploy/docker/Dockerfile")
    for block in re.findall(r"^ENV ((?:.*\\\n)*.*)$", dockerfile.read_text(), re.M):
        found |= {(str(dockerfile), name) for name in re.findall(r"(\w+)=", block)}
    unit = Path("deploy/systemd/dify-plugin-daemon.service")
    for line in re.findall(r"^Environment=(.*)$", unit.read_text(), re.M):
        found |= {(str(unit), name) for name in re.findall(r"(\w+)=", line)}
    templates = [CHART / "templates" / name for name in ("config.yaml", "connector.yaml", "deployment.yaml", "secret.yaml")]
    for path in [*templates, *sorted((CHART / "ci").glob("*.yaml"))]:
        found |= {(str(path), name) for name in NAME.findall(path.read_text())}
    return found


def check_links(path: Path) -> None:
    text = path.read_text()
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in target and not (path.parent / target).exists():
            faults.append(f"{path}: {target} is not there")


def causes() -> set[str]:
    """The classes of failures that an operator sees."""
    local = Path("crates/runtime/src/local")
    texts = [(local / name).read_text() for name in ("error.rs", "environment/error.rs", "supervisor/actor.rs")]
    return {cause for text in texts for cause in re.findall(r'(?:Self|Failure)::\w+(?: \{.*\})? => "(\w+)"', text)}


registry = "\n".join(path.read_text() for path in Path("crates/service/src/config/groups").glob("*.rs"))
known = set(re.findall(r'[=|] "([A-Za-z]\w+)"', registry))
known |= set(re.findall(r'env = "(\w+)"', Path("crates/connector/src/options.rs").read_text()))
used = set_in_deploy() | {
    (str(path), name)
    for path in [OPERATIONS, CHART / "values.yaml", CHART / "README.md"]
    for name in NAME.findall(path.read_text())
}
for path, name in sorted(used):
    prefix = name.endswith("_") and any(other.startswith(name) for other in known)
    if name not in known and not prefix and not OTHERS.fullmatch(name):
        faults.append(f"{path}: the daemon has no variable {name}")
for cause in sorted(causes()):
    if f"\n| `{cause}` |" not in OPERATIONS.read_text():
        faults.append(f"{OPERATIONS}: says nothing about failures of class {cause}")
for path in [OPERATIONS, CHART / "README.md"]:
    check_links(path)

if faults:
    sys.exit("\n".join(faults))
print(f"{len({name for _, name in used})} names of variables are right")
