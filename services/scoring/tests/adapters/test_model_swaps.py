"""F10: models are swapped under load and through a kill; one version a score, a bad one never, a replay byte-equal."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import kafka
import pytest
from duly_chaos.registry import Registry, put_in_force
from duly_contracts.topics import topics
from duly_runtime.log import Record
from duly_testing.eventually import eventually
from kafka.admin import NewTopic

from duly.risk.v1 import events_pb2 as risk

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]
START, DAYS, LIVE = date(2031, 3, 3), 40, 20


def live_day(number: int) -> date:
    return START + timedelta(days=DAYS - LIVE + number)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry(tmp_path / "registry") as opened:
        yield opened


@pytest.fixture
def control(kafka_bootstrap: str) -> Callable[..., None]:
    """Writes one record of `model-control`."""
    return partial(put_in_force, kafka_bootstrap)


def test_models_are_swapped_under_load_and_a_replay_scores_every_date_with_the_same_version_again(
    worker: Any,
    broker: Any,
    play_ledger: Any,
    write_model: Callable[..., dict[str, str]],
    registry: Registry,
    control: Callable[..., None],
    kafka_bootstrap: str,
) -> None:
    hashes = {version: write_model(registry.folder / f"v{version}", seed=int(version)) for version in "1234"}
    env = {"MLFLOW_TRACKING_URI": registry.uri}
    book = play_ledger(seed=11, debtors=30, days=DAYS, live_days=LIVE)
    cuts = [_first_of(book.records, live_day(number)) for number in (0, 4, 8, 12)] + [len(book.records)]

    control("1", hashes["1"], live_day(0))
    worker.start(env=env)
    broker.send(book.records[: cuts[1]])
    control("2", hashes["2"], live_day(6))
    control("4", hashes["4"], live_day(6), "SHADOW")
    _until_told(worker, 3)
    broker.send(book.records[cuts[1] : cuts[2]])
    control("3", {**hashes["3"], "artifact_sha256": hashlib.sha256(b"another").hexdigest()}, live_day(9))
    _until_told(worker, 4)
    broker.send(book.records[cuts[2] : cuts[3]])
    worker.kill()
    worker.start(env=env)
    control("3", hashes["3"], live_day(15))
    _until_told(worker, 5)
    broker.send(book.records[cuts[3] :])
    worker.until_applied(book.ends, within_seconds=120)
    assert "is not the promoted one" in worker.log.read_text()
    first = [record for record in broker.read("risk-scores") if _score(record)]
    used = _assert_versions(first)
    assert worker.stop() == 0
    assert used - {("rules-1", "FALLBACK")} == {*((version, "CHAMPION") for version in "123"), ("4", "SHADOW")}

    _empty_state(kafka_bootstrap)
    worker.data = worker.folder / "replay"
    worker.start(env={**env, "DULY_SCORING_APP_VERSION": "2"})
    worker.until_applied(book.ends, within_seconds=120)
    every = [record for record in broker.read("risk-scores") if _score(record)]
    bytes_by_id: dict[bytes, set[tuple[bytes, Any]]] = {}
    for record in every:
        bytes_by_id.setdefault(dict(record.headers)["ce_id"], set()).add((record.value, record.headers))
    assert {len(different) for different in bytes_by_id.values()} == {1}
    again = Counter(dict(record.headers)["ce_id"] for record in every)
    assert min(again.values()) >= 2  # once in the first run, or twice around the kill, and once in the replay


def _until_told(worker: Any, records: int) -> None:
    """Until the worker has decided about so many records of `model-control`."""
    eventually(lambda: worker.get("/ready") == 200 and worker.status()["model_control"] >= records, 60)


def _first_of(records: list[Record], day: date) -> int:
    wanted = day.isoformat().encode()
    return next(i for i, record in enumerate(records) if dict(record.headers).get("ce_businessdate") == wanted)


def _score(record: Record) -> risk.RiskScoreUpdated | None:
    if dict(record.headers)["ce_type"] != b"duly.risk.score_updated.v1":
        return None
    return risk.RiskScoreUpdated.FromString(record.value)


def _assert_versions(records: list[Record]) -> set[tuple[str, str]]:
    """Every score has the version of its business date; which versions there were."""
    champions = [(live_day(15), "3"), (live_day(6), "2"), (live_day(0), "1"), (date.min, "rules-1")]
    seen = set()
    for record in records:
        score = _score(record)
        assert score is not None
        day = date.fromisoformat(score.business_date)
        role = risk.ModelRole.Name(score.role).removeprefix("MODEL_ROLE_")
        in_force = next(version for start, version in champions if day >= start)
        assert score.model_version == ("4" if role == "SHADOW" else in_force)
        seen.add((score.model_version, role))
    return seen


def _empty_state(bootstrap: str) -> None:
    """The changelog of the second application."""
    like = topics()["scoring-debtors-changelog"]
    admin = kafka.KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        admin.create_topics([NewTopic("scoring-v2-debtors-changelog", like.partitions, 1, topic_configs=like.config())])
    finally:
        admin.close()
