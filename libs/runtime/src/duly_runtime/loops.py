"""A service is a handful of loops. Each does a bounded piece of work per step; here is what runs and watches them."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Protocol

from duly_runtime.clock import Clock
from duly_runtime.exit_codes import EXIT_UNTRUSTED
from duly_runtime.logging import get_logger
from duly_runtime.metrics import LOOP_STEPS, Metrics

_log = get_logger(__name__)

IDLE_WAIT_SECONDS = 0.2


class Loop(Protocol):
    """One process loop. `step` must come back within seconds, and may be called again after any failure."""

    @property
    def name(self) -> str: ...

    def step(self, wait_seconds: float) -> bool:
        """Do one bounded piece of work, waiting at most `wait_seconds` for it. True = there may be more at once."""

    def close(self) -> None: ...


class Wake:
    """Lets one loop tell another that there is work, so that nobody has to poll fast."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """True when woken; clears the flag."""
        woken = self._event.wait(seconds) if seconds > 0 else self._event.is_set()
        self._event.clear()
        return woken


class LoopRunner:
    """Runs loops in a thread each until told to stop. A loop that raises ends the whole process, uncommitted."""

    def __init__(self, loops: Sequence[Loop], clock: Clock, metrics: Metrics) -> None:
        self._loops = loops
        self._clock = clock
        self._metrics = metrics
        self._stopping = threading.Event()
        self._last_step: dict[str, float] = {}
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        for loop in self._loops:
            self._last_step[loop.name] = self._clock.monotonic()
            thread = threading.Thread(target=self._run, args=(loop,), name=loop.name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, grace_seconds: float) -> None:
        """Finish the step at hand, then close. Loops still busy after the grace are abandoned uncommitted."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(grace_seconds)
            if thread.is_alive():
                _log.warning("runtime.loop_abandoned", loop=thread.name)

    def stalled(self, limit_seconds: float) -> list[str]:
        """Loops that have not finished a step for longer than the limit."""
        now = self._clock.monotonic()
        return [name for name, last in self._last_step.items() if now - last > limit_seconds]

    def _run(self, loop: Loop) -> None:
        try:
            while not self._stopping.is_set():
                worked = loop.step(IDLE_WAIT_SECONDS)
                self._last_step[loop.name] = self._clock.monotonic()
                self._metrics.count(LOOP_STEPS, loop=loop.name, outcome="worked" if worked else "idle")
            loop.close()
        except BaseException:  # the process loop: whatever it is, nothing after it can be trusted
            _log.exception("runtime.loop_failed", loop=loop.name)
            os._exit(EXIT_UNTRUSTED)
