"""What is wrong with an export: one finding per bad value, all of them at once, bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

MAX_FINDINGS = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """One bad value. line: 1-based line of the file, 0 = the file as a whole; column: "" = the row as a whole."""

    file: str
    line: int
    column: str
    value: str
    message: str

    def __str__(self) -> str:
        where = self.file + (f", line {self.line}" if self.line else "") + (f", {self.column}" if self.column else "")
        shown = f" {self.value[:80]!r}" if self.value else ""
        return f"{where}:{shown} {self.message}"


class LedgerInvalid(ValueError):
    """The export cannot be used as it is. `findings`: the first MAX_FINDINGS; `omitted`: how many more there are."""

    code = "ledger_invalid"

    def __init__(self, findings: Sequence[Finding], omitted: int = 0) -> None:
        self.findings = tuple(findings)
        self.omitted = omitted
        lines = [str(finding) for finding in self.findings]
        if omitted:
            lines.append(f"and {omitted} more")
        super().__init__("\n".join(lines))


@dataclass(slots=True)
class FindingLog:
    """Collects findings while reading; keeps the first MAX_FINDINGS and counts the rest."""

    findings: list[Finding] = field(default_factory=list)
    omitted: int = 0

    def add(self, file: str, line: int, column: str, value: str, message: str) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(file, line, column, value, message))
        else:
            self.omitted += 1

    def raise_if_any(self) -> None:
        """Raises LedgerInvalid when anything was found."""
        if self.findings:
            raise LedgerInvalid(self.findings, self.omitted)
