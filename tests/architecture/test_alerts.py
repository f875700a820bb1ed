"""Alerts, their runbook and the metrics they read know each other."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml
from duly_runtime import metrics
from duly_runtime.metrics import MetricSpec

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "observability"
RULES, RULE_TESTS = FOLDER / "model-alerts.yaml", FOLDER / "model-alerts.test.yaml"
RUNBOOK = ROOT / "docs" / "runbooks" / "models.md"
SPECS = {value.name: (name, value) for name, value in vars(metrics).items() if isinstance(value, MetricSpec)}
_RULE_KEYS = {"alert", "expr", "for", "labels", "annotations"}
_DURATION = re.compile(r"(\d+(ms|[smhdwy]))+")
_SHOWN_LABEL = re.compile(r"\{\{ \$labels\.(\w+) \}\}")
_SELECTOR = re.compile(r"\b(duly_\w+)(?:\{([^}]*)\})?")
_TARGET_LABELS = {"instance", "job"}  # Prometheus adds them to what it scrapes


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
    read = {label for metric, _ in _SELECTOR.findall(rule["expr"]) for label in SPECS[metric][1].labels}
    shown = set(_SHOWN_LABEL.findall(rule["annotations"]["summary"]))
    assert shown <= read | _TARGET_LABELS
    assert "{{" not in _SHOWN_LABEL.sub("", rule["annotations"]["summary"])
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


def test_the_rule_file_has_the_shape_that_prometheus_loads() -> None:
    document = yaml.safe_load(RULES.read_text())
    assert document.keys() == {"groups"}
    rules = [rule for group in document["groups"] for rule in group["rules"]]
    assert all(group.keys() <= {"name", "interval", "rules"} for group in document["groups"])
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert _RULE_KEYS - {"for"} <= rule.keys() <= _RULE_KEYS, rule["alert"]
        assert _DURATION.fullmatch(rule.get("for", "0s")), rule["alert"]


@pytest.mark.parametrize("name", alerts())
def test_an_alert_is_an_expression_of_prometheus_over_series_and_labels_that_exist(name: str) -> None:
    selectors = selectors_of(alerts()[name]["expr"])
    assert selectors
    for metric, labels in selectors:
        assert labels <= {*SPECS[metric][1].labels}


@pytest.mark.parametrize("fault", ["max(duly_model_info", "rate(duly_model_info) > 0", "summ(duly_model_info) == 1"])
def test_an_expression_that_prometheus_would_not_load_is_noticed(fault: str) -> None:
    with pytest.raises(ValueError):
        selectors_of(fault)


def selectors_of(expression: str) -> list[tuple[str, set[str]]]:
    """Each selected series with the labels that select it. Raises ValueError for what is no PromQL."""
    found: list[Any] = []
    promql.walk(promql.parse(expression), pre_visit=found.append)
    series = [node for node in found if isinstance(node, promql.VectorSelector)]
    return [(one.name, {matcher.name for matcher in one.matchers.matchers}) for one in series]


@pytest.mark.parametrize("name", alerts())
def test_an_alert_is_shown_firing_and_silent(name: str) -> None:
    assert {bool(case["exp_alerts"]) for case in cases_of(name)} == {True, False}


@pytest.mark.parametrize("name", alerts())
def test_what_a_firing_alert_is_shown_to_say_is_what_its_rule_says(name: str) -> None:
    rule = alerts()[name]
    for said in (one for case in cases_of(name) for one in case["exp_alerts"]):
        labels = said.get("exp_labels", {})
        assert rule["labels"].items() <= labels.items()
        assert said["exp_annotations"] == {key: rendered(text, labels) for key, text in rule["annotations"].items()}


def rendered(text: str, labels: dict[str, str]) -> str:
    return _SHOWN_LABEL.sub(lambda shown: labels[shown[1]], text)


def cases_of(name: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULE_TESTS.read_text())["tests"]
    return [case for group in groups for case in group["alert_rule_test"] if case["alertname"] == name]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not on this machine")
@pytest.mark.parametrize(("does", "file"), [("check", RULES), ("test", RULE_TESTS)])
def test_prometheus_reads_the_rules_and_they_do_what_their_cases_say(does: str, file: Path) -> None:
    command = ["promtool", does, "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
