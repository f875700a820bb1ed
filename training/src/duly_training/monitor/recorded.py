"""What recorded scores say: how debtors move between bands, and whether the challenger ranks them alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Below this a rank correlation says nothing.
PAIRS_MIN = 30


@dataclass(frozen=True, slots=True)
class RecordedScore:
    """One `risk.score_updated`: what it is of (debtor and ledger version), and what it says."""

    debtor_id: str
    ledger_version: int
    day: int
    is_shadow: bool
    version: str
    band: str
    previous_band: str
    risk: float


@dataclass(frozen=True, slots=True)
class ScoreFlow:
    """bands: debtors by their newest band. moves: (from, to) -> how often a champion's score changed the band.

    versions: scores by "version role". agreement: Spearman's rank correlation of both models' risk over the pairs; None
    where there are too few.
    """

    scores: int
    bands: Mapping[str, int]
    moves: Mapping[tuple[str, str], int]
    versions: Mapping[str, int]
    pairs: int
    agreement: float | None


def score_flow(scores: Iterable[RecordedScore]) -> ScoreFlow:
    """Scores in the order in which they were recorded, of one tenant; read once, what is kept of each is its risk.

    A score that came twice counts as it came first: that one was acted upon.
    """
    champions: dict[tuple[str, int, int], float] = {}
    shadows: dict[tuple[str, int, int], float] = {}
    bands: dict[str, str] = {}
    moves: Counter[tuple[str, str]] = Counter()
    versions: Counter[str] = Counter()
    for score in scores:
        risks, place = shadows if score.is_shadow else champions, (score.debtor_id, score.ledger_version, score.day)
        if place in risks:
            continue
        risks[place] = score.risk
        versions[f"{score.version}{' SHADOW' if score.is_shadow else ''}"] += 1
        if not score.is_shadow:
            bands[score.debtor_id] = score.band
            moves[score.previous_band, score.band] += score.band != score.previous_band
    pairs = [(champions[place], risk) for place, risk in shadows.items() if place in champions]
    agreement = rank_agreement(pairs)
    return ScoreFlow(len(champions), Counter(bands.values()), +moves, versions, len(pairs), agreement)


def rank_agreement(pairs: list[tuple[float, float]]) -> float | None:
    """Spearman's rho; None for fewer than 30 pairs or where one side is all alike."""
    if len(pairs) < PAIRS_MIN:
        return None
    first, second = np.array(pairs).T
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(_ranks(first), _ranks(second))[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """1-based, equal values share the mean of their ranks."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count - 1) / 2)[place])
