"""Which code a summary belongs to: one hash over every file that can change what a run does."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

LEARNING = ("duly_training", "duly_risk", "duly_ledger_export")
RUNNING = (
    *LEARNING,
    "duly",
    "duly_contracts",
    "duly_policy",
    "duly_runtime",
    "duly_simulator",
    "ledger_sync",
    "scoring",
    "outreach",
    "gateway",
    "insights",
)


@cache
def code_fingerprint(packages: tuple[str, ...]) -> str:
    """sha256 over names and bytes of all files of these packages, as they were when first asked."""
    digest = hashlib.sha256()
    for package in packages:
        for folder in _folders(package):
            for file in sorted(
                path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
            ):
                digest.update(f"{package}/{file.relative_to(folder)}\0".encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _folders(package: str) -> list[Path]:
    spec = find_spec(package)
    return [Path(place) for place in (spec.submodule_search_locations or ())] if spec is not None else []
