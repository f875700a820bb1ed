"""A scoring worker as its own process against a real broker, and readers of what it wrote."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import kafka
import pytest
from duly_localstack.ports import free_port
from duly_runtime.kafka_log import KafkaLog
from duly_runtime.log import Record
from duly_testing.eventually import eventually

SCORES, CHANGELOG, DLQ = "risk-scores", "scoring-debtors-changelog", "ledger-events-dlq"


class Worker:
    """Starts, kills and asks one scoring worker; every start is a new life of the same instance."""

    def __init__(self, bootstrap: str, folder: Path, shell: str) -> None:
        self.bootstrap = bootstrap
        self.shell = shell
        self.folder = folder
        self.port = free_port()
        self.log = folder / "worker.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, env: Mapping[str, str] | None = None, program: Sequence[str] = ("-m", "scoring.bootstrap")) -> None:
        settings = {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "DULY_SCORING_DATA_DIR": str(self.folder / "data"),
            "DULY_SCORING_ADMIN_PORT": str(self.port),
            "DULY_SCORING_SHELL": self.shell,
        }
        inherited = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *program],
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**inherited, **settings, **(env or {})},
            )

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait(10)

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait(30)

    def wait(self, seconds: float) -> int:
        assert self._process is not None
        return self._process.wait(seconds)

    def ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def status(self) -> dict[str, object]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/status", timeout=5) as answer:
            return dict(json.load(answer))

    def get(self, path: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def until_applied(self, ends: Mapping[int, int], within_seconds: float = 60.0) -> None:
        """Wait until the worker reports every record as finished."""

        def applied() -> bool:
            assert not self.ended(), self.log.read_text()[-3000:]
            if self.get("/ready") != 200:
                return False
            positions = self.status()["positions"]
            assert isinstance(positions, dict)
            return {int(p): n for p, n in positions["ledger-events"].items() if n} == ends

        eventually(applied, within_seconds)

    def facts(self) -> int:
        return int(str(self.status()["facts"])) if self.get("/ready") == 200 else 0


@pytest.fixture(params=["batch", "take"])
def worker(kafka_bootstrap: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Worker]:
    """One worker, not started: every test runs under both shells."""
    made = Worker(kafka_bootstrap, tmp_path, request.param)
    yield made
    if not made.ended():
        made.kill()


@pytest.fixture
def send(kafka_bootstrap: str) -> Iterator[Callable[[Sequence[Record]], None]]:
    """Writes records where the ledger put them."""
    producer = KafkaLog(kafka_bootstrap).producer("test")

    def send_all(records: Sequence[Record]) -> None:
        pending = [producer.send(r.topic, r.key, r.value, r.headers, r.partition) for r in records]
        for sent, record in zip(pending, records, strict=True):
            assert sent.result(30) == (record.partition, record.offset)

    yield send_all
    producer.close()


@pytest.fixture
def read_topic(kafka_bootstrap: str) -> Iterator[Callable[[str], list[Record]]]:
    """Everything in a topic, partition by partition in offset order."""
    reader = kafka.KafkaConsumer(bootstrap_servers=kafka_bootstrap, allow_auto_create_topics=False)

    def read(topic: str) -> list[Record]:
        tps = [kafka.TopicPartition(topic, p) for p in sorted(reader.partitions_for_topic(topic))]
        reader.assign(tps)
        reader.seek_to_beginning(*tps)
        ends = reader.end_offsets(tps)
        found: list[Record] = []
        while any(reader.position(tp) < ends[tp] for tp in tps):
            for batch in reader.poll(timeout_ms=500).values():
                found += [Record(r.topic, r.partition, r.offset, r.key, r.value, tuple(r.headers or ())) for r in batch]
        return sorted(found, key=lambda record: (record.partition, record.offset))

    yield read
    reader.close()
