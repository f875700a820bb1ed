"""Pictures of a judged window: probabilities against what happened, and money by week against what came."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from duly_risk.asking import hazards_of
from duly_risk.curves import HORIZON_DAYS, WEEK, Floats, survival
from duly_risk.days import date_of
from duly_risk.model import HazardModel
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from duly_training.judged import Judged
from duly_training.metrics import ECE_BINS
from duly_training.predictions import Predictions

_CHUNK = 1_000


@dataclass(frozen=True, slots=True)
class WeeklyMoney:
    """Of all judged invoices, by week from `from_day`: expected and actual receipts, in median invoices."""

    from_day: int
    expected: Floats
    actual: Floats


def weekly_money(model: HazardModel, judged: Judged) -> WeeklyMoney:
    """Each invoice forecast once, on the day it became known. Weeks that end after the cut are left out."""
    first = int(judged.as_of.min())
    weeks = (judged.cut_day - first) // WEEK
    expected = np.zeros(weeks + HORIZON_DAYS)
    for start in range(0, len(judged), _CHUNK):
        rows = slice(start, start + _CHUNK)
        measures = judged.measures[rows]
        curves = survival(hazards_of(model, measures))
        paid = -np.diff(curves, axis=1) * judged.amount[rows, None]
        week = (judged.as_of[rows, None] + np.arange(1, HORIZON_DAYS + 1) - first) // WEEK
        np.add.at(expected, week, paid)
    done = judged.is_paid & (judged.paid > judged.as_of)
    actual = np.bincount((judged.paid[done] - first) // WEEK, judged.amount[done], minlength=weeks).astype(np.float64)
    return WeeklyMoney(first, expected[:weeks], actual[:weeks])


def write_reliability(path: Path, judged: Judged, by_name: Mapping[str, Predictions], k: int = 5) -> None:
    """Observed against predicted share of invoices late by k days, in ten bins of equal mass, on both axes' logs."""
    ripe = judged.ripe(k)
    y = judged.late(k)[ripe]

    def draw(axes: Axes) -> None:
        for name, predictions in by_name.items():
            p = predictions.p_late[k][ripe]
            bins = [part for part in np.array_split(np.argsort(p, kind="stable"), ECE_BINS) if len(part)]
            axes.plot([p[part].mean() for part in bins], [y[part].mean() for part in bins], marker="o", label=name)
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        axes.set_xscale("symlog", linthresh=0.01)
        axes.set_yscale("symlog", linthresh=0.01)
        axes.set_title(
            f"Late by {k} days: said and seen, ten groups of like probability (grey: as it should be)", size=9
        )
        axes.set_xlabel(f"predicted share late by {k} days")
        axes.set_ylabel(f"observed share late by {k} days")
        axes.legend()

    _write(path, draw)


def write_weekly_money(path: Path, money: WeeklyMoney) -> None:
    """Expected and actual receipts of the judged invoices."""

    def draw(axes: Axes) -> None:
        days = [str(date_of(money.from_day + WEEK * week)) for week in range(len(money.expected))]
        axes.plot(days, money.expected, marker="o", label="forecast on the day each invoice became known")
        axes.plot(days, money.actual, marker="o", label="came in")
        axes.set_title("Receipts of the judged invoices by week: forecast and what came in", size=9)
        axes.set_xlabel("week from")
        axes.set_ylabel("receipts of the week, in median invoices")
        axes.set_xticks(range(0, len(days), max(1, len(days) // 8)))
        axes.tick_params(axis="x", rotation=45)
        axes.legend()

    _write(path, draw)


def write_gain(path: Path, gain: Mapping[str, float]) -> None:
    """Share of the loss that each feature took away, largest above."""

    def draw(axes: Axes) -> None:
        names = sorted(gain, key=lambda name: gain[name])
        axes.barh(names, [gain[name] for name in names])
        axes.tick_params(axis="y", labelsize=6)
        axes.set_title("What the model looks at: how much of the error each feature took away", size=9)
        axes.set_xlabel("share of the total gain")
        axes.set_ylabel("feature")

    _write(path, draw, 8)


def _write(path: Path, draw: Callable[[Axes], None], height: float = 5) -> None:
    figure = Figure(figsize=(7, height), layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure.subplots())
    figure.savefig(path, dpi=90, metadata={"Software": None})
