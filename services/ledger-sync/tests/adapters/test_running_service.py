"""The whole service as it runs: HTTP in, Kafka between, HTTP out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from duly_contracts.envelope import Envelope
from duly_runtime.clock import SystemClock
from duly_runtime.kafka_log import KafkaLog
from duly_runtime.loops import LoopRunner
from duly_runtime.metrics import Metrics
from duly_runtime.migrations import migrate
from duly_testing.eventually import eventually
from ledger_sync import bootstrap
from ledger_sync.config import Settings
from ledger_sync.entrypoints import http_server

pytestmark = [pytest.mark.postgres, pytest.mark.kafka]
KEY = Ed25519PrivateKey.generate()


@pytest.fixture
def client(
    kafka_bootstrap: str, pg_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[httpx.Client]:
    jwk = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(KEY.public_key())) | {"kid": "k", "alg": "EdDSA"}
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [jwk]}))
    migrate(pg_dsn, bootstrap.MIGRATIONS)
    settings = Settings.model_validate(
        {
            "kafka_bootstrap_servers": kafka_bootstrap,
            "database_url": pg_dsn,
            "time_mode": "simulated",
            "jwks_file": str(tmp_path / "jwks.json"),
            "http_port": 0,
        }
    )
    clock, metrics = SystemClock(), Metrics()
    service = bootstrap.build(settings, clock, metrics)
    runner = LoopRunner(service.loops, clock, metrics)
    runner.start()
    for start in service.start:
        start()
    server = service.start[0].__self__  # type: ignore[attr-defined]
    assert isinstance(server, http_server.HttpServer)
    claims = {"iss": "duly", "aud": "duly", "sub": "erp", "tenant": "demo", "scope": "ledger:write"}
    token = jwt.encode(claims | {"exp": datetime.now(UTC) + timedelta(minutes=5)}, KEY, "EdDSA", headers={"kid": "k"})
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers={"authorization": f"Bearer {token}"}) as http:
        yield http
    runner.stop(10)
    for close in service.closers:
        close()


def test_events_sent_over_http_come_out_of_kafka(client: httpx.Client, kafka_bootstrap: str, events: Any) -> None:
    tick = {"tenant": "demo", "business_date": "2031-03-01", "instant": "2031-03-01T00:00:00Z"}
    assert client.post("/v1/ticks", json=tick).status_code == 202
    batch = [events.party(), events.invoice(), events.payment(), events.allocation(), events.invoice("bad", minor=0)]
    headers = {"content-type": "application/cloudevents-batch+json"}
    answer = client.post("/v1/events", content=json.dumps(batch), headers=headers)
    assert [row["status"] for row in answer.json()["results"]] == ["accepted"] * 4 + ["rejected"]
    reader = KafkaLog(kafka_bootstrap).consumer("test", ["ledger-events"], lambda _: None)
    seen: list[str] = []

    def all_there() -> bool:
        for records in reader.poll(0.2).values():
            seen.extend(Envelope.from_headers(record.headers).type for record in records)
        assert seen.count("duly.calendar.business_date_advanced.v1") == 12, seen
        facts = [name for name in seen if "calendar" not in name]
        assert facts == [f"duly.{name}.v1" for name in ("party.upserted", "invoice.issued", "payment.received",
                                                        "allocation.applied")]  # fmt: skip
        return True

    try:
        eventually(all_there, 30)
    finally:
        reader.close()
    (quarantined,) = client.get("/v1/quarantine").json()["events"]
    assert (quarantined["event_id"], quarantined["code"]) == ("e-5", "money_invalid")
