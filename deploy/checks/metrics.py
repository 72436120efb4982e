"""Every metric in the alerts and the dashboard is one that the daemon has, and every expression is PromQL."""

import json
import re
import sys
from pathlib import Path

import promql_parser
import yaml

FILES = Path("deploy/helm/dify-plugin-daemon/files")
SOURCES = Path("crates/service/src/telemetry")
# made by Prometheus itself
OTHERS = {"up"}
faults = []


def exposed() -> set[str]:
    """Names under which the daemon's metrics are scraped: what is registered, with what the kinds of metrics add."""
    texts = [path.read_text() for path in [SOURCES / "metrics.rs", *sorted((SOURCES / "metrics").glob("*.rs"))]]
    names = {name for text in texts for name in re.findall(r'"([a-z]+(?:_[a-z]+)+)"', text)}
    return names | {f"{name}{suffix}" for name in names for suffix in ("_total", "_bucket", "_sum", "_count")}


def selectors(node: object) -> list:
    """All selectors of an expression."""
    found = []

    def visit(expression: object) -> None:
        if isinstance(expression, promql_parser.VectorSelector):
            found.append(expression)
        elif isinstance(expression, promql_parser.MatrixSelector):
            found.append(expression.vector_selector)

    promql_parser.walk(node, visit)
    return found


def check(expression: str, where: str, known: set[str]) -> None:
    # what Grafana puts in
    text = expression.replace("$__rate_interval", "5m")
    try:
        parsed = promql_parser.parse(text)
    except ValueError as error:
        faults.append(f"{where}: {error}: {expression}")
        return
    names = {selector.name for selector in selectors(parsed)}
    if not names:
        faults.append(f"{where}: no metric: {expression}")
    for name in names - known - OTHERS:
        faults.append(f"{where}: the daemon has no metric {name}")


known = exposed()
alerts = [rule for group in yaml.safe_load((FILES / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]
for rule in alerts:
    check(rule["expr"], f"alert {rule['alert']}", known)

dashboard = json.loads((FILES / "dashboard.json").read_text())
targets = [(panel["title"], target) for panel in dashboard["panels"] for target in panel.get("targets", [])]
for title, target in targets:
    check(target["expr"], f"panel {title}", known)
for variable in dashboard["templating"]["list"]:
    found = re.match(r"label_values\((.*), \w+\)$", variable.get("definition", ""))
    if found:
        check(found.group(1), f"variable {variable['name']}", known)
ids = [panel["id"] for panel in dashboard["panels"]]
if len(ids) != len(set(ids)):
    faults.append("panels share an id")

if faults:
    sys.exit("\n".join(faults))
print(f"{len(alerts)} alerts and {len(targets)} queries use metrics that there are")
