"""The daily discrete-time hazard model on XGBoost."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

import xgboost as xgb
from duly_booster.artefact import SCHEMA_ATTRIBUTE, label
from duly_booster.model import BoosterHazards
from duly_risk.features import FEATURES, NAMES
from duly_risk.model import FeatureFrame, ModelInfo, Role

from duly_training.dataset import Dataset


@dataclass(frozen=True, slots=True)
class FitSettings:
    """Hyperparameters.

    threads: on busy cores two took 10 times the CPU and 8 times the wall clock of one (OpenMP spins at its barriers),
    and a small ledger fits in a second anyway. Raise it for millions of rows on a quiet machine.
    """

    eta: float = 0.1
    max_depth: int = 5
    subsample: float = 0.8
    colsample_bytree: float = 0.8
    reg_lambda: float = 5.0
    max_bin: int = 128
    trees_max: int = 120
    # Fewer leave every hazard near the base rate, also where the validation days were a shock and stopped at once.
    trees_min: int = 60
    early_stopping_trees: int = 25
    rows_max: int = 400_000
    threads: int = 1

    def sha256(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def fit(data: Dataset, settings: FitSettings, seed: int, trees: int, frame: FeatureFrame) -> xgb.Booster:
    """A Booster of `trees` trees that carries its feature frame and schema hash as attributes."""
    booster = xgb.train(_parameters(data, settings, seed), _matrix(data, settings), num_boost_round=trees)
    return _labelled(booster, frame)


def count_trees(train: Dataset, later: Dataset, settings: FitSettings, seed: int) -> int:
    """How many trees to fit: early stopping on days that come after the training days."""
    booster = xgb.train(
        _parameters(train, settings, seed),
        _matrix(train, settings),
        num_boost_round=settings.trees_max,
        evals=[(_matrix(later, settings, train), "later")],
        early_stopping_rounds=settings.early_stopping_trees,
        verbose_eval=False,
    )
    return max(settings.trees_min, int(booster.best_iteration) + 1)


def as_model(booster: xgb.Booster, frame: FeatureFrame, version: str = "unregistered") -> BoosterHazards:
    """A Booster as the model that scoring knows."""
    schema = str(booster.attr(SCHEMA_ATTRIBUTE))
    return BoosterHazards(booster, ModelInfo("risk", version, Role.CHAMPION, schema, frame))


def _labelled(booster: xgb.Booster, frame: FeatureFrame) -> xgb.Booster:
    label(booster, frame)
    booster.set_param({"nthread": 1})
    return booster


def _parameters(data: Dataset, settings: FitSettings, seed: int) -> dict[str, object]:
    return {
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "tree_method": "hist",
        "eta": settings.eta,
        "max_depth": settings.max_depth,
        # 50 fits a million rows; a small ledger would learn nothing with it.
        "min_child_weight": float(min(50, max(3, data.events // 200))),
        "subsample": settings.subsample,
        "colsample_bytree": settings.colsample_bytree,
        "lambda": settings.reg_lambda,
        "max_bin": settings.max_bin,
        "monotone_constraints": tuple(feature.monotone for feature in FEATURES),
        "seed": seed,
        "nthread": settings.threads,
        "verbosity": 0,
    }


def _matrix(data: Dataset, settings: FitSettings, ref: Dataset | None = None) -> xgb.DMatrix:
    names = list(NAMES)
    if ref is None:
        return xgb.QuantileDMatrix(
            data.x,
            label=data.y,
            weight=data.weight,
            feature_names=names,
            max_bin=settings.max_bin,
            nthread=settings.threads,
        )
    return xgb.DMatrix(data.x, label=data.y, weight=data.weight, feature_names=names, nthread=settings.threads)
