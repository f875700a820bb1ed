"""One scoring worker as it ships, on a core of its own: its memory, CPU time and log."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
from duly_localstack.errors import last_lines
from duly_localstack.process import bytecode_cache, end, spawn
from duly_runtime.clock import Clock
from duly_simulator.edge import wait

from bench.peers.run import ROOT, WORKER_CORE
from bench.stage import BenchFailed

_PINNED = ROOT / "bench" / "peers" / "pinned.py"
_STOP_SECONDS = 60.0
_POLL_SECONDS = 0.05
MIB = 1024 * 1024


@dataclass(slots=True)
class ScoringWorker:
    """folder: data folder, log and bytecode. Lives come after one another; each has a log of its own."""

    folder: Path
    bootstrap_servers: str
    admin_port: int
    clock: Clock
    _http: httpx.Client = field(default_factory=lambda: httpx.Client(trust_env=False, timeout=10.0), init=False)
    _child: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _life: int = field(default=0, init=False)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / f"worker-{self._life}.log"

    def start(self, store: str, within_seconds: float) -> float:
        """Seconds from the start of the process until `/ready` says so."""
        self._life += 1
        own = {"data_dir": str(self.data), "admin_port": str(self.admin_port), "store": store}
        env = {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "MLFLOW_TRACKING_URI": "",
            "OMP_NUM_THREADS": "1",
            **{f"DULY_SCORING_{name.upper()}": value for name, value in own.items()},
            **bytecode_cache(self.folder / "pycache"),
        }
        began = self.clock.monotonic()
        program = [sys.executable, "-m", "scoring.bootstrap", "run"]
        self._child = spawn([sys.executable, str(_PINNED), str(WORKER_CORE), *program], log_file=self.log, env=env)
        self.until(self._is_ready, "the worker is ready", within_seconds)
        ready = self.clock.monotonic() - began
        self.until(lambda: self._has_said("scoring.state_recovered"), "the index is made", within_seconds)
        return ready

    def stop(self) -> None:
        """As an operator would."""
        if self._child is not None:
            end(self._child, grace_seconds=_STOP_SECONDS)
            self._child = None

    def forget_state(self) -> None:
        """An empty disk, but for the models."""
        shutil.rmtree(self.data / "state", ignore_errors=True)

    def until(self, holds: Callable[[], bool], what: str, within_seconds: float) -> None:
        """Poll. Raises BenchFailed at the deadline, or when the process has ended."""
        deadline = self.clock.monotonic() + within_seconds
        while not holds():
            if self._process().status() == psutil.STATUS_ZOMBIE or self.clock.monotonic() > deadline:
                late = f"not within {within_seconds:.0f} s, or it has ended: {what}"
                raise BenchFailed(f"{late}. Log: {self.log}\n{last_lines(self.log)}")
            wait(_POLL_SECONDS)

    def status(self) -> Mapping[str, Any]:
        """`/status`."""
        found: Mapping[str, Any] = self._http.get(f"{self._url}/status").json()
        return found

    def cpu_seconds(self) -> float:
        times = self._process().cpu_times()
        return times.user + times.system

    def memory_mib(self) -> tuple[float, float]:
        """(peak since `forget_peak`, now) of the resident set, in MiB."""
        status = Path(f"/proc/{self._process().pid}/status").read_text("utf-8")
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        return tuple(int(fields[name].split()[0]) * 1024 / MIB for name in ("VmHWM", "VmRSS"))  # type: ignore[return-value]

    def forget_peak(self) -> None:
        Path(f"/proc/{self._process().pid}/clear_refs").write_text("5", "ascii")

    def said(self, event: str) -> Mapping[str, Any]:
        """The last line of this life's log with that event. Raises BenchFailed."""
        for line in reversed(self.log.read_text("utf-8").splitlines()):
            if f'"{event}"' in line:
                words: Mapping[str, Any] = json.loads(line)
                return words
        raise BenchFailed(f"the worker never said {event}. Log: {self.log}")

    def seconds_between(self, first: str, then: str) -> float:
        """Between two lines of the log."""
        at = [datetime.fromisoformat(self.said(event)["timestamp"]) for event in (first, then)]
        return (at[1] - at[0]).total_seconds()

    @property
    def step(self) -> str:
        """How the step of this life runs, by its own word."""
        return "compiled" if '"compiled": true' in self.log.read_text("utf-8") else "source"

    def _has_said(self, event: str) -> bool:
        return f'"{event}"' in self.log.read_text("utf-8")

    def _is_ready(self) -> bool:
        try:
            return self._http.get(f"{self._url}/ready").status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self.admin_port}"

    def _process(self) -> psutil.Process:
        if self._child is None:
            raise BenchFailed("no worker runs")
        return psutil.Process(self._child.pid)
