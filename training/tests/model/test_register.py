"""End to end with an MLflow of its own: the registry holds what was fitted, and nothing is fitted twice."""

import hashlib
import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import xgboost as xgb
from duly_risk.features import schema_sha256
from duly_risk.model import FeatureFrame
from duly_training.fit import FitSettings
from duly_training.promotion import control_key, promotion_of
from duly_training.registry import Registry
from duly_training.train import train_on

from duly.risk.v1 import events_pb2 as risk

SETTINGS = FitSettings(trees_max=25, trees_min=20)


@pytest.fixture
def tracking_uri(tmp_path, monkeypatch):
    # MLflow writes artefacts of a database store below the working folder.
    monkeypatch.chdir(tmp_path)
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


def test_a_ledger_becomes_a_champion_and_is_not_fitted_twice(made_up_ledger, known_until, tracking_uri, capfd):
    stages: list[tuple[str, int, int]] = []
    report = train_on(
        made_up_ledger, tracking_uri, known_until, 7, lambda *stage: stages.append(stage), settings=SETTINGS
    )
    assert not report.reused
    assert [done for _, done, _ in stages] == [1, 2, 3, 4, 5]
    folder = _downloaded()
    model = report.model
    assert (model.name, model.version, model.schema_sha256) == ("risk", "1", schema_sha256())
    assert hashlib.sha256((folder / "model.ubj").read_bytes()).hexdigest() == model.artifact_sha256
    assert hashlib.sha256((folder / "golden.npz").read_bytes()).hexdigest() == model.golden_sha256
    assert json.loads((folder / "schema.json").read_text())["schema_sha256"] == schema_sha256()
    _assert_golden(folder)
    assert not any(word in "".join(capfd.readouterr()) for word in ("Warning", "Successfully registered", "View run"))

    again = train_on(made_up_ledger, tracking_uri, known_until, 7, settings=SETTINGS)
    assert again.reused
    assert again.model == model
    assert again.metrics == pytest.approx(dict(report.metrics))
    champion = Registry(tracking_uri).champion()
    assert champion is not None
    assert champion.model == model
    # What must be equal for a model to be reused.
    assert {name: champion.tags[name] for name in ("data_sha256", "fit_sha256", "schema_sha256", "seed")} == {
        "data_sha256": report.data_sha256,
        "fit_sha256": SETTINGS.sha256(),
        "schema_sha256": schema_sha256(),
        "seed": "7",
    }


def _downloaded() -> Path:
    import mlflow

    return Path(mlflow.artifacts.download_artifacts("models:/risk@champion"))


def _assert_golden(folder: Path) -> None:
    booster = xgb.Booster(model_file=folder / "model.ubj")
    booster.set_param({"nthread": 1})
    with np.load(folder / "golden.npz") as golden:
        rows, hazards = golden["rows"], golden["hazards"]
    assert len(rows) >= 64
    assert booster.inplace_predict(rows).astype(np.float32).tobytes() == hazards.tobytes()
    assert FeatureFrame.from_json(booster.attr("duly_frame")).amount_median_minor["EUR"] > 0


def test_a_promotion_names_what_a_loader_has_to_check(made_up_ledger):
    from duly_training.registry import RegisteredModel

    model = RegisteredModel("risk", "3", "a", "s", "g", "run")
    message = promotion_of(model, date(2026, 4, 1), "demo", "first model")
    assert (message.model_version, message.artifact_sha256, message.golden_sha256) == ("3", "a", "g")
    assert message.role == risk.MODEL_ROLE_CHAMPION
    assert control_key("demo", "risk") == b"demo|risk|CHAMPION"
