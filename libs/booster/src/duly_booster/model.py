"""The daily hazard model on a Booster: the compiled set walk where it can, `predict` where it cannot."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from duly_risk.features import N_FEATURES, N_STATIC, curves_by_rows, day_of_month
from duly_risk.model import CurveDays, Hazards, ModelInfo, Rows

from duly_booster import build
from duly_booster.day_columns import day_columns
from duly_booster.native import Library, LibraryUnusable, SetWalk, Width, load
from duly_booster.pack import pack
from duly_booster.trees import Forest, ModelMalformed, Unsupported, read_forest

_PROBES = 16
_TOLERANCE = 1e-6
_NAMES = {Width.ANY: "set walk", Width.AVX2: "set walk avx2", Width.AVX512: "set walk avx512"}


class BoosterHazards:
    """`HazardModel`. Thread-safe.

    path: what answers, for logs and metrics: "set walk avx512", "set walk avx2", "set walk" or "predict".
    reason: why not the set walk, else "".
    """

    def __init__(self, booster: Any, info: ModelInfo, *, set_walk: bool = True, widest: Width = Width.AVX512) -> None:
        """set_walk False: always `predict`. widest: no faster path of the set walk than this. Raises ModelMalformed."""
        self.info = info
        self.booster = booster
        self._walk: SetWalk | None = None
        self.reason = "it was not asked for"
        forest = _forest(booster)
        if not set_walk:
            return
        try:
            if isinstance(forest, Unsupported):
                raise forest
            self._walk = _checked(SetWalk(_library(), pack(forest, day_columns()), widest), booster, forest)
            self.reason = ""
        except (Unsupported, LibraryUnusable) as error:
            self.reason = str(error)

    @property
    def path(self) -> str:
        return _NAMES[self._walk.width] if self._walk else "predict"

    def curves(self, static: Rows, days: CurveDays) -> Hazards:
        """`HazardModel.curves`. Many invoices at once cost less each. Raises ValueError for arrays of another kind."""
        if self._walk:
            return self._walk.curves(static, days)
        return curves_by_rows(self.predict, static, days)

    def predict(self, rows: Rows) -> Hazards:
        """h of single rows, (n, N_FEATURES) float32, by XGBoost itself: (n,)."""
        return predict(self.booster, rows)


def predict(booster: Any, rows: Rows) -> Hazards:
    """h of each row on the booster's threads. A row alone and in a batch give equal bytes."""
    return np.asarray(booster.inplace_predict(rows, validate_features=False), dtype=np.float32)


def read_booster(file: Path) -> Any:
    """An `xgboost.Booster` on one thread: two on busy cores are many times slower. Raises ModelMalformed."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read once, when the library is loaded
    with _without_sklearn():
        import xgboost  # takes a second: only where a model is loaded
    try:
        booster = xgboost.Booster({"nthread": 1})
        booster.load_model(file)
        booster.set_param({"nthread": 1})
    except xgboost.core.XGBoostError as error:
        raise ModelMalformed(f"{file.name}: {error}") from error
    return booster


@contextmanager
def _without_sklearn() -> Iterator[None]:
    """XGBoost imports scikit-learn where it finds it, for classes not used here: 3 of 4 seconds of the start."""
    absent = "sklearn" not in sys.modules
    if absent:
        sys.modules["sklearn"] = None  # type: ignore[assignment]  # import then raises ImportError
    try:
        yield
    finally:
        if absent:
            sys.modules.pop("sklearn", None)


def _forest(booster: Any) -> Forest | Unsupported:
    """Read also for `predict`: a malformed model must not serve either way."""
    try:
        return read_forest(booster, N_FEATURES)
    except Unsupported as unsupported:
        return unsupported


def _library() -> Library:
    file = build.library_file()
    if not file.exists():
        raise LibraryUnusable(f"{file.name} was not built: run python -m duly_booster.build")
    return load(file)


def _checked(walk: SetWalk, booster: Any, forest: Forest) -> SetWalk:
    """The walk, if it agrees with `predict` on a few curves that hit this model's own thresholds."""
    static, days = probes(forest)
    walked = walk.curves(static, days)
    asked = curves_by_rows(lambda rows: predict(booster, rows), static, days)
    if not np.allclose(walked, asked, rtol=0.0, atol=_TOLERANCE):
        raise Unsupported(f"set walk and predict differ by {float(np.max(np.abs(walked - asked))):.1e}")
    return walk


def probes(forest: Forest) -> tuple[Rows, CurveDays]:
    """Curves whose static features are thresholds of the forest, one float below them, or missing, in turn."""
    static = np.full((_PROBES, N_STATIC), np.nan, dtype=np.float32)
    for feature in range(N_STATIC):
        found = [tree.threshold[(tree.left >= 0) & (tree.feature == feature)] for tree in forest.trees]
        thresholds = np.unique(np.concatenate([*found, np.empty(0, np.float32)]))
        if len(thresholds):
            at = (np.arange(_PROBES) * len(thresholds) // _PROBES + feature) % len(thresholds)
            static[:, feature] = thresholds[at]
            static[1::3, feature] = np.nextafter(static[1::3, feature], np.float32(-np.inf))
            static[(2 + feature) % 5 :: 5, feature] = np.nan
    row = np.arange(_PROBES, dtype=np.int64)
    as_of = len(day_of_month()) // 4 + 37 * row
    return static, CurveDays(as_of, as_of - row * row, as_of - 60 + 11 * row)
