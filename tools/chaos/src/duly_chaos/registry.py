"""A model registry of folders in MLflow's words, and the records that put its versions in force."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from duly_contracts.envelope import Envelope
from duly_contracts.events import encode, event_of
from duly_runtime.kafka_log import KafkaLog
from google.protobuf.message import Message

from duly.risk.v1 import events_pb2 as risk
from duly_chaos.broker import CONTROL
from duly_chaos.ledger_log import TENANT

_ROOT = "1/models"


class Registry:
    """Serves `<folder>/v<version>/*` on a port of its own while it is entered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = _answer(folder, self.path)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def uri(self) -> str:
        """What MLFLOW_TRACKING_URI has to be."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Registry:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _answer(folder: Path, path: str) -> bytes:
    url = urlsplit(path)
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    if url.path.endswith("get-download-uri"):
        return json.dumps({"artifact_uri": f"mlflow-artifacts:/{_ROOT}/v{query['version']}"}).encode()
    if "path" in query:
        files = sorted(file.name for file in (folder / Path(query["path"]).name).iterdir())
        return json.dumps({"files": [{"path": name, "is_dir": False} for name in files]}).encode()
    return (folder / url.path.split(f"{_ROOT}/")[1]).read_bytes()


def put_in_force(
    bootstrap: str, version: str, hashes: Mapping[str, str], effective: date | None, role: str = "CHAMPION"
) -> None:
    """Write one record of `model-control`: a promotion from a date on, or without one a roll-back.

    hashes: artifact_sha256, golden_sha256, schema_sha256.
    """
    number = risk.ModelRole.Value(f"MODEL_ROLE_{role}")
    message: Message = risk.RiskModelRolledBack(model_name="risk", model_version=version, role=number, **hashes)
    if effective is not None:
        message = risk.RiskModelPromoted(
            model_name="risk", model_version=version, role=number, effective_date=effective.isoformat(), **hashes
        )
    at = datetime(2031, 3, 1, tzinfo=UTC)
    envelope = Envelope(f"{version}-{effective}-{role}", event_of(message).type, "/test", "risk", at, TENANT)
    producer = KafkaLog(bootstrap).producer("test")
    try:
        producer.send(CONTROL, f"{TENANT}|risk|{role}".encode(), encode(message), envelope.to_headers()).result(30)
    finally:
        producer.close()
