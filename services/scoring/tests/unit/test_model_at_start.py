"""Which model serves: promoted, alias, the one of last time, or the rules; never one that fails its checks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from duly_risk.features import N_FEATURES, schema_sha256
from duly_runtime.metrics import Metrics
from scoring.adapters.booster_model import BOOSTER_FILE, GOLDEN_FILE, SCHEMA_FILE, ModelRefused, load_model
from scoring.adapters.mlflow_registry import MlflowRegistry, RegisteredModels, RegistryUnavailable
from scoring.adapters.model_control import Promotion

FRAME = '{"other_median_minor": 50000.0}'


def write_model(folder: Path, *, schema: str = "", shift: float = 0.0) -> None:
    """A tiny Booster with its golden rows; `shift` spoils them."""
    import xgboost

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(200, N_FEATURES)).astype(np.float32)
    labels = (rows[:, 0] > 0).astype(int)
    booster = xgboost.train(
        {"objective": "binary:logistic", "nthread": 1, "max_depth": 2}, xgboost.DMatrix(rows, labels), 3
    )
    booster.set_attr(duly_frame=FRAME)
    booster.save_model(folder / BOOSTER_FILE)
    np.savez(folder / GOLDEN_FILE, rows=rows[:64], hazards=booster.inplace_predict(rows[:64]) + np.float32(shift))
    (folder / SCHEMA_FILE).write_text(json.dumps({"schema_sha256": schema or schema_sha256()}))


class FakeRegistry(MlflowRegistry):
    """A registry whose version 3 is the champion, or one that is down."""

    def __init__(self, up: bool = True, shift: float = 0.0) -> None:
        super().__init__("http://registry.invalid")
        self.up = up
        self.shift = shift
        self.downloads: list[str] = []

    def version_of_alias(self, name: str, alias: str) -> str:
        if not self.up:
            raise RegistryUnavailable("down")
        return "3"

    def download(self, name: str, version: str, folder: Path) -> None:
        if not self.up:
            raise RegistryUnavailable("down")
        self.downloads.append(version)
        write_model(folder, shift=self.shift)


def serving(registry: MlflowRegistry | None, folder: Path, promotion: Promotion | None = None) -> str:
    models = RegisteredModels(registry, promotion, folder, Metrics())
    assert models.serving == ""
    models.current()
    return models.serving


def test_the_alias_decides_and_a_restart_downloads_nothing(tmp_path: Path) -> None:
    registry = FakeRegistry()
    assert serving(registry, tmp_path) == "risk 3 CHAMPION"
    assert serving(registry, tmp_path) == "risk 3 CHAMPION"
    assert registry.downloads == ["3"]


def test_a_promotion_on_model_control_goes_before_the_alias(tmp_path: Path) -> None:
    registry = FakeRegistry()
    assert serving(registry, tmp_path, Promotion("2", "")) == "risk 2 CHAMPION"
    assert registry.downloads == ["2"]


def test_with_the_registry_down_the_model_of_last_time_serves(tmp_path: Path) -> None:
    serving(FakeRegistry(), tmp_path)
    assert serving(FakeRegistry(up=False), tmp_path) == "risk 3 CHAMPION"


def test_without_any_model_the_rules_serve_and_say_so(tmp_path: Path) -> None:
    assert serving(None, tmp_path) == "risk-rules rules-1 FALLBACK"
    assert serving(FakeRegistry(up=False), tmp_path) == "risk-rules rules-1 FALLBACK"


def test_another_booster_than_the_promoted_one_is_refused(tmp_path: Path) -> None:
    assert serving(FakeRegistry(), tmp_path, Promotion("3", "0" * 64)) == "risk-rules rules-1 FALLBACK"


def test_a_model_that_misses_its_golden_hazards_is_refused(tmp_path: Path) -> None:
    assert serving(FakeRegistry(shift=1e-3), tmp_path) == "risk-rules rules-1 FALLBACK"


def test_a_model_of_another_feature_schema_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path, schema="f" * 64)
    with pytest.raises(ModelRefused, match="feature schema"):
        load_model(tmp_path, "1")


def test_a_row_alone_and_in_a_batch_give_equal_bytes(tmp_path: Path) -> None:
    write_model(tmp_path)
    model = load_model(tmp_path, "1")
    rows = np.load(tmp_path / GOLDEN_FILE)["rows"]
    whole = model.predict(rows)
    assert whole.dtype == np.float32
    alone = [model.predict(rows[i : i + 1]) for i in range(len(rows))]
    assert np.concatenate(alone).tobytes() == whole.tobytes()
    assert model.info.frame.other_median_minor == 50_000.0


def test_the_files_are_found_wherever_they_lie_below_the_artifact_root(tmp_path: Path) -> None:
    root = "1/models/m-1/artifacts"
    answers: dict[str, Any] = {
        "/api/2.0/mlflow/model-versions/get-download-uri?name=risk&version=4": {
            "artifact_uri": f"mlflow-artifacts:/{root}"
        },
        "/api/2.0/mlflow-artifacts/artifacts?path=1%2Fmodels%2Fm-1%2Fartifacts": {
            "files": [{"path": "model.ubj", "is_dir": False}, {"path": "extra", "is_dir": True}]
        },
        "/api/2.0/mlflow-artifacts/artifacts?path=1%2Fmodels%2Fm-1%2Fartifacts%2Fextra": {
            "files": [{"path": "golden.npz", "is_dir": False}, {"path": "schema.json", "is_dir": False}]
        },
        f"/api/2.0/mlflow-artifacts/artifacts/{root}/model.ubj": "booster",
        f"/api/2.0/mlflow-artifacts/artifacts/{root}/extra/golden.npz": "golden",
        f"/api/2.0/mlflow-artifacts/artifacts/{root}/extra/schema.json": "schema",
    }

    class Canned(MlflowRegistry):
        def _get(self, path: str) -> bytes:
            answer = answers[path]
            return answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()

    Canned("http://registry.invalid").download("risk", "4", tmp_path / "v4")
    assert {path.name: path.read_text() for path in (tmp_path / "v4").iterdir()} == {
        "model.ubj": "booster",
        "golden.npz": "golden",
        "schema.json": "schema",
    }
