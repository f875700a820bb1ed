"""`summary.json` and what is printed of it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from duly_cli.checks.comparison import Comparison
from duly_cli.checks.digest import Digest
from duly_cli.checks.result import CheckResult
from duly_cli.counts import shown_balance
from duly_cli.errors import CommandFailed

SUMMARY_VERSION = 1


@dataclass(frozen=True)
class Summary:
    """One run. fingerprint: of ledger, window, seed, model and code. timings: step or phase -> seconds."""

    run: str
    fingerprint: str
    ledger: Mapping[str, Any]
    counts: Mapping[str, Any]
    checks: tuple[CheckResult, ...]
    timings: Mapping[str, float]
    digest: Digest
    unknown: Mapping[str, str]
    kills: tuple[Mapping[str, object], ...] = ()
    comparison: Comparison | None = None
    machine: Mapping[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks) and (self.comparison is None or self.comparison.equal)

    def to_json(self) -> dict[str, Any]:
        return {
            "version": SUMMARY_VERSION,
            "run": self.run,
            "passed": self.passed,
            "fingerprint": self.fingerprint,
            "machine": dict(self.machine),
            "ledger": dict(self.ledger),
            "counts": dict(self.counts),
            "checks": [check.to_json() for check in self.checks],
            "timings": dict(self.timings),
            "chaos": {
                "kills": [dict(kill) for kill in self.kills],
                "comparison": self.comparison.to_json() if self.comparison else None,
            },
            "unknown": dict(self.unknown),
            "digest": self.digest,
        }


@dataclass(frozen=True, slots=True)
class Reference:
    """What a comparison needs of an earlier summary."""

    run: str
    fingerprint: str
    passed: bool
    digest: Digest
    unknown: Mapping[str, str]


def write_summary(summary: Summary, *files: Path) -> None:
    """The same document to every file, each replaced at once."""
    text = json.dumps(summary.to_json(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    for file in files:
        part = file.with_name(f"{file.name}.part")
        part.write_text(text, "utf-8")
        part.replace(file)


def read_reference(file: Path) -> Reference:
    """An earlier summary. Raises CommandFailed where the file is none."""
    try:
        document = json.loads(file.read_text("utf-8"))
        if document["version"] != SUMMARY_VERSION:
            raise CommandFailed(f"{file} is a summary of version {document['version']}, not {SUMMARY_VERSION}.")
        return Reference(
            str(document["run"]),
            str(document["fingerprint"]),
            bool(document["passed"]),
            document["digest"],
            document["unknown"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandFailed(f"{file} cannot be read as a summary: {error}") from error


def machine_of_this_run() -> dict[str, Any]:
    """What timings depend on."""
    return {"cpus": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}


def counts_table(counts: Mapping[str, Any]) -> Table:
    """The figures, one a row."""
    table = Table(title="What was played", show_header=False, title_justify="left")
    for name, value in counts.items():
        if name == "open_balance":
            shown = shown_balance(value)
        elif isinstance(value, dict):
            shown = ", ".join(f"{count:,} {word}" for word, count in value.items()) or "none"
        else:
            shown = f"{value:,}"
        table.add_row(name.replace("_", " "), shown)
    return table


def checks_table(checks: tuple[CheckResult, ...]) -> Table:
    """One check a row; violations below their check."""
    table = Table(title="What must hold", show_header=False, title_justify="left")
    for check in checks:
        figures = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in check.figures.items())
        verdict = Text("holds", style="green") if check.passed else Text(f"{check.violations} wrong", style="red")
        shown = "".join(f"\n  {violation}" for violation in check.shown)
        table.add_row(verdict, f"{check.name}{shown}", figures)
    return table
