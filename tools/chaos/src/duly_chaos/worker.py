"""A scoring worker as its own process: started, asked, stopped, killed. Every start is a new life of one instance."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import get_args

from duly_localstack.ports import free_port
from duly_testing.eventually import eventually
from scoring.config import Settings

STOCK = ("-m", "scoring.bootstrap")
FAULTY = ("-m", "duly_chaos.faulty")


# Longer than the watchdog's 120 s, so that a stall shows as its exit and only a busy machine needs all of it.
PATIENCE_SECONDS = 300.0


# It dies at any moment, also while it answers.
NO_ANSWER = (OSError, http.client.HTTPException)


class Ended(Exception):
    """The worker is gone, and should not be."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Which worker: shell and store, '' where this version has no such choice."""

    shell: str = ""
    store: str = ""

    def env(self) -> dict[str, str]:
        chosen = {"DULY_SCORING_SHELL": self.shell, "DULY_SCORING_STORE": self.store}
        return {name: value for name, value in chosen.items() if value}

    def __str__(self) -> str:
        return "-".join(word for word in (self.shell, self.store) if word) or "stock"


def choices(setting: str) -> tuple[str, ...]:
    """What a setting may be, the default first; ('',) where there is no such setting."""
    field = Settings.model_fields.get(setting)
    if field is None:
        return ("",)
    return tuple(sorted(get_args(field.annotation), key=lambda value: value != field.default))


def kinds() -> list[Kind]:
    """Every worker that can be configured, the shipped one first."""
    return [Kind(shell, store) for shell, store in product(choices("shell"), choices("store"))]


class Worker:
    """One instance. faults: see `faulty`; none is the program as it ships."""

    def __init__(
        self,
        bootstrap: str,
        folder: Path,
        kind: Kind = Kind(),
        instance_id: str = "scoring-0",
        batch_records: int | None = None,
    ) -> None:
        self.bootstrap = bootstrap
        self.folder = folder
        self.data = folder / f"data-{instance_id}"
        self.port = free_port()
        self.log = folder / f"{instance_id}.log"
        self._env = {**kind.env(), "DULY_SCORING_INSTANCE_ID": instance_id}
        if batch_records:
            self._env["DULY_SCORING_BATCH_RECORDS"] = str(batch_records)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, faults: Sequence[str] = (), env: Mapping[str, str] | None = None) -> None:
        settings = {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "DULY_SCORING_DATA_DIR": str(self.data),
            "DULY_SCORING_ADMIN_PORT": str(self.port),
        }
        inherited = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
        program = (*FAULTY, *faults) if faults else STOCK
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *program],
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**inherited, **settings, **self._env, **(env or {})},
            )

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait(10)

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait(60)

    def wait(self, seconds: float) -> int:
        """The exit code; a negative signal number for a killed process."""
        assert self._process is not None
        return self._process.wait(seconds)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def status(self) -> dict[str, object]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/status", timeout=5) as answer:
            return dict(json.load(answer))

    def get(self, path: str) -> int:
        """The HTTP status; 0 where nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except NO_ANSWER:
            return 0

    def ready(self) -> bool:
        return self.get("/ready") == 200

    def positions(self) -> dict[int, int]:
        """Next offset by partition of `ledger-events`, as far as it is acknowledged; empty while not ready."""
        if not self.ready():
            return {}
        try:
            positions = self.status()["positions"]
        except NO_ANSWER:
            return {}
        assert isinstance(positions, dict)
        return {int(partition): offset for partition, offset in positions["ledger-events"].items() if offset}

    def until_applied(self, ends: Mapping[int, int], within_seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until it reports every record as finished. Raises AssertionError with its log if it ends before."""
        wanted = {partition: end for partition, end in ends.items() if end}

        def applied() -> bool:
            if self.ended():
                raise Ended(f"exit {self.wait(1)}: {self.last_words()}")
            positions = self.positions()
            assert positions == wanted, f"applied {positions} of {wanted}"
            return True

        eventually(applied, within_seconds)

    def facts(self) -> int:
        """Facts folded by this life."""
        try:
            return int(str(self.status()["facts"])) if self.ready() else 0
        except NO_ANSWER:
            return 0

    def last_words(self) -> str:
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""
