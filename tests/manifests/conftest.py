"""The rendered objects, once per run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "deploy" / "k8s"))

from manifest_checks.render import overlays, render, stage


@pytest.fixture(scope="session")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree with the examples in the place of secrets."""
    return stage(tmp_path_factory.mktemp("manifests") / "k8s")


@pytest.fixture(scope="session")
def rendered(staged: Path) -> dict[str, list[dict[str, object]]]:
    """Overlay -> its objects. Never changed: tests that plant a fault copy them."""
    return {overlay: render(staged, overlay) for overlay in overlays()}
