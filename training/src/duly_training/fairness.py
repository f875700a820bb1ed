"""Report by group, only where a tenant lawfully holds the attribute; it never comes near training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from duly_risk.curves import Floats
from duly_risk.model import Rows
from numpy.typing import NDArray

from duly_training.baselines import logistic
from duly_training.metrics import CAPTURE_SHARE, auc, calibration_error

RATIO_MIN, RATIO_MAX = 0.8, 1.25


@dataclass(frozen=True, slots=True)
class GroupRow:
    """top_share: share of the group inside the tenth with the highest risk; ratio: to that of the largest group.

    told: how well the features tell the group from the others, `proxy_auc`.
    """

    group: str
    n: int
    auc: float
    ece: float
    top_share: float
    ratio: float
    told: float

    @property
    def alarm(self) -> bool:
        return not RATIO_MIN <= self.ratio <= RATIO_MAX

    def cells(self) -> tuple[str, ...]:
        alarm = " (alarm)" if self.alarm else ""
        return (
            self.group,
            f"{self.n:,}",
            f"{self.auc:.3f}",
            f"{self.ece:.4f}",
            f"{self.top_share:.3f}",
            f"{self.ratio:.2f}{alarm}",
            f"{self.told:.3f}",
        )


def by_group(y: NDArray[np.bool_], p: Floats, features: Rows, groups: Sequence[str]) -> tuple[GroupRow, ...]:
    """One row per group, largest first. y, p, groups: (n,); features: (n, any); "" = unknown, left out."""
    group = np.array(groups, dtype=object)
    top = np.zeros(len(p), dtype=bool)
    top[np.argsort(-p, kind="stable")[: max(1, int(CAPTURE_SHARE * len(p)))]] = True
    names = sorted(set(groups) - {""}, key=lambda name: (-int((group == name).sum()), name))
    shares = {name: float(top[group == name].mean()) for name in names}
    largest = shares[names[0]] if names else 0.0
    rows = []
    for name in names:
        inside = group == name
        ratio = shares[name] / largest if largest else float("nan")
        ece = calibration_error(y[inside], p[inside])
        told = proxy_auc(features[group != ""], inside[group != ""])
        rows.append(GroupRow(name, int(inside.sum()), auc(y[inside], p[inside]), ece, shares[name], ratio, told))
    return tuple(rows)


def proxy_auc(features: Rows, is_member: NDArray[np.bool_], seed: int = 0) -> float:
    """How well the features tell a group: AUC of a logistic regression fitted on one half, measured on the other.

    0.5 = not at all. Well above it, the features carry the attribute in disguise. NaN where a half holds no member, or
    nobody else.
    """
    half = np.random.default_rng(seed).random(len(is_member)) < 0.5
    if is_member[half].all() or not is_member[half].any():
        return float("nan")
    fitted = logistic(seed).fit(features[half], is_member[half])
    return auc(is_member[~half], fitted.predict_proba(features[~half])[:, 1])
