"""What a training is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from duly_risk.features import schema_sha256

from duly_training.fit import FitSettings
from duly_training.gate import Gate, verdict_of


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """Fit on everything known before `known_until`, judge on the last part of that.

    groups: debtor id -> group of an attribute that the tenant lawfully holds; only the report sees it.
    """

    known_until: date
    settings: FitSettings
    groups: Mapping[str, str] = field(default_factory=dict)
    gate: Gate = verdict_of

    def inputs(self, data_sha256: str) -> dict[str, str]:
        """All that decides what comes out, as a version's tags hold it; equal inputs are not fitted twice."""
        return {
            "data_sha256": data_sha256,
            "fit_sha256": self.settings.sha256(),
            "schema_sha256": schema_sha256(),
            "seed": str(self.settings.seed),
        }
