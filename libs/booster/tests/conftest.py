"""Random boosters, random curves, and the compiled library."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xgboost
from duly_booster import build, native
from duly_risk.days import on_business_day
from duly_risk.features import N_STATIC, curve_matrix
from duly_risk.model import CurveDays, Rows


@pytest.fixture(scope="session", autouse=True)
def one_cache_for_zig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Where zig is the only compiler, its first build of some ten seconds serves all tests that build."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZIG_GLOBAL_CACHE_DIR", str(tmp_path_factory.mktemp("zig")))
        yield


@pytest.fixture(scope="session")
def library(one_cache_for_zig: None) -> native.Library:
    """The library of this environment; without any compiler tests of it are skipped, but never in CI."""
    try:
        return native.load(build.build()[0])
    except build.NoCompiler as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no C compiler here: {error}")


@pytest.fixture(scope="session")
def random_models() -> SimpleNamespace:
    """`invoices(n, seed)`, `fitted(seed, trees, **parameters)`, `predicted(booster, static, days, margins=False)`."""
    return SimpleNamespace(invoices=_invoices, fitted=_fitted, predicted=_predicted)


def _invoices(n: int, seed: int) -> tuple[Rows, CurveDays]:
    """Invoices at any age: issued today, long overdue, due far ahead; many features are missing, some infinite."""
    rng = np.random.default_rng(seed)
    static = rng.integers(-3, 12, size=(n, N_STATIC)).astype(np.float32)
    static[:, ::2] = rng.normal(size=static[:, ::2].shape)
    static[rng.random(static.shape) < 0.25] = np.nan
    static[rng.random(static.shape) < 0.01] = np.inf
    static[rng.random(static.shape) < 0.01] = -np.inf
    as_of = rng.integers(17_500, 17_900, size=n)
    issue = as_of - rng.integers(0, 200, size=n) * rng.integers(0, 2, size=n)
    due = np.array([on_business_day(int(day)) for day in issue + rng.integers(0, 90, size=n)])
    return static, CurveDays(as_of, issue, due)


def _fitted(seed: int, trees: int = 30, **parameters: Any) -> xgboost.Booster:
    """A booster on noise with some signal, so that its trees are deep and split static and day features alike."""
    rng = np.random.default_rng(seed)
    static, days = _invoices(60, seed)
    static[np.isinf(static)] = 7.0  # training refuses them, predicting does not
    rows = curve_matrix(static, days)[rng.permutation(60 * 182)[:4000]]
    signal = np.nan_to_num(rows[:, :3]).sum(axis=1) / 4 - rows[:, N_STATIC + 1] / 40 + (rows[:, N_STATIC + 4] == 0)
    labels = (signal + rng.logistic(size=len(rows)) > 1).astype(float)
    settings = {"objective": "binary:logistic", "nthread": 1, "seed": seed, "eta": 0.3, "min_child_weight": 0.1}
    booster = xgboost.train({**settings, **parameters}, xgboost.DMatrix(rows, labels, nthread=1), trees)
    booster.set_param({"nthread": 1})
    return booster


def _predicted(booster: xgboost.Booster, static: Rows, days: CurveDays, *, margins: bool = False) -> Rows:
    """What XGBoost says of every day: (n, 182)."""
    kind = "margin" if margins else "value"
    answer = booster.inplace_predict(curve_matrix(static, days), predict_type=kind, validate_features=False)
    return np.asarray(answer, dtype=np.float32).reshape(len(static), -1)
