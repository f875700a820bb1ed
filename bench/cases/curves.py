"""CPU time of a hazard curve: XGBoost's predict on the matrix of its 182 days against each path of the set walk."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import xgboost as xgb
from duly_booster.build import build
from duly_booster.model import BoosterHazards
from duly_booster.native import Width, load
from duly_risk.curves import HORIZON_DAYS
from duly_risk.features import INDEX, N_FEATURES, N_STATIC, curve_matrix, schema_sha256
from duly_risk.model import CurveDays, FeatureFrame, Hazards, ModelInfo, Role, Rows

from bench.figures import Measure, Result
from bench.stage import Bench, BenchFailed

_TREES, _DEPTH = 250, 6
_FIT_CURVES, _FIT_ROWS = 3_000, 150_000
_AS_OF = 20_500
_EQUAL_DATES = 20
_SHORT_DAYS = 120
_INFO = ModelInfo("risk", "bench", Role.CHAMPION, schema_sha256(), FeatureFrame())


@dataclass(frozen=True, slots=True)
class Asked:
    """Invoices in the way they are asked. at_once: per call."""

    static: Rows
    days: CurveDays
    at_once: int

    @property
    def calls(self) -> Sequence[tuple[Rows, CurveDays]]:
        pieces = [slice(at, at + self.at_once) for at in range(0, len(self.static), self.at_once)]
        of = self.days
        return [(self.static[p], CurveDays(of.as_of[p], of.issue[p], of.due[p])) for p in pieces]


def run(bench: Bench) -> Result:
    """Paths take turns in every round; times are of this thread, so that neighbours count little."""
    library, _ = build()
    booster = _fitted(bench.size(_TREES, 20))
    widest = load(library).widest
    models = {"predict": BoosterHazards(booster, _INFO, set_walk=False)}
    models |= {width.name.lower(): BoosterHazards(booster, _INFO, widest=width) for width in Width if width <= widest}
    loads = _loads(bench.size(200, 40))
    _must_agree(models, loads["batch"])
    times: dict[tuple[str, str], list[float]] = {}
    for number in range(bench.size(12, 3)):
        for load_name, asked in loads.items():
            for name, model in models.items():
                seconds = _seconds(model.curves, asked)
                if number:
                    times.setdefault((load_name, name), []).append(seconds / len(asked.static) * 1e6)
        if number:
            times.setdefault(("batch", "predict_120_days"), []).append(_short_predict(booster, loads["batch"]))
    measures = {f"{load}_{name}": Measure("us", tuple(values)) for (load, name), values in times.items()}
    for load_name in loads:
        for name in models:
            if name != "predict":
                pairs = zip(times[load_name, "predict"], times[load_name, name], strict=True)
                measures[f"{load_name}_{name}_times_faster"] = Measure("x", tuple(slow / fast for slow, fast in pairs))
    return Result(measures, _conditions(booster, loads, models))


def _conditions(booster: xgb.Booster, loads: dict[str, Asked], models: dict[str, BoosterHazards]) -> dict[str, object]:
    return {
        "trees": booster.num_boosted_rounds(),
        "depth": _DEPTH,
        "features": N_FEATURES,
        "days": HORIZON_DAYS,
        "curves_per_round": {name: len(asked.static) for name, asked in loads.items()},
        "curves_per_call": {name: asked.at_once for name, asked in loads.items()},
        "equal_dates_in_a_tick": _EQUAL_DATES,
        "paths": {name: model.path for name, model in models.items()},
        "bytes": "equal on all paths",
    }


def _seconds(curves: Callable[[Rows, CurveDays], Hazards], asked: Asked) -> float:
    calls = asked.calls
    before = time.thread_time()
    for static, days in calls:
        curves(static, days)
    return time.thread_time() - before


def _short_predict(booster: xgb.Booster, asked: Asked) -> float:
    """us per curve of predict alone, matrix made before, for a horizon of 120 days."""
    matrix = curve_matrix(asked.static, asked.days).reshape(len(asked.static), HORIZON_DAYS, N_FEATURES)
    rows = np.ascontiguousarray(matrix[:, :_SHORT_DAYS]).reshape(-1, N_FEATURES)
    before = time.thread_time()
    booster.inplace_predict(rows, validate_features=False)
    return (time.thread_time() - before) / len(asked.static) * 1e6


def _must_agree(models: dict[str, BoosterHazards], asked: Asked) -> None:
    """Raises BenchFailed: a path that gives other bytes, or does not serve, measures nothing."""
    expected = models["predict"].curves(asked.static, asked.days).tobytes()
    for name, model in models.items():
        if name != "predict" and model.path == "predict":
            raise BenchFailed(f"{name} is served by predict: {model.reason}")
        if model.curves(asked.static, asked.days).tobytes() != expected:
            raise BenchFailed(f"{name} gives other bytes than predict")


def _loads(curves: int) -> dict[str, Asked]:
    """single: one invoice a call. batch: as a stream asks. tick: equal dates by the dozen, in no order."""
    rng = np.random.default_rng(7)
    static, days = _invoices(curves, rng)
    shuffled = rng.permutation(curves)
    dates = shuffled // _EQUAL_DATES * _EQUAL_DATES
    return {
        "single": Asked(static, days, 1),
        "batch": Asked(static, days, curves),
        "tick": Asked(static, CurveDays(days.as_of, days.issue[dates], days.due[dates]), curves),
    }


def _invoices(n: int, rng: np.random.Generator) -> tuple[Rows, CurveDays]:
    """Made-up invoices open on one day: terms of 15 to 60 days, some long overdue, one feature in ten missing."""
    static = rng.gamma(2.0, 2.0, size=(n, N_STATIC)).astype(np.float32)
    whole = rng.random(N_STATIC) < 0.5
    static[:, whole] = np.floor(static[:, whole])
    static[:, INDEX["h_late_rate"]] = rng.beta(1, 6, size=n)
    static[rng.random(static.shape) < 0.1] = np.nan
    as_of = np.full(n, _AS_OF, dtype=np.int64)
    issue = as_of - rng.integers(0, 75, size=n)
    due = issue + rng.choice([15, 21, 30, 30, 45, 60], size=n)
    return static, CurveDays(as_of, issue, due + np.array([0, 0, 0, 0, 0, 2, 1])[(due + 3) % 7])


def _fitted(trees: int) -> xgb.Booster:
    """A booster on days drawn from a hazard with weekday, days past due, end of month and the debtor's habits in it."""
    rng = np.random.default_rng(3)
    static, days = _invoices(_FIT_CURVES, rng)
    move = rng.integers(-300, 300, size=_FIT_CURVES)
    rows = curve_matrix(static, CurveDays(days.as_of + move, days.issue + move, days.due + move))
    rows = rows[rng.choice(len(rows), _FIT_ROWS, replace=False)]
    column = {name: np.nan_to_num(rows[:, index]) for name, index in INDEX.items()}
    logit = -3.2 - 2.0 * (column["dow"] >= 5) + 0.5 * (column["dow"] == 0) + 0.03 * column["pre_due"]
    logit += 1.5 * np.exp(-column["dpd_day"] / 7) - 3.0 * column["h_late_rate"] + 0.6 * (column["dom"] >= 28)
    logit += 0.1 * np.sin(column["amount"]) - 0.05 * column["open_n"] + 0.004 * column["tenure"] * column["h_mean"]
    labels = (rng.logistic(size=len(rows)) < logit).astype(np.float32)
    parameters = {"objective": "binary:logistic", "max_depth": _DEPTH, "eta": 0.1, "min_child_weight": 5, "nthread": 1}
    booster = xgb.train(
        {**parameters, "subsample": 0.7, "colsample_bytree": 0.6}, xgb.QuantileDMatrix(rows, labels, nthread=1), trees
    )
    booster.set_param({"nthread": 1})
    return booster
