"""The champion as a native XGBoost Booster, read from its three files and checked before it may serve.

`model.ubj` the Booster, with the constants frozen at fit as attribute `duly_frame`; `golden.npz` rows (n, features)
float32 and the `hazards` (n,) they must give; `schema.json` what its columns mean, with `schema_sha256`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from duly_risk.features import curves_by_rows, schema_sha256
from duly_risk.model import CurveDays, FeatureFrame, Hazards, ModelInfo, Role, Rows

BOOSTER_FILE = "model.ubj"
GOLDEN_FILE = "golden.npz"
SCHEMA_FILE = "schema.json"
FILES = (BOOSTER_FILE, GOLDEN_FILE, SCHEMA_FILE)
# Equal bytes on the library build that fitted it; another build may differ in the last bits.
_GOLDEN_TOLERANCE = 1e-6


class ModelRefused(ValueError):
    """A model that must not serve: another feature schema, other golden hazards, or files that cannot be read."""

    code = "model_refused"


class BoosterModel:
    """`HazardModel` on `inplace_predict`; one thread, as two on busy cores are many times slower."""

    def __init__(self, booster: Any, info: ModelInfo) -> None:
        self._booster = booster
        self.info = info

    def curves(self, static: Rows, days: CurveDays) -> Hazards:
        """Thread-safe."""
        return curves_by_rows(self.predict, static, days)

    def predict(self, rows: Rows) -> Hazards:
        """rows: (n, features) float32. Returns (n,) float32 in [0, 1]. Thread-safe."""
        hazards: Hazards = self._booster.inplace_predict(rows, validate_features=False)
        return hazards


def load_model(folder: Path, version: str, role: Role = Role.CHAMPION) -> BoosterModel:
    """The model in a folder, after all checks. role: what its scores will say. Raises ModelRefused."""
    try:
        schema = str(json.loads((folder / SCHEMA_FILE).read_text("utf-8"))["schema_sha256"])
        with np.load(folder / GOLDEN_FILE, allow_pickle=False) as golden:
            rows, expected = golden["rows"], golden["hazards"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelRefused(f"version {version}: {type(error).__name__}: {error}") from error
    if schema != schema_sha256():
        raise ModelRefused(f"version {version} was fitted on feature schema {schema[:12]}, not on ours")
    booster = _read_booster(folder / BOOSTER_FILE, version)
    try:
        frame = FeatureFrame.from_json(booster.attr("duly_frame") or "{}")
    except ValueError as error:
        raise ModelRefused(f"version {version}: {error}") from error
    model = BoosterModel(booster, ModelInfo("risk", version, role, schema, frame))
    hazards = model.predict(np.ascontiguousarray(rows, dtype=np.float32))
    if hazards.shape != expected.shape or not np.allclose(hazards, expected, rtol=0.0, atol=_GOLDEN_TOLERANCE):
        raise ModelRefused(f"version {version} does not answer its golden rows with its golden hazards")
    return model


def _read_booster(path: Path, version: str) -> Any:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read once, when the library is loaded
    with _without_sklearn():
        import xgboost  # takes a second: only where a model is loaded
    try:
        booster = xgboost.Booster({"nthread": 1})
        booster.load_model(path)
        booster.set_param({"nthread": 1})
    except xgboost.core.XGBoostError as error:
        raise ModelRefused(f"version {version}: {error}") from error
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
