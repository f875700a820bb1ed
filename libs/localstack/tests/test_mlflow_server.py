from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import psutil
import pytest
from duly_localstack.mlflow_server import MlflowServer
from duly_localstack.ports import free_port
from duly_localstack.process import descendants

pytestmark = [pytest.mark.slow, pytest.mark.sockets]


def call(server: MlflowServer, path: str, body: object = None, method: str = "POST") -> dict[str, object]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(
        server.tracking_uri + path, data, {"Content-Type": "application/json"}, method=method
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return dict(json.loads(answer.read() or b"{}"))


def test_mlflow_keeps_an_experiment_and_an_artifact_in_its_folder_in_one_process(tmp_path: Path) -> None:
    with MlflowServer(tmp_path / "mlflow", free_port(), tmp_path / "mlflow.jsonl") as server:
        assert server.pid is not None
        assert descendants(server.pid) == []
        made = call(server, "/api/2.0/mlflow/experiments/create", {"name": "risk"})
        assert str(made["experiment_id"]).isdigit()
        call(server, "/api/2.0/mlflow-artifacts/artifacts/1/model.txt", b"weights", "PUT")
        pid = server.pid
    assert not psutil.pid_exists(pid)
    assert (tmp_path / "mlflow" / "mlflow.db").stat().st_size > 0
    assert (tmp_path / "mlflow" / "artifacts" / "1" / "model.txt").read_bytes() == b"weights"
