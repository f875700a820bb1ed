"""What the fold needs to know of a model: who it is, the constants frozen at its fit, and one call."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from duly_risk.closed_days import ClosedRule, closed_rule

Rows = NDArray[np.float32]
Hazards = NDArray[np.float32]


_SHARE, _DAYS = (0.0, 1.0), (-10_000.0, 10_000.0)
_MEANS = {"late_rate": _SHARE, "any_late_rate": _SHARE, "delay_mean": _DAYS, "days_to_pay_mean": _DAYS}


class Role(StrEnum):
    CHAMPION = "CHAMPION"
    CHALLENGER = "CHALLENGER"
    SHADOW = "SHADOW"
    FALLBACK = "FALLBACK"


@dataclass(frozen=True, slots=True)
class FeatureFrame:
    """Constants frozen at fit that features are measured against.

    amount_median_minor: the tenant's median invoice by currency, in minor units; other currencies use
    `other_median_minor`, or have no amount features (NaN) where that is None.
    The four means pull a debtor's own rates and means towards the tenant's while little is known of the debtor;
    None = no pull, and NaN without history.
    tier_cuts_minor: by currency, the yearly billing from which a debtor is of value tier A, and of tier B.
    closed_rules: the days beside weekends on which nobody pays; none where the ledger had too few payments to tell.
    """

    amount_median_minor: Mapping[str, float] = field(default_factory=dict)
    other_median_minor: float | None = None
    late_rate: float | None = None
    any_late_rate: float | None = None
    delay_mean: float | None = None
    days_to_pay_mean: float | None = None
    tier_cuts_minor: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    closed_rules: tuple[ClosedRule, ...] = ()

    def to_json(self) -> str:
        """Canonical JSON; a fitted Booster carries it as attribute `duly_frame`."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> FeatureFrame:
        """The frame of a model artefact. Raises FrameUnreadable."""
        try:
            fields = json.loads(text)
            cuts = {c: (_number(a), _number(b)) for c, (a, b) in fields.pop("tier_cuts_minor", {}).items()}
            medians = {c: _median(value) for c, value in fields.pop("amount_median_minor", {}).items()}
            other = fields.pop("other_median_minor", None)
            rules = tuple(closed_rule(row) for row in fields.pop("closed_rules", ()))
            if len(set(rules)) != len(rules):
                raise ValueError("a closed rule stands twice")
            means = {name: None if mean is None else _mean(name, mean) for name, mean in fields.items()}
            return FeatureFrame(
                medians, None if other is None else _median(other), **means, tier_cuts_minor=cuts, closed_rules=rules
            )
        except (AttributeError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise FrameUnreadable(f"no feature frame: {error}") from error


def _number(value: object) -> float:
    if type(value) in (int, float) and math.isfinite(value):  # type: ignore[arg-type]
        return float(value)  # type: ignore[arg-type]
    raise ValueError(f"{value!r:.40} is no number")


def _median(value: object) -> float:
    """Amounts are divided by it: a fit gives none below one minor unit."""
    if (number := _number(value)) >= 1.0:
        return number
    raise ValueError(f"a median of {number} is no amount to measure against")


def _mean(name: str, value: object) -> float:
    """What a fit gives lies inside by far; beyond it features would mean nothing, or overflow float32."""
    least, most = _MEANS.get(name, (-math.inf, math.inf))
    if least <= (number := _number(value)) <= most:
        return number
    raise ValueError(f"{name} {number} lies outside {least:g} to {most:g}")


class FrameUnreadable(ValueError):
    """A model artefact whose feature frame is missing or malformed."""

    code: ClassVar[str] = "frame_unreadable"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """schema_sha256: `features.schema_sha256()` of the code that fitted the model; another hash must be refused."""

    name: str
    version: str
    role: Role
    schema_sha256: str
    frame: FeatureFrame


@dataclass(frozen=True, slots=True)
class CurveDays:
    """Where n curves begin: as_of (the day before their first), issue, due (already moved to an open day), each (n,)
    int64, days since 1970-01-01."""

    as_of: NDArray[np.int64]
    issue: NDArray[np.int64]
    due: NDArray[np.int64]


class HazardModel(Protocol):
    """P(paid on day d | open before d) of invoices, day by day."""

    @property
    def info(self) -> ModelInfo: ...

    def curves(self, static: Rows, days: CurveDays) -> Hazards:
        """h of as_of + 1 .. as_of + 182 for n >= 1 invoices: (n, 182) float32 in [0, 1].

        static: (n, N_STATIC) float32 from `features.features_of`, C order, NaN = missing. One invoice alone and the
        same one in a batch must give equal bytes.
        """
        ...
