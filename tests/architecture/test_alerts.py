"""Alerts, their runbook and the metrics they read know each other."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from duly_runtime import metrics
from duly_runtime.metrics import MetricSpec

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "observability"
RULES, RULE_TESTS = FOLDER / "model-alerts.yaml", FOLDER / "model-alerts.test.yaml"
RUNBOOK = ROOT / "docs" / "runbooks" / "models.md"
SPECS = {value.name: (name, value) for name, value in vars(metrics).items() if isinstance(value, MetricSpec)}
_SELECTOR = re.compile(r"\b(duly_\w+)(?:\{([^}]*)\})?")


def alerts() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def sections() -> set[str]:
    return set(re.findall(r"^## (\S+)$", RUNBOOK.read_text(), re.M))


def test_every_alert_is_a_section_of_the_runbook_and_every_section_an_alert() -> None:
    assert alerts().keys() == sections()


def test_the_runbooks_table_lists_every_alert() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\(#(\w+)\)", RUNBOOK.read_text(), re.M)
    assert [name.lower() for name, _ in rows] == [anchor for _, anchor in rows]
    assert {name for name, _ in rows} == alerts().keys()


@pytest.mark.parametrize("name", alerts())
def test_an_alert_leads_to_its_section_and_says_how_urgent_it_is(name: str) -> None:
    rule = alerts()[name]
    assert rule["annotations"]["runbook"] == f"{RUNBOOK.relative_to(ROOT)}#{name.lower()}"
    assert rule["annotations"]["summary"]
    assert rule["labels"]["severity"] in {"page", "ticket"}


@pytest.mark.parametrize("name", alerts())
def test_an_alert_reads_metrics_that_the_code_exports_by_labels_they_have(name: str) -> None:
    read = _SELECTOR.findall(alerts()[name]["expr"])
    assert read
    sources = "".join(
        path.read_text()
        for group in ("services", "training")
        for path in (ROOT / group).rglob("src/**/*.py")
        if "_pb2" not in path.name
    )
    for metric, selectors in read:
        constant, spec = SPECS[metric]
        assert re.search(rf"\.(count|set|observe)\(\s*{constant}\b", sources), f"nothing exports {metric}"
        assert set(re.findall(r"(\w+)=", selectors)) <= set(spec.labels)


@pytest.mark.parametrize("name", alerts())
def test_an_alert_is_shown_firing_and_silent(name: str) -> None:
    shown = [
        bool(case["exp_alerts"])
        for group in yaml.safe_load(RULE_TESTS.read_text())["tests"]
        for case in group["alert_rule_test"]
        if case["alertname"] == name
    ]
    assert set(shown) == {True, False}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not on this machine")
@pytest.mark.parametrize(("does", "file"), [("check", RULES), ("test", RULE_TESTS)])
def test_prometheus_reads_the_rules_and_they_do_what_their_cases_say(does: str, file: Path) -> None:
    command = ["promtool", does, "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
