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

from duly_training.backends import RoundsTold, quantile_matrix
from duly_training.dataset import Dataset
from duly_training.progress import OnStep, silent


@dataclass(frozen=True, slots=True)
class FitSettings:
    """Seed and hyperparameters; measured in docs/adr/0011.

    Each round grows `parallel_trees` trees on their own draws of rows and columns and adds their mean: the average of
    several seeds inside one plain Booster. Rounds are counted by early stopping between rounds_min and rounds_max.

    far_share, thin_above_rows: of a dataset larger than that, this share of the rows far from due stays.
    threads: on busy cores two took 10 times the CPU and 8 times the wall clock of one (OpenMP spins at its barriers).
    Raise it for millions of rows on a quiet machine. dask: address of a scheduler that grows the trees instead.
    """

    seed: int
    eta: float = 0.2
    max_depth: int = 6
    subsample: float = 0.7
    colsample_bytree: float = 0.8
    reg_lambda: float = 5.0
    max_bin: int = 256
    parallel_trees: int = 4
    rounds_max: int = 60
    # Fewer leave every hazard near the base rate, also where the validation days were a shock and stopped at once.
    rounds_min: int = 40
    early_stopping_rounds: int = 10
    far_share: float = 0.1
    thin_above_rows: int = 200_000
    threads: int = 1
    # Above it rows lie in files; four bytes for each of some fifty features and as much again while they are binned.
    rows_in_memory: int = 8_000_000
    # Rounds and calibration are found on no more rows than this, counted before thinning.
    tuning_rows: int = 600_000
    dask: str = ""

    def sha256(self) -> str:
        """Of all that decides what comes out, but the seed, told beside it. Where the trees are grown does not."""
        values = {name: value for name, value in asdict(self).items() if name not in ("seed", "threads", "dask")}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def count_rounds(
    train: Dataset, later: Dataset, settings: FitSettings, on_step: OnStep = silent
) -> tuple[xgb.Booster, int]:
    """How many rounds to fit, by early stopping on days that come after the training days; and the Booster up to it."""
    chosen = parameters(train.events, settings)
    booster = xgb.train(
        chosen,
        quantile_matrix(train, chosen),
        num_boost_round=settings.rounds_max,
        evals=[(_plain_matrix(later, settings), "later")],
        early_stopping_rounds=settings.early_stopping_rounds,
        verbose_eval=False,
        callbacks=[RoundsTold(on_step, settings.rounds_max)],
    )
    rounds = max(settings.rounds_min, int(booster.best_iteration) + 1)
    return booster[: min(rounds, booster.num_boosted_rounds())], rounds


def as_model(
    booster: xgb.Booster, frame: FeatureFrame, version: str = "unregistered", role: Role = Role.CHAMPION
) -> BoosterHazards:
    """A Booster as the model that scoring knows."""
    schema = str(booster.attr(SCHEMA_ATTRIBUTE))
    return BoosterHazards(booster, ModelInfo("risk", version, role, schema, frame))


def labelled(booster: xgb.Booster, frame: FeatureFrame) -> xgb.Booster:
    """The Booster with frame and schema hash as attributes, set to one thread."""
    label(booster, frame)
    booster.set_param({"nthread": 1})
    return booster


def parameters(events: int, settings: FitSettings) -> dict[str, object]:
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
        "seed": settings.seed,
        "nthread": settings.threads,
        "verbosity": 0,
    }


def _plain_matrix(data: Dataset, settings: FitSettings) -> xgb.DMatrix:
    return xgb.DMatrix(data.x, label=data.y, weight=data.weight, feature_names=list(NAMES), nthread=settings.threads)
