"""The daily discrete-time hazard model on XGBoost."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

import numpy as np
import xgboost as xgb
from duly_risk.features import FEATURES, NAMES, curve_matrix, schema_sha256
from duly_risk.model import CurveDays, FeatureFrame, Hazards, ModelInfo, Role, Rows

from duly_training.dataset import Dataset

FRAME_ATTRIBUTE = "duly_frame"
SCHEMA_ATTRIBUTE = "duly_schema_sha256"


@dataclass(frozen=True, slots=True)
class FitSettings:
    """Hyperparameters; measured in docs/adr/0011.

    Each round grows `parallel_trees` trees on their own draws of rows and columns and adds their mean: the average of
    several seeds inside one plain Booster. Rounds are counted by early stopping between rounds_min and rounds_max.

    far_share, thin_above_rows: of a dataset larger than that, this share of the rows far from due stays.
    threads: on busy cores two took 10 times the CPU and 8 times the wall clock of one (OpenMP spins at its barriers).
    Raise it for millions of rows on a quiet machine.
    """

    eta: float = 0.1
    max_depth: int = 6
    subsample: float = 0.7
    colsample_bytree: float = 0.6
    reg_lambda: float = 5.0
    max_bin: int = 256
    parallel_trees: int = 4
    rounds_max: int = 80
    # Fewer leave every hazard near the base rate, also where the validation days were a shock and stopped at once.
    rounds_min: int = 40
    early_stopping_rounds: int = 15
    far_share: float = 0.1
    thin_above_rows: int = 200_000
    threads: int = 1

    def sha256(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def fit(data: Dataset, settings: FitSettings, seed: int, rounds: int, frame: FeatureFrame) -> xgb.Booster:
    """A Booster of `rounds` rounds that carries its feature frame and schema hash as attributes."""
    booster = xgb.train(parameters(data.events, settings, seed), quantile_matrix(data, settings), rounds)
    return labelled(booster, frame)


def count_rounds(train: Dataset, later: Dataset, settings: FitSettings, seed: int) -> tuple[xgb.Booster, int]:
    """How many rounds to fit, by early stopping on days that come after the training days; and the Booster up to it."""
    booster = xgb.train(
        parameters(train.events, settings, seed),
        quantile_matrix(train, settings),
        num_boost_round=settings.rounds_max,
        evals=[(_plain_matrix(later, settings), "later")],
        early_stopping_rounds=settings.early_stopping_rounds,
        verbose_eval=False,
    )
    rounds = max(settings.rounds_min, int(booster.best_iteration) + 1)
    return booster[: min(rounds, booster.num_boosted_rounds())], rounds


def predict(booster: xgb.Booster, rows: Rows) -> Hazards:
    """h of each row, one thread. rows: (n, features) float32. A row alone and in a batch give equal bytes."""
    return np.asarray(booster.inplace_predict(rows), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class BoosterModel:
    """A freshly fitted Booster as a HazardModel, for evaluation and golden rows."""

    booster: xgb.Booster
    info: ModelInfo

    def curves(self, static: Rows, days: CurveDays) -> Hazards:
        return predict(self.booster, curve_matrix(static, days)).reshape(len(static), -1)


def as_model(
    booster: xgb.Booster, frame: FeatureFrame, version: str = "unregistered", role: Role = Role.CHAMPION
) -> BoosterModel:
    """A Booster as the model that scoring knows."""
    schema = str(booster.attr(SCHEMA_ATTRIBUTE))
    return BoosterModel(booster, ModelInfo("risk", version, role, schema, frame))


def labelled(booster: xgb.Booster, frame: FeatureFrame) -> xgb.Booster:
    """The Booster with frame and schema hash as attributes, set to one thread."""
    booster.set_attr(**{FRAME_ATTRIBUTE: frame.to_json(), SCHEMA_ATTRIBUTE: schema_sha256()})
    booster.set_param({"nthread": 1})
    return booster


def parameters(events: int, settings: FitSettings, seed: int) -> dict[str, object]:
    """XGBoost's parameters. events: payments in the rows."""
    return {
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "tree_method": "hist",
        "eta": settings.eta,
        "max_depth": settings.max_depth,
        # 50 fits a million rows; a small ledger would learn nothing with it.
        "min_child_weight": float(min(50, max(3, events // 200))),
        "subsample": settings.subsample,
        "colsample_bytree": settings.colsample_bytree,
        "lambda": settings.reg_lambda,
        "max_bin": settings.max_bin,
        "num_parallel_tree": settings.parallel_trees,
        "monotone_constraints": tuple(feature.monotone for feature in FEATURES),
        "seed": seed,
        "nthread": settings.threads,
        "verbosity": 0,
    }


def quantile_matrix(data: Dataset, settings: FitSettings) -> xgb.QuantileDMatrix:
    return xgb.QuantileDMatrix(
        data.x,
        label=data.y,
        weight=data.weight,
        feature_names=list(NAMES),
        max_bin=settings.max_bin,
        nthread=settings.threads,
    )


def _plain_matrix(data: Dataset, settings: FitSettings) -> xgb.DMatrix:
    return xgb.DMatrix(data.x, label=data.y, weight=data.weight, feature_names=list(NAMES), nthread=settings.threads)
