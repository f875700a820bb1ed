"""The seeded ledger, the rules model, a worker and its broker, for every test of scoring."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from duly_booster.artefact import frame_of
from duly_booster.model import BoosterHazards
from duly_chaos.broker import Broker
from duly_chaos.ledger_log import Ledger, play
from duly_chaos.worker import Worker
from duly_risk.asking import hazards_of
from duly_risk.fallback import RulesModel
from duly_risk.features import N_FEATURES, schema_sha256
from duly_risk.measures import COLUMN, N_MEASURES
from duly_runtime.log import Record
from scoring.adapters.booster_model import BOOSTER_FILE, GOLDEN_FILE, SCHEMA_FILE
from scoring.adapters.memory import OneModel


@pytest.fixture
def book() -> Ledger:
    """An empty ledger."""
    return Ledger()


@pytest.fixture
def play_ledger() -> Callable[..., Ledger]:
    """`play`, for tests that choose their own size."""
    return play


@pytest.fixture
def rules() -> OneModel:
    """A model that needs no registry, for every date."""
    return OneModel(RulesModel())


@pytest.fixture(scope="session")
def write_model() -> Callable[..., dict[str, str]]:
    """A tiny Booster with the files a loader asks for; `shift` spoils its golden hazards. Returns its hashes."""

    def written(folder: Path, *, seed: int = 1, schema: str = "", shift: float = 0.0) -> dict[str, str]:
        import xgboost

        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(seed)
        rows = rng.normal(size=(200, N_FEATURES)).astype(np.float32)
        labels = (rows[:, 0] > 0).astype(int)
        parameters = {"objective": "binary:logistic", "nthread": 1, "max_depth": 2}
        booster = xgboost.train(parameters, xgboost.DMatrix(rows, labels), 3)
        booster.set_attr(duly_frame='{"other_median_minor": 50000.0, "closed_rules": [["day", 12, 25, 0]]}')
        booster.save_model(folder / BOOSTER_FILE)
        measures = np.zeros((8, N_MEASURES))
        measures[:, [COLUMN["as_of_day"], COLUMN["issue_day"], COLUMN["due_day"]]] = 20_000  # 2024-10-04
        booster.set_param({"nthread": 1})
        model = BoosterHazards(booster, replace(RulesModel.info, frame=frame_of(booster)))
        np.savez(
            folder / GOLDEN_FILE,
            rows=rows[:64],
            hazards=booster.inplace_predict(rows[:64]) + np.float32(shift),
            measures=measures,
            curves=hazards_of(model, measures),
        )
        schema = schema or schema_sha256()
        (folder / SCHEMA_FILE).write_text(json.dumps({"schema_sha256": schema}))
        files = {"artifact_sha256": BOOSTER_FILE, "golden_sha256": GOLDEN_FILE}
        hashes = {name: hashlib.sha256((folder / file).read_bytes()).hexdigest() for name, file in files.items()}
        return {**hashes, "schema_sha256": schema}

    return written


@pytest.fixture
def corrupted() -> Callable[[Record], Record]:
    """The same place in the log, but a value nobody can decode."""
    return lambda record: replace(record, value=b"\xff\xff\xff")


@pytest.fixture
def worker(kafka_bootstrap: str, broker: Broker, tmp_path: Path) -> Iterator[Worker]:
    """A worker as it ships, not started. Nobody of another test is left in its group."""
    broker.put_out_members()
    made = Worker(kafka_bootstrap, tmp_path)
    yield made
    if not made.ended():
        made.kill()


@pytest.fixture
def broker(kafka_bootstrap: str) -> Iterator[Broker]:
    """What the test itself asks of the broker."""
    made = Broker(kafka_bootstrap)
    yield made
    made.close()
