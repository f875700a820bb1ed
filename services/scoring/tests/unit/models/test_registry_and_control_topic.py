"""What a worker reads of MLflow and of `model-control`, and which answers it does not take."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from duly_contracts.envelope import Envelope
from duly_contracts.events import encode, event_of
from duly_contracts.model_control import Promotion
from scoring.adapters.kafka_preflight import NotReadyToStart
from scoring.adapters.mlflow_registry import MlflowRegistry, RegistryUnavailable
from scoring.adapters.model_control import ControlReader

from duly.risk.v1 import events_pb2 as risk

Promote = Callable[..., Promotion]


@pytest.mark.parametrize("partitions", [{0}, {0, 1}])
def test_a_topic_of_several_partitions_has_no_order_to_follow(
    partitions: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Consumer:
        def __init__(self, **settings: Any) -> None:
            self.assigned: set[Any] = set()

        def assignment(self) -> set[Any]:
            return self.assigned

        def partitions_for_topic(self, topic: str) -> set[int]:
            return partitions

        def assign(self, tps: list[Any]) -> None:
            self.assigned = set(tps)

        def seek(self, tp: Any, offset: int) -> None: ...

        def beginning_offsets(self, tps: list[Any]) -> dict[Any, int]:
            return dict.fromkeys(tps, 0)

        def end_offsets(self, tps: set[Any]) -> dict[Any, int]:
            return dict.fromkeys(tps, 0)

        def position(self, tp: Any) -> int:
            return 0

    monkeypatch.setattr("kafka.KafkaConsumer", Consumer)
    reader = ControlReader("broker:9092")
    if len(partitions) == 1:
        assert reader.read_to_end() == []
    else:
        with pytest.raises(NotReadyToStart, match="2 partitions"):
            reader.read_to_end()


def test_a_worker_passes_over_a_promotion_under_another_tenants_key(
    monkeypatch: pytest.MonkeyPatch, promote: Promote
) -> None:
    named = promote("1")
    message = risk.RiskModelPromoted(
        model_name="risk", model_version="1", role=risk.MODEL_ROLE_CHAMPION, artifact_sha256=named.artifact_sha256,
        schema_sha256=named.schema_sha256, golden_sha256=named.golden_sha256,
    )  # fmt: skip
    headers = Envelope("id", event_of(message).type, "/x", "risk", named.promoted_at, "acme").to_headers()
    keys = (b"other|risk|CHAMPION", None, b"acme|risk|CHAMPION")
    records = [
        SimpleNamespace(offset=at, key=key, headers=headers, value=encode(message)) for at, key in enumerate(keys)
    ]

    class Consumer:
        def __init__(self, **settings: Any) -> None: ...

        def assignment(self) -> set[str]:
            return {"model-control/0"}

        def poll(self, **limits: Any) -> dict[str, list[Any]]:
            return {"model-control/0": records}

    monkeypatch.setattr("kafka.KafkaConsumer", Consumer)
    reader = ControlReader("broker:9092")
    assert [(one.tenant, one.version) for one in reader.poll(0)] == [("acme", "1")]
    assert reader.next_offset == 3


@pytest.mark.parametrize("answer", [{}, [], {"artifact_uri": "mlflow-artifacts:/1"}], ids=str)
def test_a_registry_that_answers_something_else_is_not_one_that_refuses(tmp_path: Path, answer: Any) -> None:
    class Canned(MlflowRegistry):
        def _get(self, path: str) -> bytes:
            return json.dumps(answer if "download-uri" in path else {"files": ["model.ubj"]}).encode()

    with pytest.raises(RegistryUnavailable, match="none of MLflow's"):
        Canned("http://registry.invalid").download("risk", "4", tmp_path / "v4")


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
