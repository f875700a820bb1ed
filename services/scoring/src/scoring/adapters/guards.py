"""What ends a process that must not go on: nothing it has not committed is let go, the next one does it again.

Exit codes: 70 failed send, failed step or cancelled batch; 71 a stalled partition or recovery; 72 a zombie; 75 stop
took too long; 64 and 78 as everywhere: called or configured wrongly.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn, Protocol

from duly_runtime.clock import Clock
from duly_runtime.logging import get_logger

from scoring.domain.stall_detector import RecoveryDetector, StallDetector

_log = get_logger(__name__)

EXIT_STALLED = 71
EXIT_ZOMBIE = 72
EXIT_STOP_TIMEOUT = 75
ZOMBIE_GAP_SECONDS = 20.0
STOP_SECONDS_MAX = 80.0
_WATCH_EVERY_SECONDS = 10.0


def end_process(code: int, event: str, **fields: Any) -> NoReturn:
    """Log and leave at once: no handler, no flush, no commit runs after this."""
    _log.critical(event, exit_code=code, exc_info=sys.exc_info()[0] is not None, **fields)
    logging.shutdown()
    os._exit(code)


class ZombieGuard:
    """Ends a process that was frozen (SIGSTOP, a suspended machine): its partitions may belong to another by now."""

    def __init__(self, clock: Clock, end: Callable[..., NoReturn] = end_process) -> None:
        self._clock = clock
        self._end = end
        self._last = clock.monotonic()

    def checkpoint(self) -> None:
        """Called every second, and before anything leaves the process. Does not return after a gap."""
        now = self._clock.monotonic()
        gap, self._last = now - self._last, now
        if gap > ZOMBIE_GAP_SECONDS:
            self._end(EXIT_ZOMBIE, "scoring.zombie_ended", gap_seconds=gap)

    def stalled(self, limit_seconds: float) -> list[str]:
        """For /live: the event loop, when it has not come by for that long."""
        return ["stream"] if self._clock.monotonic() - self._last > limit_seconds else []


class Group(Protocol):
    """The consumer group as the broker has it. Both raise what the client raises."""

    def offsets(self) -> tuple[Mapping[int, int], Mapping[int, int]]:
        """(next, committed) offset of each partition there is."""

    def put_out(self) -> None:
        """Take this worker out of it, so that its next life is given partitions anew."""


class Worker(Protocol):
    """This process."""

    def progress(self) -> object:
        """Changes as a recovery or a rebalance gets on; None when there is none."""

    def held(self) -> Collection[int]:
        """The partitions it was given."""


class Watchdog:
    """Asks the broker, over a client and in a thread of its own, whether committed offsets move; exits 71 if not.

    One partition can stall alone while Faust reports commits that failed. A broker that is down is no reason to exit,
    nor is a recovery that gets on. One that does not waits for ever, above all for partitions that are no more: a
    static member outlives its process, and is given back what it had when the topics were larger.
    """

    def __init__(self, group: Group, worker: Worker, clock: Clock) -> None:
        self._group = group
        self._worker = worker
        self._clock = clock
        self._stalls = StallDetector()
        self._recovery = RecoveryDetector()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(_WATCH_EVERY_SECONDS):
            try:
                ends, committed = self._group.offsets()
            except Exception as error:  # a broker that does not answer: neither progress nor a stall
                _log.warning("scoring.watchdog_blind", error=str(error))
                self._stalls.forget()
                self._recovery.forget()
                continue
            self._look(ends, committed)

    def _look(self, ends: Mapping[int, int], committed: Mapping[int, int]) -> None:
        now, progress = self._clock.monotonic(), self._worker.progress()
        if self._recovery.observe(now, progress):
            held = self._worker.held()
            self._leave()
            missing = sorted(set(held) - ends.keys())
            end_process(EXIT_STALLED, "scoring.recovery_stuck", at=progress, held=sorted(held), missing=missing)
        stalled = self._stalls.observe(now, ends, committed, excused=progress is not None)
        if stalled:
            end_process(EXIT_STALLED, "scoring.partition_stalled", partitions=stalled)

    def _leave(self) -> None:
        # Else the next life, under the same name within the session, is given the same partitions.
        try:
            self._group.put_out()
        except Exception as error:  # the end of the process is what matters
            _log.warning("scoring.group_not_left", error=str(error))


def end_after(seconds: float) -> None:
    """A stop that hangs must end as well."""
    timer = threading.Timer(seconds, end_process, (EXIT_STOP_TIMEOUT, "scoring.stop_timed_out"))
    timer.daemon = True
    timer.start()
