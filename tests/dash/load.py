"""What the checks of dashboards and alerts share: reading them, and every query in them with its variables filled in."""
import json
import os
import re
import subprocess

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
DASHBOARDS = os.path.join(ROOT, "dashboards")


def rules():
    """The groups of alerts.yaml, read from the source so that no YAML reader is needed (the drift check ties the two)."""
    out = subprocess.run(["jsonnet", "-J", DASHBOARDS, "-e", "(import 'rules.libsonnet')(import 'config.libsonnet')"], check=True, capture_output=True)
    return json.loads(out.stdout)["groups"]


def dashboards():
    for name in ("fleet", "worker"):
        with open(os.path.join(DASHBOARDS, name + ".json"), encoding="utf-8") as f:
            yield name, json.load(f)


def filled(expr, fleet=".*", worker=".*"):
    for name, value in {"__rate_interval": "1m", "cluster": ".*", "namespace": ".*", "fleet": fleet, "datacenter": ".*", "worker": worker}.items():
        expr = re.sub(r"\$\{?%s\b\}?" % name, value, expr)
    assert "$" not in expr, expr
    return expr


def queries(**values):
    """(where, expression) of every panel, annotation and rule."""
    for name, board in dashboards():
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                yield f"{name}.json: {panel['title']} {target['refId']}", filled(target["expr"], **values)
        for note in board["annotations"]["list"]:
            yield f"{name}.json: annotation {note['name']}", filled(note["expr"], **values)
    for group in rules():
        for rule in group["rules"]:
            yield "alerts.yaml: " + (rule.get("alert") or rule["record"]), rule["expr"]


def metric_names():
    """Every series name that src/metrics/table.h allows."""
    with open(os.path.join(ROOT, "src/metrics/table.h"), encoding="utf-8") as f:
        text = f.read()
    names = {"up": set(), "ALERTS": set()}
    for name, kind, labels in re.findall(r'X\(\w+, "(\w+)", (COUNTER|GAUGE|HISTOGRAM), "\w*", "([\w,]*)"', text):
        keys = set(filter(None, labels.split(",")))
        for suffix in {"COUNTER": ["_total"], "GAUGE": [""], "HISTOGRAM": ["_bucket", "_sum", "_count"]}[kind]:
            names[name + suffix] = keys
    return names
