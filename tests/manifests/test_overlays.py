"""Every overlay renders, is valid for the API, and passes every rule."""

from __future__ import annotations

import pytest
from manifest_checks.render import overlays
from manifest_checks.rules import rules
from manifest_checks.schemas import releases, valid_for


@pytest.mark.parametrize("release", releases())
@pytest.mark.parametrize("overlay", overlays())
def test_an_overlay_is_valid_for_the_oldest_and_the_newest_release(overlay, release, rendered):
    assert valid_for(rendered[overlay], release) == []


@pytest.mark.parametrize("rule", rules("dev"))
@pytest.mark.parametrize("overlay", overlays())
def test_an_overlay_passes_the_rule(overlay, rule, rendered):
    assert rules(overlay)[rule](rendered[overlay]) == []


def test_the_base_asks_for_three_brokers_and_dev_for_one(staged, rendered):
    generated = (staged / "platform" / "kafka" / "topics.yaml").read_text("utf-8")
    topics = [item for item in rendered["dev"] if item["kind"] == "KafkaTopic"]
    assert "replicas: 3" in generated
    assert topics
    assert {topic["spec"]["replicas"] for topic in topics} == {1}
