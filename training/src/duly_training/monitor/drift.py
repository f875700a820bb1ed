"""Population stability: how far the values of now have moved from those a model was fitted on.

PSI = sum over bins of (a - e) ln(a / e), with e the share of the fit window in a bin and a the share of now (the
symmetrised Kullback-Leibler divergence; Siddiqi, Credit Risk Scorecards, 2006). Bins are fixed at the fit: ten of equal
mass, fewer where a value repeats. Shares are floored, so an empty bin gives a large number, not infinity. Missing
values are no bin: their share is shown beside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 10
FLOOR = 1e-4
PSI_WARN, PSI_ALARM = 0.1, 0.25
# Below this chance alone gives the warning: the expected PSI of equal populations is about 9 / n. Debtors are counted,
# not invoices: what a feature says of a debtor, it says of all its invoices.
DEBTORS_MIN = 200
# Missing values are a share, which needs fewer; below this a few new debtors move it as far as a broken source does.
MISSING_DEBTORS_MIN = 30

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FitBins:
    """One measured quantity in the fit window. edges: (b - 1,) rising; bin i holds edges[i-1] < value <= edges[i].

    shares: (b,) of the values that are not missing, summing to 1; empty where all were missing. missing: 0..1.
    """

    edges: tuple[float, ...]
    shares: tuple[float, ...]
    missing: float

    @staticmethod
    def of(values: Values) -> FitBins:
        """Bins of equal mass. values: (n,), NaN = missing."""
        known = values[~np.isnan(values)]
        missing = 1.0 - len(known) / len(values) if len(values) else 0.0
        if not len(known):
            return FitBins((), (), missing)
        edges = np.unique(np.quantile(known, np.arange(1, BINS) / BINS, method="inverted_cdf"))
        edges = edges[edges < known.max()]
        return FitBins(tuple(edges.tolist()), tuple(_shares(known, edges).tolist()), missing)

    def drift_of(self, values: Values, debtor: NDArray[np.int64]) -> Drift:
        """What became of it. values: (n,) of now. debtor: (n,) whose they are."""
        is_missing = np.isnan(values)
        known = values[~is_missing]
        missing = 1.0 - len(known) / len(values) if len(values) else 0.0
        measurable = len(np.unique(debtor[~is_missing])) >= DEBTORS_MIN and bool(self.shares)
        now = _shares(known, np.array(self.edges)) if measurable else None
        moved = _moved_without_any(self.missing, is_missing, debtor)
        return Drift(None if now is None else psi(self.shares, now.tolist()), self.missing, missing, moved)


@dataclass(frozen=True, slots=True)
class Drift:
    """psi None: too few debtors to tell. Missing shares of the fit window and of now.

    missing_moved: how far the share of missing values is from then, whichever one debtor is left out; 0 where there are
    too few of them to tell.
    """

    psi: float | None
    missing_then: float
    missing_now: float
    missing_moved: float


def psi(expected: Sequence[float], actual: Sequence[float]) -> float:
    """See the module. Both: shares of the same bins. (0.5, 0.5) -> (0.6, 0.4): 0.0405."""
    e = np.maximum(np.asarray(expected, dtype=np.float64), FLOOR)
    a = np.maximum(np.asarray(actual, dtype=np.float64), FLOOR)
    return float(((a - e) * np.log(a / e)).sum())


def drifts_of(
    reference: Mapping[str, FitBins], now: Mapping[str, Values], debtor: NDArray[np.int64]
) -> dict[str, Drift]:
    """The drift of every quantity that both know."""
    return {name: bins.drift_of(now[name], debtor) for name, bins in reference.items() if name in now}


def _shares(known: Values, edges: Values) -> Values:
    counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1)
    return np.asarray(counts / len(known))


def _moved_without_any(then: float, is_missing: NDArray[np.bool_], debtor: NDArray[np.int64]) -> float:
    """What no single debtor explains: a new one with many invoices, all without a history, is no drift of the rest."""
    _, index = np.unique(debtor, return_inverse=True)
    invoices = np.bincount(index)
    if len(invoices) < MISSING_DEBTORS_MIN:
        return 0.0
    missing = np.bincount(index, is_missing)
    left = (missing.sum() - missing) / (invoices.sum() - invoices)
    return float(abs(np.clip(then, left.min(), left.max()) - then))
