"""Seeded kills during the play: which service, at which moment of which day, how long into it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from duly_localstack.errors import StackError

from duly_cli.playing import Phase
from duly_cli.stack.local import LocalStack
from duly_cli.stack.services import SERVICE_NAMES

KILLS_PER_SERVICE = 2
DELAY_SECONDS_MAX = 0.4
RETRY_SECONDS = 0.1
RETRIES_MAX = 600


@dataclass(frozen=True, slots=True, order=True)
class PlannedKill:
    """kill -9 of a service, `delay_seconds` after that phase of that day began."""

    day: date
    phase: Phase
    delay_seconds: float
    service: str


@dataclass(frozen=True, slots=True)
class DoneKill:
    """A kill as it happened."""

    planned: PlannedKill
    pid: int

    def __str__(self) -> str:
        plan = self.planned
        return (
            f"{plan.service} (process {self.pid}) on {plan.day}, {plan.delay_seconds * 1000:.0f} ms into {plan.phase}"
        )

    def to_json(self) -> dict[str, object]:
        plan = self.planned
        return {
            "service": plan.service,
            "day": plan.day.isoformat(),
            "phase": plan.phase,
            "delay_milliseconds": round(plan.delay_seconds * 1000),
        }


def plan_kills(seed: int, first: date, days: int) -> tuple[PlannedKill, ...]:
    """Each service twice, on days that the seed draws; the same seed and days, the same plan.

    A service is killed at most once a day, so that the second kill meets a process that has come back.
    """
    random = Random(f"chaos {seed}")
    kills = []
    for service in SERVICE_NAMES:
        chosen = random.sample(range(days), min(KILLS_PER_SERVICE, days))
        kills += [
            PlannedKill(
                day=first + timedelta(days=number),
                phase=random.choice(list(Phase)),
                delay_seconds=round(random.uniform(0, DELAY_SECONDS_MAX), 3),
                service=service,
            )
            for number in chosen
        ]
    return tuple(sorted(kills))


class Chaos:
    """Kills by plan while a play tells of its phases. A day without that phase (no facts) counts at its next phase."""

    def __init__(self, stack: LocalStack, plan: Sequence[PlannedKill]) -> None:
        self._stack = stack
        self._plan = tuple(plan)
        self._waiting = sorted(plan)
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self.done: list[DoneKill] = []

    def on_phase(self, day: date, phase: Phase) -> None:
        """Told by the player as a phase begins."""
        order = list(Phase)
        due = [kill for kill in self._waiting if (kill.day, order.index(kill.phase)) <= (day, order.index(phase))]
        for kill in due:
            self._waiting.remove(kill)
            thread = threading.Thread(target=self._kill, args=(kill,), name=f"kill {kill.service}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def finish(self) -> list[PlannedKill]:
        """Wait for kills under way; what was planned and never happened."""
        for thread in self._threads:
            thread.join(DELAY_SECONDS_MAX + RETRY_SECONDS * RETRIES_MAX)
        with self._lock:
            happened = {kill.planned for kill in self.done}
        return [kill for kill in self._plan if kill not in happened]

    def stop(self) -> None:
        """No more kills."""
        self._ending.set()

    def _kill(self, kill: PlannedKill) -> None:
        """After the delay; while the service is down already, a moment later."""
        self._ending.wait(kill.delay_seconds)
        for _ in range(RETRIES_MAX):
            if self._ending.is_set():
                return
            pid = self._stack.supervisor.pid(kill.service)
            try:
                self._stack.supervisor.kill(kill.service)
            except StackError:
                self._ending.wait(RETRY_SECONDS)
                continue
            with self._lock:
                self.done.append(DoneKill(kill, pid or 0))
            return
